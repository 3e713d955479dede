"""Two versions of a model, trained once for all tests: 1 is good, 2 is weak."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.workloads.registry.builders import MODEL, invoke
from workloads.environment import CODE_VERSION, REGISTRY, TRACKING_URI, PlatformEnvironment
from workloads.evaluation import speed
from workloads.tracking.connection import connect


@pytest.fixture
def environment(
    environment: PlatformEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> PlatformEnvironment:
    """With a history of moves of the test's own, a code version also where there is no git, and quick clocks."""
    monkeypatch.setenv(REGISTRY, str(tmp_path / "registry"))
    monkeypatch.setenv(CODE_VERSION, "release-1")
    monkeypatch.setattr(speed, "MAX_S", 0.02)
    return PlatformEnvironment.read()


@pytest.fixture(scope="session")
def trained(empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tracking stores with both versions to copy, `new.db` and `evaluated.db`; their artifacts stay where they are."""
    store = tmp_path_factory.mktemp("trained")
    shutil.copy(empty_store, store / "evaluated.db")
    with pytest.MonkeyPatch.context() as patch:
        for name in PlatformEnvironment.read().variables():
            patch.delenv(name)
        patch.setenv(TRACKING_URI, f"sqlite:///{store / 'evaluated.db'}")
        patch.setenv(CODE_VERSION, "release-1")
        patch.chdir(store)
        for length in (("--set", "epochs=4"), ("--max-steps", "3")):
            invoke("train", "digits", "--set", "num_threads=1", "--no-test", *length)
        shutil.copy(store / "evaluated.db", store / "new.db")
        patch.setattr(speed, "MAX_S", 0.02)
        for number in ("1", "2"):
            invoke("evaluate", "--model", MODEL, "--version", number)
    return store


@pytest.fixture
def client(trained: Path, environment: PlatformEnvironment) -> MlflowClient:
    """Of a server with both versions, evaluated."""
    return _client_of(trained / "evaluated.db", environment)


@pytest.fixture
def new_client(trained: Path, environment: PlatformEnvironment) -> MlflowClient:
    """The same before they were evaluated."""
    return _client_of(trained / "new.db", environment)


def _client_of(store: Path, environment: PlatformEnvironment) -> MlflowClient:
    assert environment.tracking_uri is not None
    shutil.copy(store, environment.tracking_uri.removeprefix("sqlite:///"))
    return connect(environment)
