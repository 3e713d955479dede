from __future__ import annotations

import signal
from contextlib import nullcontext

import pytest
from mlflow import MlflowClient

from workloads.environment import PlatformEnvironment
from workloads.errors import Stopped, TrackingError
from workloads.tracking.tracker import MlflowTracker, NoTracking, end_run


def start(environment: PlatformEnvironment, run_name: str = "a run") -> MlflowTracker:
    return MlflowTracker.start(
        environment,
        experiment="trials",
        run_name=run_name,
        params={"optim.lr": 0.1, "max_steps": None},
        tags={"a": "b"},
    )


@pytest.mark.parametrize(
    ("error", "status"),
    [
        pytest.param(None, "FINISHED", id="well"),
        pytest.param(ValueError("wrong"), "FAILED", id="error"),
        pytest.param(KeyboardInterrupt(), "KILLED", id="Ctrl-C"),
        pytest.param(Stopped(signal.SIGTERM), "KILLED", id="SIGTERM"),
    ],
)
def test_the_record_says_how_the_run_ended(
    environment: PlatformEnvironment, error: BaseException | None, status: str
) -> None:
    tracker = start(environment)
    with pytest.raises(type(error)) if error else nullcontext(), tracker:
        if error:
            raise error
    info = tracker.client.get_run(tracker.run_id).info
    assert info.status == status
    assert info.end_time >= info.start_time


def test_a_run_that_has_not_ended_has_no_end(environment: PlatformEnvironment) -> None:
    with start(environment) as tracker:
        tracker.log_metrics({"train/loss": 0.5}, step=7)
        info = tracker.client.get_run(tracker.run_id).info
    assert (info.status, info.end_time) == ("RUNNING", None)


def test_parameters_metrics_tags_and_texts_are_kept(environment: PlatformEnvironment) -> None:
    with start(environment) as tracker:
        tracker.log_metrics({"train/loss": 0.5, "val/accuracy": 0.9}, step=7)
        tracker.log_text("seed: 0", "config.yaml")
    run = tracker.client.get_run(tracker.run_id)
    assert run.data.params == {"optim.lr": "0.1", "max_steps": "None"}
    assert run.data.tags["a"] == "b"
    [point] = tracker.client.get_metric_history(tracker.run_id, "val/accuracy")
    assert (point.value, point.step) == (0.9, 7)
    assert [file.path for file in tracker.client.list_artifacts(tracker.run_id)] == ["config.yaml"]


def test_runs_of_one_config_are_in_one_experiment(environment: PlatformEnvironment) -> None:
    assert start(environment, "first").experiment_id == start(environment, "second").experiment_id


def test_a_run_that_could_not_say_so_itself_is_ended_by_name(environment: PlatformEnvironment) -> None:
    lost, other = start(environment, "lost"), start(environment, "other")
    end_run(environment, experiment="trials", run_name="lost", status="FAILED")
    end_run(environment, experiment="never made", run_name="lost", status="FAILED")
    client: MlflowClient = lost.client
    ended, running = (client.get_run(tracker.run_id).info for tracker in (lost, other))
    assert (ended.status, running.status) == ("FAILED", "RUNNING")
    assert ended.end_time >= ended.start_time
    assert running.end_time is None


def test_a_run_that_said_how_it_ended_keeps_the_time_at_which_it_did(environment: PlatformEnvironment) -> None:
    tracker = start(environment)
    tracker.end("FAILED")
    before = tracker.client.get_run(tracker.run_id).info.end_time
    end_run(environment, experiment="trials", run_name="a run", status="FAILED")
    assert tracker.client.get_run(tracker.run_id).info.end_time == before


def test_a_request_that_the_server_refuses_names_the_server(environment: PlatformEnvironment) -> None:
    tracker = start(environment)
    tracker.run_id = "0" * 32
    with pytest.raises(TrackingError, match=rf"{environment.tracking_uri} could not carry out a request: .*not found"):
        tracker.log_metrics({"train/loss": 1.0}, step=1)


def test_a_run_that_is_not_tracked_takes_the_same_calls() -> None:
    with NoTracking() as tracker:
        tracker.log_metrics({"train/loss": 1.0}, step=1)
        tracker.log_text("text", "file")
    assert tracker.run_id is None
