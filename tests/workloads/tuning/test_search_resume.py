from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from threading import Thread

import boto3
import pytest
from mlflow import MlflowClient
from moto import mock_aws

from tests.workloads.tracking.mlflow_front import DOWN, UP, Front, mlflow_front
from tests.workloads.tuning.searching import SMALL, nested_in, tune
from workloads.checkpoints.store import FolderStore
from workloads.environment import CHECKPOINTS, JOB_CLUSTER, TRACKING_URI, PlatformEnvironment
from workloads.errors import Preempted, SearchError, TrackingError
from workloads.tracking.connection import connect
from workloads.tuning.study import Limits

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
    with pytest.raises(SearchError, match="Search tune-x7k2d is finished"):
        tune(*search, "100")
    client = connect(environment)
    experiment = client.get_experiment_by_name("digits")
    assert experiment
    assert len(client.search_runs([experiment.experiment_id])) == 1 + 2


@pytest.fixture
def front(environment: PlatformEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Front]:
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
    with pytest.raises(TrackingError, match=r"are saved, but not all of them are recorded.* tune --resume kept"):
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
    with pytest.raises(Preempted, match="resume it with: python -m workloads tune --resume ended"):
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
