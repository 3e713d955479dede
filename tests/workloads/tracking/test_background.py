"""Metrics of a run whose server is slow, gone, or takes them and says that it did not."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.workloads.tracking.mlflow_front import DEAF, DOWN, UP, Front, mlflow_front
from workloads.environment import PlatformEnvironment
from workloads.errors import Preempted, TrackingError
from workloads.tracking.background import BackgroundTracker, send_remaining
from workloads.tracking.connection import connect
from workloads.tracking.spool import FILE, Spool
from workloads.tracking.tracker import MlflowTracker

SOON_S, NEVER_S = 0.02, 1000.0


@pytest.fixture
def front(environment: PlatformEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Front]:
    assert environment.tracking_uri
    with mlflow_front(environment.tracking_uri, tmp_path / "artifacts", monkeypatch) as front:
        yield front


@pytest.fixture
def behind(environment: PlatformEnvironment, front: Front) -> PlatformEnvironment:
    """The environment of a process that reaches the server through the door."""
    return replace(environment, tracking_uri=front.uri)


@pytest.fixture
def database(environment: PlatformEnvironment) -> MlflowClient:
    """What the server really has."""
    return MlflowClient(tracking_uri=environment.tracking_uri)


def begun(environment: PlatformEnvironment) -> MlflowTracker:
    return MlflowTracker.start(environment, experiment="e", run_name="a", params={}, tags={})


def background(tracker: MlflowTracker, folder: Path, every_s: float = SOON_S, wait_s: float = 60) -> BackgroundTracker:
    spool = Spool(folder / FILE, run_id=tracker.run_id, run_name="a")
    return BackgroundTracker(tracker, spool, every_s=every_s, wait_s=wait_s, resend_name="a")


def points(database: MlflowClient, run_id: str, key: str = "loss") -> list[tuple[int, float]]:
    """Step and value of each point that the server has."""
    return sorted((point.step, point.value) for point in database.get_metric_history(run_id, key))


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def status(database: MlflowClient, run_id: str) -> str:
    return str(database.get_run(run_id).info.status)


def end_time(database: MlflowClient, run_id: str) -> int | None:
    """Unix time in milliseconds; None if the server knows of no end."""
    found: int | None = database.get_run(run_id).info.end_time
    return found


def test_whatever_the_server_does_each_point_arrives_once_with_the_time_at_which_it_was_taken(
    behind: PlatformEnvironment, front: Front, database: MlflowClient, tmp_path: Path
) -> None:
    with background(begun(behind), tmp_path) as tracker:
        for number, mode in enumerate((UP, DEAF, UP, DOWN, UP)):
            for step in range(number * 40 + 1, number * 40 + 41):
                tracker.log_metrics({"loss": 1 / step, "lr": step / 2}, step)
            if mode == UP:
                front.mode = UP
            else:
                front.shut(mode)
    assert points(database, tracker.run_id) == [(step, 1 / step) for step in range(1, 201)]
    assert points(database, tracker.run_id, "lr") == [(step, step / 2) for step in range(1, 201)]
    times = [point.timestamp for point in database.get_metric_history(tracker.run_id, "loss")]
    assert len(set(times)) > 1
    assert status(database, tracker.run_id) == "FINISHED"


def test_training_goes_on_while_the_server_keeps_a_request_waiting(
    behind: PlatformEnvironment, front: Front, database: MlflowClient, tmp_path: Path
) -> None:
    with background(begun(behind), tmp_path) as tracker:
        front.answers.clear()
        front.asked.clear()
        tracker.log_metrics({"loss": 1.0}, 1)
        assert front.asked.wait(60)
        for step in range(2, 2001):  # all of it while the server has not answered the first
            tracker.log_metrics({"loss": 1.0}, step)
        tracker.log_text("a text", "file.txt")
        assert points(database, tracker.run_id) == []
        front.answers.set()
    assert [step for step, _ in points(database, tracker.run_id)] == list(range(1, 2001))
    assert [file.path for file in database.list_artifacts(tracker.run_id)] == ["file.txt"]


def test_metrics_go_out_together_and_never_more_than_a_request_may_hold(
    behind: PlatformEnvironment, front: Front, tmp_path: Path
) -> None:
    with background(begun(behind), tmp_path, every_s=NEVER_S) as tracker:
        front.batches.clear()
        for step in range(1, 1251):
            tracker.log_metrics({"loss": 1.0, "lr": 1.0}, step)
        assert front.batches == []
    assert front.batches == [1000, 1000, 500]


@pytest.mark.parametrize(
    ("error", "ended"), [pytest.param(None, "FINISHED", id="end"), pytest.param(Preempted("x"), "KILLED", id="notice")]
)
def test_what_could_not_be_sent_is_told_with_the_command_that_sends_it(
    behind: PlatformEnvironment,
    front: Front,
    database: MlflowClient,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    error: Exception | None,
    ended: str,
) -> None:
    tracker = background(begun(behind), tmp_path, wait_s=0.1)
    tracker.__enter__()
    front.mode = DOWN
    for step in range(1, 1501):
        tracker.log_metrics({"loss": 1.0}, step)
    before_ms = time.time() * 1000
    tracker.__exit__(type(error) if error else None, error, None)
    after_ms = time.time() * 1000
    assert f"1501 values of run a are not on the tracking server {front.uri} yet" in caplog.text
    assert caplog.text.rstrip().endswith("send them by: python -m workloads tracking send a")
    assert status(database, tracker.run_id) == "RUNNING"
    assert end_time(database, tracker.run_id) is None

    found = Spool.open_existing(tmp_path / FILE)
    assert found
    with found as spool, pytest.raises(TrackingError, match="1501 of 1501 values are left; send them by the same comm"):
        send_remaining(MlflowClient(tracking_uri=front.uri), spool)
    front.mode = UP
    for expected in (1501, 0):
        found = Spool.open_existing(tmp_path / FILE)
        assert found
        with found as spool:
            assert send_remaining(connect(behind), spool) == expected
    assert [step for step, _ in points(database, tracker.run_id)] == list(range(1, 1501))
    assert status(database, tracker.run_id) == ended
    assert int(before_ms) <= (end_time(database, tracker.run_id) or 0) <= after_ms  # not when it was sent


def test_a_process_that_is_killed_leaves_its_points_to_the_next_which_records_only_what_is_new(
    behind: PlatformEnvironment, database: MlflowClient, tmp_path: Path
) -> None:
    killed = background(begun(behind), tmp_path)  # its thread never starts, and it never ends
    for step in range(1, 101):
        killed.log_metrics({"loss": float(step)}, step)
    with (tmp_path / FILE).open("ab") as file:
        file.write(b'{"metrics": {"lo')  # cut off in the midst of a line
    again = MlflowTracker.resume(behind, run_id=killed.run_id, experiment_id=killed.experiment_id)
    with background(again, tmp_path) as tracker:
        for step in range(81, 121):  # from a checkpoint at step 80
            tracker.log_metrics({"loss": -1.0}, step)
        until(lambda: not tracker.spool.num_unsent())
        assert (status(database, tracker.run_id), end_time(database, tracker.run_id)) == ("RUNNING", None)
    assert end_time(database, tracker.run_id)
    assert points(database, tracker.run_id) == [
        *((step, float(step)) for step in range(1, 101)),
        *((step, -1.0) for step in range(101, 121)),
    ]


def test_what_the_server_took_without_our_knowing_is_sent_again_to_no_effect(
    behind: PlatformEnvironment, database: MlflowClient, tmp_path: Path
) -> None:
    values = {1: 0.1, 2: math.nan, 3: math.inf, 4: -math.inf, 5: 1e-300}
    with background(begun(behind), tmp_path) as tracker:
        for step, value in values.items():
            tracker.log_metrics({"loss": value}, step)
    before = points(database, tracker.run_id)
    (tmp_path / FILE).with_suffix(".sent").unlink()
    again = MlflowTracker.resume(behind, run_id=tracker.run_id, experiment_id=tracker.experiment_id)
    with background(again, tmp_path) as tracker:
        pass
    after = points(database, tracker.run_id)
    assert [step for step, _ in after] == [step for step, _ in before] == [1, 2, 3, 4, 5]
    assert math.isnan(after[1][1])


def test_a_run_that_goes_on_without_the_file_asks_the_server_what_it_has(
    behind: PlatformEnvironment, database: MlflowClient, tmp_path: Path
) -> None:
    with background(begun(behind), tmp_path / "gone") as tracker:
        tracker.log_metrics({"loss": 1.0}, 7)
    again = MlflowTracker.resume(behind, run_id=tracker.run_id, experiment_id=tracker.experiment_id)
    with background(again, tmp_path / "new") as tracker:
        for step in (6, 7, 8):
            tracker.log_metrics({"loss": 2.0}, step)
    assert points(database, tracker.run_id) == [(7, 1.0), (8, 2.0)]


def test_how_the_process_before_ended_does_not_end_the_run_that_goes_on(
    behind: PlatformEnvironment, front: Front, database: MlflowClient, tmp_path: Path
) -> None:
    lost = background(begun(behind), tmp_path, wait_s=0)
    lost.__enter__()
    lost.log_metrics({"loss": 1.0}, 1)
    front.mode = DOWN
    lost.__exit__(ValueError, ValueError("wrong"), None)
    lost._thread.join()
    front.mode = UP
    again = MlflowTracker.resume(behind, run_id=lost.run_id, experiment_id=lost.experiment_id)
    with background(again, tmp_path) as tracker:
        until(lambda: not tracker.spool.num_unsent())
        assert points(database, tracker.run_id) == [(1, 1.0)]
        assert status(database, tracker.run_id) == "RUNNING"
    assert status(database, tracker.run_id) == "FINISHED"


def test_tags_that_were_not_sent_are_known_to_the_next_process_all_the_same(
    behind: PlatformEnvironment, front: Front, database: MlflowClient, tmp_path: Path
) -> None:
    tracker = background(begun(behind), tmp_path, wait_s=0.1)
    with tracker:
        front.mode = DOWN
        tracker.set_tags({"wasted_seconds": "7"})
    tracker._thread.join()
    front.mode = UP
    again = MlflowTracker.resume(behind, run_id=tracker.run_id, experiment_id=tracker.experiment_id)
    assert "wasted_seconds" not in again.tags
    with background(again, tmp_path) as tracker:
        assert tracker.tags["wasted_seconds"] == "7"
    assert database.get_run(tracker.run_id).data.tags["wasted_seconds"] == "7"


def test_the_machine_is_looked_at_while_training_once_a_step(
    behind: PlatformEnvironment, database: MlflowClient, tmp_path: Path
) -> None:
    looks: list[float] = []

    def look() -> dict[str, float]:
        looks.append(50.0)
        return {"system/cpu_percent": 50.0}

    tracker = background(begun(behind), tmp_path)
    tracker.sample = look
    with tracker:
        for step in (1, 2, 3):
            tracker.log_metrics({"loss": 1.0}, step)
            looks.clear()
            until(lambda: len(looks) > 3)
    recorded = [step for step, _ in points(database, tracker.run_id, "system/cpu_percent")]
    assert recorded in ([1, 2, 3], [0, 1, 2, 3])


def test_a_disk_that_takes_no_more_costs_points_and_not_the_run(
    behind: PlatformEnvironment, database: MlflowClient, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def full(descriptor: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    with background(begun(behind), tmp_path) as tracker:
        tracker.log_metrics({"loss": 1.0}, 1)
        with pytest.MonkeyPatch.context() as disk:
            disk.setattr("workloads.tracking.spool.os.write", full)
            tracker.log_metrics({"loss": 1.0}, 2)
            tracker.log_metrics({"loss": 1.0}, 3)
        tracker.log_metrics({"loss": 1.0}, 4)
    assert [step for step, _ in points(database, tracker.run_id)] == [1, 4]
    assert caplog.text.count("No space left on device: what the run records from now on may be missing") == 1
