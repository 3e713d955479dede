from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from threading import Thread
from typing import Any

import boto3
import optuna
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from moto import mock_aws
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from typer.testing import CliRunner

from tests.workloads.tracking.mlflow_front import DOWN, UP, Front, mlflow_front
from workloads.checkpoints.store import FolderStore
from workloads.cli import app
from workloads.config import load_config
from workloads.environment import CHECKPOINTS, JOB_CLUSTER, PRICE, TRACKING_URI, PlatformEnvironment
from workloads.errors import ClusterError, Preempted, SearchError, TrackingError, WorkloadError
from workloads.tracking.connection import connect
from workloads.tuning.options import PRESETS, SearchOptions
from workloads.tuning.search import check
from workloads.tuning.study import Limits

BAD_RATE = 1e12
SMALL = ("--set", "data.num_train=300", "--set", "num_threads=1", "--epochs", "2")
SPACE = ("--set", f"search.space.optim.lr={{choice: [0.1, 0.02, {BAD_RATE:.0f}.0]}}")


@pytest.fixture
def searches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The place for searches."""
    monkeypatch.setenv(CHECKPOINTS, str(tmp_path / "runs"))
    return tmp_path / "runs"


def tune(*arguments: str) -> dict[str, Any]:
    outcome = CliRunner().invoke(app, ["tune", *arguments, "--json"], catch_exceptions=False)
    answer: dict[str, Any] = json.loads(outcome.stdout)  # nothing else is on stdout
    return answer


def nested_in(client: MlflowClient, parent: Run) -> list[Run]:
    within = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
    return list(client.search_runs([parent.info.experiment_id], within))


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
    with pytest.raises(SearchError, match="reached its end"):
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
        told = {"trial": ours["name"], "seconds": ours["seconds"], "error": ours["error"]}
        assert trial.user_attrs == {key: value for key, value in told.items() if value is not None}
    assert any("not finite at step" in trial.user_attrs.get("error", "") for trial in kept.trials)


def test_a_search_that_was_killed_after_the_best_was_trained_tells_of_that_run_and_trains_none_again(
    environment: PlatformEnvironment, searches: Path
) -> None:
    search = ("digits", "--engine", "optuna", "--workers", "1", "--trials", "1", "--no-tracking", "--run-name", "best")
    retrained = tune(*search, "--retrain", *SMALL, "--set", "epochs=1")["retrained"]
    (searches / "best" / "result.json").unlink()  # what is written last
    kept = {path: path.stat().st_mtime_ns for path in (searches / "best-best").rglob("*")}
    told = CliRunner().invoke(app, ["tune", "--resume", "best"], catch_exceptions=False).stdout.splitlines()
    assert told[-2:] == ["trained with it: version -", f"test accuracy {retrained['test_accuracy']:.4f}"]
    assert {path: path.stat().st_mtime_ns for path in (searches / "best-best").rglob("*")} == kept
    assert (searches / "best" / "result.json").is_file()


LONG = ("--epochs", "12", "--set", "data.num_train=300", "--set", "num_threads=1", "--set", "search.grace_epochs=12")


@pytest.fixture
def _an_hour_a_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that goes on when a search looks at it: before each trial, and after each epoch."""
    hours = count()
    monkeypatch.setattr(Limits, "elapsed_s", property(lambda _: 3600 * next(hours)))


@pytest.mark.usefixtures("_an_hour_a_look")
def test_a_search_whose_folder_is_in_s3_goes_on_from_there(
    environment: PlatformEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv(CHECKPOINTS, "s3://searches/team")
    search = ("digits", "--engine", "optuna", "--workers", "1", "--trials", "2", "--no-tracking", "--run-name", "far")
    with mock_aws():
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket="searches")
        first = tune(*search, *LONG, "--max-hours", "5")
        assert first["ended_by"] == "--max-hours 5"
        [begun] = first["trials"]
        assert begun["epochs"] == 5
        second = tune("--resume", "far", "--max-hours", "100")
        names = {one["Key"] for one in s3.list_objects_v2(Bucket="searches")["Contents"]}
    assert [trial["epochs"] for trial in second["trials"]] == [12, 12]
    assert second["trials"][0]["seconds"] > begun["seconds"]
    own = {f"trials/0000{number}/{name}.json" for number in (0, 1) for name in ("trial", "result")}
    whole = {"search.json", "result.json", "attempts/0001.json", "attempts/0002.json"} | own
    assert names == {f"team/far/{name}" for name in whole}


@pytest.mark.usefixtures("_an_hour_a_look")
def test_a_job_that_is_submitted_again_goes_on_with_its_search(
    environment: PlatformEnvironment, searches: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = ("digits", "--engine", "optuna", "--workers", "1", "--trials", "2", *LONG, "--max-hours")
    monkeypatch.setenv(JOB_CLUSTER, "tune-x7k2d-aaaaa")
    assert tune(*search, "0.5")["ended_by"] == "--max-hours 0.5"
    monkeypatch.setenv(JOB_CLUSTER, "tune-x7k2d-bbbbb")
    with pytest.raises(SearchError, match=r"--max-hours 0\.5 before .* --resume tune-x7k2d"):
        tune(*search, "0.5")
    result = tune(*search, "100")
    assert result["name"] == "tune-x7k2d"
    assert [trial["state"] for trial in result["trials"]] == ["complete", "complete"]
    assert len(list(searches.glob("tune-x7k2d/attempts/*"))) == 3
    monkeypatch.setenv(JOB_CLUSTER, "tune-x7k2d-ccccc")
    with pytest.raises(SearchError, match="Search tune-x7k2d reached its end"):
        tune(*search, "100")
    client = connect(environment)
    experiment = client.get_experiment_by_name("digits")
    assert experiment
    assert len(client.search_runs([experiment.experiment_id])) == 1 + 2


@pytest.fixture
def pareto_front(environment: PlatformEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Front]:
    assert environment.tracking_uri
    with mlflow_front(environment.tracking_uri, tmp_path / "artifacts", monkeypatch) as server:
        monkeypatch.setenv(TRACKING_URI, server.uri)
        yield server


@pytest.mark.filterwarnings("ignore:starlette.middleware.wsgi is deprecated")  # MLflow's server, of its own parts
def test_what_a_server_that_fails_does_not_get_is_sent_when_the_search_goes_on(front: Front, searches: Path) -> None:
    def shut_once_begun() -> None:
        while not (searches / "kept" / "search.json").exists():
            time.sleep(0.005)
        front.mode = DOWN

    search = ("digits", "--engine", "optuna", "--workers", "1", "--trials", "2", "--run-name", "kept", *SMALL)
    thread = Thread(target=shut_once_begun)
    thread.start()
    with pytest.raises(TrackingError, match=r"is kept, but not all of it is recorded.* tune --resume kept"):
        tune(*search, "--set", "tracking.wait_s=0")
    thread.join()
    results = sorted(searches.glob("kept/trials/*/result.json"))
    assert len(results) == 2
    written = [path.stat().st_mtime_ns for path in results]

    front.mode = UP
    result = tune("--resume", "kept")
    assert [path.stat().st_mtime_ns for path in results] == written  # nothing was run again
    client = MlflowClient(front.uri)
    parent = client.get_run(result["run_id"])
    runs = nested_in(client, parent)
    assert {run.info.run_id for run in runs} == {trial["run_id"] for trial in result["trials"]}
    for run in [parent, *runs]:
        assert run.info.status == "FINISHED"
    for trial in result["trials"]:
        points = client.get_metric_history(trial["run_id"], "epoch")
        assert [point.value for point in points] == [1, 2][: trial["epochs"]]


def test_a_search_that_is_asked_to_end_closes_its_record_and_goes_on_with_the_same_runs(
    environment: PlatformEnvironment, searches: Path
) -> None:
    def end_in_second_trial() -> None:
        while not list(searches.glob("ended/trials/00001/checkpoints/*30.json")):  # of six epochs, five steps each
            time.sleep(0.002)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = Thread(target=end_in_second_trial)
    thread.start()
    search = ("digits", "--engine", "optuna", "--workers", "1", "--trials", "3", "--run-name", "ended")
    # All trials have all of their many epochs.
    epochs = (
        "--epochs",
        "12",
        "--set",
        "num_threads=1",
        "--set",
        "data.num_train=300",
        "--set",
        "search.grace_epochs=12",
    )
    with pytest.raises(Preempted, match="go on with it by: python -m workloads tune --resume ended"):
        tune(*search, *epochs)
    thread.join()
    client = connect(environment)
    experiment = client.get_experiment_by_name("digits")
    assert experiment
    states = {run.info.status for run in client.search_runs([experiment.experiment_id])}
    assert states == {"FINISHED", "KILLED"}

    result = tune("--resume", "ended")
    assert [trial["epochs"] for trial in result["trials"]] == [12, 12, 12]
    runs = client.search_runs([experiment.experiment_id])
    assert len(runs) == 4
    for run in runs:
        assert run.info.status == "FINISHED"
    for trial in result["trials"]:
        points = client.get_metric_history(trial["run_id"], "epoch")
        assert [point.value for point in points] == list(range(1, 13))
        run = client.get_run(trial["run_id"])
        assert run.data.tags["trial_state"] == "complete"
        assert run.data.metrics["wasted_seconds"] < 3 * run.data.metrics["seconds"] / 12  # it did not begin anew
    assert not list(searches.glob("ended/trials/*/checkpoints/*"))


def test_a_full_disk_ends_the_search_with_its_record_closed_and_it_goes_on_when_there_is_room(
    environment: PlatformEnvironment, searches: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = FolderStore.write

    def has_no_room(store: FolderStore, name: str, data: bytes) -> None:
        if name == "trials/00001/result.json":
            raise OSError(errno.ENOSPC, "No space left on device")
        write(store, name, data)

    with monkeypatch.context() as full:
        full.setattr(FolderStore, "write", has_no_room)
        with pytest.raises(OSError, match="No space left"):
            tune("digits", "--engine", "optuna", "--workers", "1", "--trials", "3", "--run-name", "full", *SMALL)
    client = connect(environment)
    experiment = client.get_experiment_by_name("digits")
    assert experiment
    statuses = [run.info.status for run in client.search_runs([experiment.experiment_id])]
    assert "RUNNING" not in statuses
    assert "FAILED" in statuses
    result = tune("--resume", "full")
    assert len(result["trials"]) == 3
    assert {run.info.status for run in client.search_runs([experiment.experiment_id])} == {"FINISHED"}


@pytest.mark.parametrize(
    "answer", [None, b"", b"HTTP/1.0 400 Bad request"], ids=["nothing", "hangs up", "another server"]
)
def test_without_a_head_at_its_address_the_search_does_not_start(answer: bytes | None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        if answer is None:
            server.close()
        thread = Thread(target=answer_once, args=(server, answer or b""))
        thread.start()
        here = PlatformEnvironment(ray_address=address)
        with pytest.raises(ClusterError, match=rf"RAY_ADDRESS is {address} and no Ray head answers .* `mlp up`"):
            check(load_config("digits"), SearchOptions(tracking=False), here)
        thread.join()


def answer_once(server: socket.socket, answer: bytes) -> None:
    with suppress(OSError):  # the server that is closed has nobody to answer
        connection, _ = server.accept()
        with connection:
            connection.recv(100)
            connection.sendall(answer)


def test_all_that_is_wrong_with_a_search_is_told_at_once() -> None:
    options = SearchOptions(
        engine="hyperopt",
        sampler="grid",
        num_trials=0,
        max_concurrent=0,
        ranks_per_trial=100,
        max_hours=0,
        budget_usd=1,
        tracking=False,
    )
    config = load_config("digits", {"search": {"grace_epochs": 3}, "epochs": 2})
    with pytest.raises(SearchError) as raised:
        check(config, options, PlatformEnvironment())
    for told in (
        "--engine is hyperopt; it must be one of ray, optuna",
        "--sampler is grid; it must be one of random, tpe",
        "--num-samples is 0; it must be at least 1",
        "--max-concurrent is 0; it must be at least 1",
        "--ranks-per-trial is 100; it must be at most global_batch_size, 64",
        "--max-hours is 0; it must be above 0",
        "--budget-usd is 1 and MLP_PRICE_USD_PER_HOUR is not set",
        "there is no search space; add search.space",
        "search.grace_epochs is 3 and a trial has 2 epochs",
    ):
        assert told in str(raised.value)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "Name a CONFIG, one of "),
        (("digits", "--preset", "fast"), "--preset is fast; it must be one of quick, standard, extensive"),
        (("--resume", "none"), "There is no search none in"),
        (("--resume", "none", "--set", "search.space.optim.lr={choice: [1]}"), "its space and epochs too; leave out"),
        (("digits", "--resume", "none"), "Search none goes on as it was begun"),
        (("digits", "--storage", "sqlite:///study.db"), "it must be postgresql://… or the path of a journal file"),
        (("digits", "--storage", "postgresql://u:secret@127.0.0.1:1/d"), "Storage postgresql://u:***@127.0.0.1:1/d"),
        (("digits", "--budget-usd", "0"), "--budget-usd is 0; it must be above 0"),
        (("digits", "--ranks-per-trial", "0"), "--ranks-per-trial is 0; it must be at least 1"),
        (("digits", "--ranks-per-trial", "2"), "--ranks-per-trial is 2; it must be 1, or use --engine ray"),
    ],
)  # fmt: skip
def test_a_search_that_cannot_begin_or_go_on_is_refused_and_leaves_nothing(
    environment: PlatformEnvironment, searches: Path, arguments: tuple[str, ...], told: str
) -> None:
    with pytest.raises(WorkloadError) as raised:
        tune(*arguments, "--engine", "optuna")
    assert told in str(raised.value)
    assert "secret" not in str(raised.value)
    assert connect(environment).get_experiment_by_name("digits") is None
    assert not list(searches.glob("**/*"))


def test_the_help_says_how_many_trials_and_epochs_a_preset_has() -> None:
    said = " ".join(CliRunner().invoke(app, ["tune", "--help"]).stdout.split())
    (trials, epochs), *others = PRESETS.values()
    others_said = ", ".join(f"{name} ({n} of {e})" for name, (n, e) in zip(list(PRESETS)[1:], others, strict=True))
    assert f"{next(iter(PRESETS))} ({trials} trials of {epochs} epochs), {others_said}" in said


def test_a_dry_run_tells_time_and_price_and_refuses_what_is_above_the_budget(
    environment: PlatformEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PRICE, "7.2")
    search = ("digits", "--dry-run", "--engine", "optuna", "--workers", "2", "--preset", "standard")
    found = tune(*search)
    assert (found["num_trials"], found["num_epochs"], found["num_slots"]) == (50, 10, 2)
    assert 50 < found["epochs"] < 500 * 0.4
    assert found["hours"] == pytest.approx(found["epochs"] * found["seconds_per_epoch"] / 2 / 3600)
    assert found["usd"] == pytest.approx(found["hours"] * 7.2)
    with pytest.raises(SearchError, match=r"The search would cost about .* above the budget of 0\.00 USD"):
        tune(*search, "--budget-usd", "0.000001")
    assert connect(environment).get_experiment_by_name("digits") is None
