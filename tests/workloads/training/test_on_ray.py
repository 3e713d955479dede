"""Ranks that Ray Train places: the weights of other launchers, also when nodes go and processes are killed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import ray
from ray.exceptions import RayActorError

from tests.workloads.training.test_kills import CONFIG, final_weights, finish, start, wait_for_step
from workloads.config import load_config
from workloads.environment import CHECKPOINTS, PlatformEnvironment
from workloads.errors import ClusterError, RankLost, TrainingDiverged, WorkloadError
from workloads.training.on_ray import root_failure, train_on_ray
from workloads.training.options import TrainOptions
from workloads.training.progress import Lines
from workloads.training.reports import StepReport

pytestmark = pytest.mark.timeout(900)  # a Ray cluster and several imports of torch, on a machine that may be busy
QUIET = {"tracking": False, "register": False, "test": False}
STEP = 12
"""At which something happens to the run."""


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CHECKPOINTS, str(tmp_path / "runs"))
    return tmp_path / "runs"


@pytest.fixture
def whole(runs: Path) -> Path:
    """A run of two ranks under torchrun that nobody disturbed."""
    finish(start("digits", "--run-name", "whole", "--ranks", "2", changes=CONFIG))
    return runs / "whole"


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A head without CPUs and three nodes with one each."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    for _ in range(3):
        made.add_node(num_cpus=1)
    yield made
    made.shutdown()


class Then(Lines):
    """Calls a function, in a thread of its own, when the run has come to a step."""

    def __init__(self, step: int, function: Any) -> None:
        self.step, self.thread = step, Thread(target=function)

    def on_step(self, report: StepReport) -> None:
        if report.step >= self.step and not self.thread.is_alive() and self.thread.ident is None:
            self.thread.start()


def ranks_now() -> list[dict[str, Any]]:
    """The workers that train, as Ray describes them."""
    actors = ray._private.state.actors().values()
    return [one for one in actors if "RayTrainWorker" in one["ActorClassName"] and one["State"] == "ALIVE"]


def train(cluster: Any, runs: Path, progress: Lines, **options: Any) -> None:
    here = PlatformEnvironment(checkpoints=str(runs), ray_address=cluster.address)
    train_on_ray(
        load_config("digits", CONFIG),
        TrainOptions(run_name="moved", **(QUIET | options)),
        here,
        num_ranks=2,
        progress=progress,
    )


@pytest.mark.slow
def test_a_node_that_is_drained_is_left_in_order_and_the_run_goes_on_elsewhere(
    cluster: Any, whole: Path, runs: Path, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[int] = []

    def drain() -> None:
        from ray import _raylet
        from ray.core.generated import autoscaler_pb2

        node = ranks_now()[0]["Address"]["NodeID"]
        deadline_ms = int((time.time() + 60) * 1000)
        reason = vars(autoscaler_pb2)["DrainNodeReason"].Value("DRAIN_NODE_REASON_PREEMPTION")
        gcs: Any = vars(_raylet)["GcsClient"](address=cluster.address)  # what `ray drain-node` uses
        taken, message = gcs.drain_node(node, reason, "spot", deadline_ms)
        assert taken, message
        seen.append(1)

    progress = Then(STEP, drain)
    train(cluster, runs, progress)
    progress.thread.join()
    assert seen
    assert "a node of the run is being terminated; its ranks are placed again" in caplog.text
    assert final_weights(runs / "moved").equal(final_weights(whole))


@pytest.mark.slow
def test_a_rank_that_is_killed_is_placed_anew_as_often_as_allowed(
    cluster: Any, whole: Path, runs: Path, caplog: pytest.LogCaptureFixture
) -> None:
    killed: list[int] = []

    def kill() -> None:
        killed.append(ranks_now()[-1]["Pid"])
        os.kill(killed[-1], signal.SIGKILL)

    progress = Then(STEP, kill)
    train(cluster, runs, progress, max_restarts=1)
    progress.thread.join()
    assert killed
    assert "restart 1 of 1" in caplog.text
    assert final_weights(runs / "moved").equal(final_weights(whole))


@pytest.mark.slow
def test_a_driver_that_is_asked_to_end_has_the_step_saved_and_goes_on_later_under_another_launcher(
    whole: Path, runs: Path
) -> None:
    process = start("digits", "--run-name", "moved", "--launcher", "ray", "--ranks", "2", changes=CONFIG)
    wait_for_step(runs / "moved", STEP, process)
    process.send_signal(signal.SIGTERM)
    stderr = finish(process, exit_code=75)
    assert "resume it with: python -m workloads train --resume moved" in stderr
    finish(start("--resume", "moved", "--ranks", "2"))
    assert final_weights(runs / "moved").equal(final_weights(whole))


@pytest.mark.slow
def test_a_fault_of_a_rank_is_one_message_and_nothing_is_left_running(runs: Path) -> None:
    changes = CONFIG | {"optim.lr": 1e9, "epochs": 1}
    process = start("digits", "--run-name", "bad", "--launcher", "ray", "--ranks", "2", changes=changes)
    stderr = finish(process, exit_code=1)
    assert stderr.strip().splitlines()[-1].startswith("workloads: Loss or weights are not finite at step ")
    assert "Traceback" not in stderr


def test_the_fault_that_a_rank_had_of_itself_is_told_and_not_that_others_lost_it() -> None:
    diverged = TrainingDiverged("not finite")
    assert root_failure({0: RankLost("Rank 0 lost another"), 1: diverged}) is diverged


def test_a_rank_whose_process_is_gone_can_be_placed_anew() -> None:
    error = root_failure({0: RankLost("Rank 0 lost another rank"), 1: RayActorError()})
    assert isinstance(error, RankLost)
    assert str(error).startswith("Rank 1 is gone: ")


def test_an_error_that_nobody_foresaw_is_named_with_its_rank() -> None:
    error = root_failure({1: ZeroDivisionError("division by zero")})
    assert type(error) is WorkloadError
    assert str(error) == "Rank 1 failed with ZeroDivisionError: division by zero"


def test_without_a_head_at_its_address_the_run_does_not_start() -> None:
    here = PlatformEnvironment(ray_address="127.0.0.1:1")
    with pytest.raises(ClusterError, match=r"RAY_ADDRESS is 127\.0\.0\.1:1 and no Ray head answers there"):
        train_on_ray(load_config("digits"), TrainOptions(run_name="none", **QUIET), here, num_ranks=2, progress=Lines())


@pytest.mark.slow
def test_a_job_that_is_submitted_again_goes_on_with_its_run(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = CONFIG | {"checkpoint.every_steps": "null", "epochs": 100_000}
    monkeypatch.setenv("MLP_JOB_CLUSTER", "digits-x7k2d-aaaaa")
    process = start("digits", changes=small)
    wait_for_step(runs / "digits-x7k2d", 6, process)
    process.send_signal(signal.SIGTERM)
    finish(process, exit_code=75)
    monkeypatch.setenv("MLP_JOB_CLUSTER", "digits-x7k2d-bbbbb")
    began_at = max(int(path.stem) for path in (runs / "digits-x7k2d").glob("checkpoints/*.json"))
    process = start("digits", changes=small)
    wait_for_step(runs / "digits-x7k2d", began_at + 6, process)
    process.send_signal(signal.SIGTERM)
    finish(process, exit_code=75)
    monkeypatch.setenv("MLP_JOB_CLUSTER", "digits-x7k2d-ccccc")
    assert "Run digits-x7k2d exists already" in finish(start("digits", changes=small | {"epochs": 3}), exit_code=1)
