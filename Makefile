# `make` alone lists the targets. Everything is installed into .venv on first use.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

PYTHON ?= $(shell for p in python3.12 python3.11 python3; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' 2>/dev/null && { echo $$p; break; }; done)
BIN := .venv/bin
CONFIG ?= fashion_mnist
RANKS ?= 2
MODEL ?= fashion-mnist-classifier
# What runs a workload on this machine's platform.
ON_PLATFORM = environment="$$($(BIN)/mlp env)" && eval "$$environment" && $(BIN)/python -m workloads

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: up
up: .venv/installed dataset ## Set everything up, start the platform on this machine, train, search, register, predict
	$(BIN)/mlp quickstart

.PHONY: down
down: ## Stop the platform on this machine; its data stay in .mlp
	@if [ -x $(BIN)/mlp ]; then $(BIN)/mlp down; else echo "nothing is installed, so nothing runs"; fi

.PHONY: test
test: .venv/installed test-programs ## Test what needs no account and no GPU; with COVERAGE=1 tell in htmlcov/ what was run
	$(BIN)/pytest --numprocesses 2 --dist loadfile $(if $(COVERAGE),--cov --cov-report=html --tb=short)

.PHONY: test-slow
test-slow: .venv/installed dataset container-engine ## Run the tests that take longer
	$(BIN)/pytest -m slow --numprocesses 2 --dist loadfile --timeout 900 --tb=short

.PHONY: check
check: .venv/installed ## Style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --num-workers 2
	$(BIN)/mypy stacks/platform/__main__.py
	$(BIN)/mypy stacks/workloads/__main__.py

.PHONY: images
images: .venv/installed container-engine ## Build every image with podman or docker, as `pulumi up` does, and push nothing
	$(BIN)/python images/build.py

.PHONY: locks
locks: .venv/installed ## Write the images' locks anew, from their requirements.in and constraints.txt
	$(BIN)/python images/lock.py

.PHONY: train train-ddp tune tune-quick tune-extensive evaluate
train: .venv/installed ## Train CONFIG in one process and register the model
	$(ON_PLATFORM) train $(CONFIG)
train-ddp: .venv/installed ## Train CONFIG with RANKS processes
	$(ON_PLATFORM) train $(CONFIG) --ranks $(RANKS)
tune: .venv/installed ## Search CONFIG's space with 50 trials
	$(ON_PLATFORM) tune $(CONFIG) --preset standard
tune-quick: .venv/installed ## Search with 10 trials
	$(ON_PLATFORM) tune $(CONFIG) --preset quick
tune-extensive: .venv/installed ## Search with 100 trials
	$(ON_PLATFORM) tune $(CONFIG) --preset extensive
evaluate: .venv/installed ## Evaluate the production version of MODEL on the test set
	$(ON_PLATFORM) evaluate --model $(MODEL) --alias production

# The data set comes from the system's package manager where that has it and may install; quickstart tells when it is not
# there.
.PHONY: dataset
dataset:
	@if [ ! -d /usr/share/datasets/fashion-mnist ] && command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
		echo "installing the data set dataset-fashion-mnist"; \
		{ apt-get update -qq && apt-get install -y -qq dataset-fashion-mnist; } >/dev/null \
			|| echo "dataset-fashion-mnist could not be installed"; \
	fi

# What the tests of the alert rules and of the workflows' scripts run. Without promtool its tests fail and say how to get
# it; those of the scripts are skipped.
.PHONY: test-programs
test-programs:
	@missing=""; for pair in promtool:prometheus jq:jq unzip:unzip; do \
		command -v "$${pair%:*}" >/dev/null || missing="$$missing $${pair#*:}"; \
	done; \
	if [ -n "$$missing" ] && command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
		echo "installing the packages$$missing"; \
		{ apt-get update -qq && apt-get install -y -qq --no-install-recommends $$missing; } >/dev/null \
			|| echo "they could not be installed"; \
	fi

# What builds and runs the images. Without it the tests that run them are skipped, and say so.
.PHONY: container-engine
container-engine:
	@if [ -z "$${CONTAINER_ENGINE:-}" ] && ! command -v podman >/dev/null && ! command -v docker >/dev/null \
		&& command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
		echo "installing podman"; \
		{ apt-get update -qq && apt-get install -y -qq --no-install-recommends podman buildah runc >/dev/null; } \
			|| echo "podman could not be installed"; \
	fi

# The pinned versions, installed once; again when they change.
.venv/installed: pyproject.toml constraints.txt
	@if [ -z "$(PYTHON)" ]; then echo "Python 3.11 or 3.12 is needed and neither was found; set PYTHON=/path/to/python" >&2; exit 1; fi
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv .venv
	@echo "installing the pinned dependencies into .venv: about 3 GB, a few minutes"
	$(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt \
		--editable '.[infra,workloads,dev]'
	@touch $@
