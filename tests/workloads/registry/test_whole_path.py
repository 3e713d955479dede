"""From `train` to `predict`, through the command line, on a tracking store of the test's own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pytest
import torch
from mlflow import MlflowClient
from safetensors.torch import load_file
from typer.testing import CliRunner

from tests.workloads.registry.builders import run_of
from workloads.cli import app
from workloads.data.datasets import load
from workloads.environment import REGISTRY, PlatformEnvironment
from workloads.errors import DataError, RegistryError, TrainingDiverged
from workloads.models.build import ModelSpec
from workloads.registry.moves import open_history
from workloads.tracking.connection import connect

MODEL = "digits-classifier"
Call = Callable[..., str]


@pytest.fixture
def call(environment: PlatformEnvironment) -> Call:
    """Run one command; what it wrote to stdout. Its error is raised."""

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.stdout

    return run


def train(call: Call, *arguments: str) -> dict[str, Any]:
    last_line = call("train", "digits", "--set", "num_threads=1", "--json", *arguments).splitlines()[-1]
    result: dict[str, Any] = json.loads(last_line)
    return result


def test_a_run_is_recorded_whole_and_its_model_loads_back_the_same(
    call: Call, environment: PlatformEnvironment
) -> None:
    result = train(call, "--set", "epochs=4", "--set", "registry.staging_minimum=0.5", "--run-name", "the-run")
    assert set(result) == {
        "run_name", "run_id", "experiment_id", "dataset", "num_train", "val_accuracy", "test_accuracy", "seconds",
        "images_per_second", "ranks", "model_name", "model_version", "alias",
    }  # fmt: skip
    assert (result["run_name"], result["model_version"], result["alias"]) == ("the-run", 1, "staging")
    assert (result["model_name"], result["dataset"], result["ranks"]) == (MODEL, "digits", 1)

    client = connect(environment)
    run = client.get_run(result["run_id"])
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "the-run"
    assert run.data.params["optim.lr"] == "0.1"
    assert run.data.params["ranks"] == "1"
    assert run.data.metrics["test/accuracy"] == result["test_accuracy"] > 0.8
    for key in ("train/loss", "val/accuracy"):
        steps = [point.step for point in client.get_metric_history(result["run_id"], key)]
        assert steps == [21, 42, 63, 84]  # 1,295 images in batches of 64 make 21 optimizer steps
    artifacts = {file.path for folder in ("", "weights", "evaluation") for file in files(client, result, folder)}
    assert {"config.yaml", "weights/model.safetensors", "weights/model.json", "evaluation/test.json"} <= artifacts

    version = client.get_model_version_by_alias(MODEL, "staging")
    dataset = load("digits", environment)
    assert version.run_id == result["run_id"]
    assert version.tags["data_version"] == dataset.version

    program = mlflow.pytorch.load_model(f"models:/{MODEL}@staging")
    folder = Path(client.download_artifacts(result["run_id"], "weights"))
    description = json.loads((folder / "model.json").read_text())
    module = ModelSpec(name=description["name"], arguments=description["arguments"]).build(seed=99).eval()
    module.load_state_dict(load_file(folder / "model.safetensors"))
    for size in (1, 2, 7):
        with torch.no_grad():
            assert torch.allclose(program(dataset.test.images[:size]), module(dataset.test.images[:size]), atol=1e-5)
    assert description["class_names"] == [str(digit) for digit in range(10)]


def test_staging_goes_to_whom_the_gate_lets_pass_and_the_history_says_so(
    call: Call, environment: PlatformEnvironment, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    low = ("--set", "registry.staging_minimum=0.05")
    result = train(call, "--set", "epochs=4", *low)
    history = open_history(environment, MODEL)
    [move] = history.moves()
    assert (move.kind, move.alias, move.from_version, move.to_version) == ("promote", "staging", None, 1)
    assert move.why == f"trained as {result['run_name']}, validation accuracy {result['val_accuracy']:.4f}"

    # Whatever is trained last does not take it: the gate refuses what is weak, also where its config asks.
    weak = train(call, "--max-steps", "1", *low)
    assert (weak["model_version"], weak["alias"]) == (2, None)
    assert "Version 2 of digits-classifier may not be staging: refuse" in caplog.text
    # Nothing is asked where the config wants more, without a test, or where no move can be recorded.
    for unasked in (("--set", "registry.staging_minimum=1"), ("--no-test", *low)):
        assert train(call, "--max-steps", "1", *unasked)["alias"] is None
    monkeypatch.delenv(REGISTRY)
    assert train(call, "--max-steps", "1", *low)["alias"] is None
    assert connect(environment).get_registered_model(MODEL).aliases == {"staging": 1}
    assert len(history.moves()) == 1
    assert caplog.text.count("may not be staging") == 1


def test_a_run_is_finished_where_staging_cannot_be_moved(
    call: Call, environment: PlatformEnvironment, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(REGISTRY, "gs://elsewhere")
    result = train(call, "--max-steps", "1", "--set", "registry.staging_minimum=0")
    assert (result["model_version"], result["alias"]) == (1, None)
    assert "has no alias: MLP_REGISTRY is gs://elsewhere" in caplog.text
    assert "registry promote digits-classifier 1 --to staging" in caplog.text


def files(client: MlflowClient, result: dict[str, Any], folder: str) -> list[Any]:
    return list(client.list_artifacts(result["run_id"], folder))


def test_versions_are_promoted_judged_and_asked(
    call: Call, new_client: MlflowClient, environment: PlatformEnvironment
) -> None:
    client = new_client
    first = {"run_id": run_of(client, 1)}
    assert "test/accuracy" not in client.get_run(first["run_id"]).data.metrics
    assert "version 1 is now production" in call("registry", "promote", MODEL, "1", "--to", "production")
    by_gate = client.get_run(first["run_id"]).data.metrics["test/accuracy"]

    evaluation = json.loads(call("evaluate", "--model", MODEL, "--version", "1", "--json"))
    assert evaluation["num_samples"] == 359
    assert evaluation["test_accuracy"] > 0.85
    assert client.get_run(first["run_id"]).data.metrics["test/accuracy"] == evaluation["test_accuracy"] == by_gate
    assert client.get_model_version(MODEL, "1").tags["test_accuracy"] == f"{evaluation['test_accuracy']:.4f}"
    kept = json.loads(Path(client.download_artifacts(first["run_id"], "evaluation/test.json")).read_text())
    assert [one["name"] for one in kept["classes"]] == [str(digit) for digit in range(10)]
    assert kept["confusion"] == evaluation["confusion"]
    assert sum(sum(row) for row in kept["confusion"]) == 359
    assert [one["batch_size"] for one in kept["latencies"]] == [1, 64]
    assert kept["size"]["num_parameters"] > 1000
    assert kept["size"]["num_bytes"] > 4 * kept["size"]["num_parameters"]
    assert all(one["label"] != one["predicted"] for one in kept["mistakes"])
    figures = {file.path for file in files(client, first, "evaluation")}
    assert {f"evaluation/{name}.png" for name in ("confusion", "reliability", "mistakes")} <= figures
    lines = call("evaluate", "--model", MODEL, "--version", "1").splitlines()
    assert lines[-1] == f"test accuracy {evaluation['test_accuracy']:.4f}"
    assert f"calibration error {evaluation['calibration_error']:.4f}" in lines[-2]
    assert len(client.get_metric_history(first["run_id"], "test/accuracy")) == 1

    listed = json.loads(call("registry", "list", MODEL, "--json"))["versions"]
    assert [(version["version"], version["aliases"]) for version in listed] == [(2, []), (1, ["production"])]
    assert "production" in call("registry", "list", MODEL)

    answer = json.loads(call("predict", "--model", MODEL, "--index", "3", "--json"))
    label = load("digits", environment).test.labels[3]
    assert (answer["version"], answer["alias"], answer["label"]) == (1, "production", str(int(label)))
    assert 0.1 < answer["probability"] <= 1
    assert f"true class {answer['label']}" in call("predict", "--model", MODEL, "--index", "3")

    with pytest.raises(DataError, match="Test image 359 does not exist; digits has 359, numbered from 0 to 358"):
        call("predict", "--model", MODEL, "--index", "359")
    with pytest.raises(RegistryError, match="No version of digits-classifier has the alias shadow; it has production"):
        call("predict", "--model", MODEL, "--alias", "shadow")
    with pytest.raises(RegistryError, match="has no version 9; it has 1, 2"):
        call("evaluate", "--model", MODEL, "--version", "9")


def test_a_model_that_was_never_registered_is_named(call: Call) -> None:
    with pytest.raises(RegistryError, match="No registered model nothing"):
        call("predict", "--model", "nothing")


def test_a_run_that_diverges_is_recorded_as_failed(call: Call, environment: PlatformEnvironment) -> None:
    with pytest.raises(TrainingDiverged):
        train(call, "--set", "optim.lr=1e12")
    client = connect(environment)
    experiment = client.get_experiment_by_name("digits")
    assert experiment is not None
    [run] = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FAILED"
    assert "test/accuracy" not in run.data.metrics
