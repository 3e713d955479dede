from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from typer.testing import CliRunner

from tests.workloads.tuning.searching import SMALL, nested_in, tune
from workloads.cli import app
from workloads.environment import PRICE, PlatformEnvironment
from workloads.errors import SearchError
from workloads.tracking.connection import connect

BAD_RATE = 1e12
SPACE = ("--set", f"search.space.optim.lr={{choice: [0.1, 0.02, {BAD_RATE:.0f}.0]}}")


@pytest.mark.parametrize("engine", ["optuna", pytest.param("ray", marks=pytest.mark.slow)])
def test_a_search_leaves_a_nested_run_for_each_trial_and_goes_on_after_a_failed_one(
    environment: PlatformEnvironment, searches: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    monkeypatch.setenv(PRICE, "3.6")
    workers: tuple[str, ...] = ()
    if engine == "optuna":
        workers = ("--workers", "1")
        monkeypatch.setitem(sys.modules, "ray", None)  # which this engine needs nothing of
    result = tune("digits", "--engine", engine, "--trials", "5", *workers, *SPACE, *SMALL)

    client = connect(environment)
    parent = client.get_run(result["run_id"])
    runs = {run.info.run_id: run for run in nested_in(client, parent)}
    assert set(runs) == {trial["run_id"] for trial in result["trials"]}
    assert len(runs) == 5
    assert not [run for run in client.search_runs([parent.info.experiment_id]) if run.info.status == "RUNNING"]

    states = {trial["state"] for trial in result["trials"]}
    assert "failed" in states
    assert states & {"complete", "pruned"}
    for trial in result["trials"]:
        run = runs[trial["run_id"]]
        assert run.data.params["optim.lr"] == str(trial["params"]["optim.lr"])
        assert run.data.params["model.width"] == str(trial["params"]["model.width"])
        assert run.data.tags["trial_state"] == trial["state"]
        assert run.data.metrics["seconds"] == pytest.approx(trial["seconds"])
        if trial["params"]["optim.lr"] == BAD_RATE:
            assert (trial["state"], trial["val_accuracy"], trial["epochs"]) == ("failed", None, 0)
            assert run.info.status == "FAILED"
            assert set(run.data.metrics) == {"seconds", "wasted_seconds", "price_usd"}
            assert "not finite at step" in run.data.tags["error"]
        else:
            assert run.info.status == "FINISHED"
            points = client.get_metric_history(run.info.run_id, "val/accuracy")
            assert [point.step for point in points] == [5, 10][: trial["epochs"]]  # 300 images in batches of 64
            assert points[-1].value == trial["val_accuracy"]

    assert parent.info.status == "FINISHED"
    best = max((trial for trial in result["trials"] if trial["val_accuracy"]), key=lambda trial: trial["val_accuracy"])
    assert result["best"]["val_accuracy"] == best["val_accuracy"]
    assert parent.data.params["best.optim.lr"] == str(result["best"]["params"]["optim.lr"])
    for key in ("seconds", "price_usd"):
        of_trials = sum(run.data.metrics[key] for run in runs.values())
        assert parent.data.metrics[f"search/{key}"] == pytest.approx(of_trials)
    slots = 1 if engine == "optuna" else 2
    assert parent.data.metrics["search/price_usd"] == pytest.approx(
        parent.data.metrics["search/seconds"] / 1000 / slots
    )
    kept = {file.path for file in client.list_artifacts(result["run_id"], "search")}
    assert {"search/trials.json", "search/history.png", "search/pareto.png"} <= kept
    with pytest.raises(SearchError, match="is finished"):
        tune("--resume", result["name"])


def test_the_engine_of_one_machine_loads_nothing_of_ray() -> None:
    code = "import sys; sys.modules['ray'] = None; import workloads.tuning.search, workloads.tuning.retrain"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_best_is_trained_as_long_as_a_run_is_and_the_study_is_kept_for_optuna(
    environment: PlatformEnvironment, searches: Path
) -> None:
    search = ("digits", "--engine", "optuna", "--workers", "1", "--trials", "4", "--no-tracking", "--run-name", "best")
    result = tune(*search, "--retrain", *SPACE, *SMALL, "--set", "epochs=5")
    assert max(trial["epochs"] for trial in result["trials"]) == 2
    best = json.loads((searches / "best-best" / "run.json").read_text())
    assert best["config"]["epochs"] == 5
    assert best["config"]["optim"]["lr"] == result["best"]["params"]["optim.lr"]
    assert result["retrained"]["test_accuracy"] > result["best"]["val_accuracy"] - 0.1
    assert result["retrained"] == json.loads((searches / "best-best" / "result.json").read_text())
    assert connect(environment).get_experiment_by_name("digits") is None

    storage = JournalStorage(JournalFileBackend(str(searches / "best" / "study.journal")))
    kept = optuna.load_study(study_name="best", storage=storage)
    names = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}
    assert [names[trial.state] for trial in kept.trials] == [trial["state"] for trial in result["trials"]]
    assert [trial.params for trial in kept.trials] == [trial["params"] for trial in result["trials"]]
    for trial, ours in zip(kept.trials, result["trials"], strict=True):
        assert len(trial.intermediate_values) == ours["epochs"]
        assert trial.value == ours["val_accuracy"]
        attributes = {"trial": ours["name"], "seconds": ours["seconds"], "error": ours["error"]}
        assert trial.user_attrs == {key: value for key, value in attributes.items() if value is not None}
    assert any("not finite at step" in trial.user_attrs.get("error", "") for trial in kept.trials)


def test_a_search_that_was_killed_after_the_best_was_trained_tells_of_that_run_and_trains_none_again(
    environment: PlatformEnvironment, searches: Path
) -> None:
    search = ("digits", "--engine", "optuna", "--workers", "1", "--trials", "1", "--no-tracking", "--run-name", "best")
    retrained = tune(*search, "--retrain", *SMALL, "--set", "epochs=1")["retrained"]
    (searches / "best" / "result.json").unlink()  # what is written last
    kept = {path: path.stat().st_mtime_ns for path in (searches / "best-best").rglob("*")}
    lines = CliRunner().invoke(app, ["tune", "--resume", "best"], catch_exceptions=False).stdout.splitlines()
    assert lines[-2:] == ["trained with it: version -", f"test accuracy {retrained['test_accuracy']:.4f}"]
    assert {path: path.stat().st_mtime_ns for path in (searches / "best-best").rglob("*")} == kept
    assert (searches / "best" / "result.json").is_file()
