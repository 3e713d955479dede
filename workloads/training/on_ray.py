"""Ranks on a Ray cluster: Ray Train places them and watches their nodes; state and restarts are ours.

A rank that is notified of its node's termination (a spot notice, a drained pod) has all ranks save their state after a
step; then they are placed anew and continue.
"""

from __future__ import annotations

import logging
import os
import secrets
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from logging.handlers import QueueHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from workloads.config import TrainConfig
from workloads.environment import PlatformEnvironment
from workloads.errors import ClusterError, Preempted, RankLost, Stopped, WorkloadError, first_line
from workloads.ranks import Ranks
from workloads.ray_cluster import check_head, connected_to_ray
from workloads.stop_request import StopRequest
from workloads.training.progress import Progress
from workloads.training.reports import EpochReport, StepReport

if TYPE_CHECKING:
    from ray.util.queue import Queue

    from workloads.training.options import TrainOptions
    from workloads.training.run import TrainResult

logger = logging.getLogger(__name__)

POLL_EVERY_S = 0.5
"""Interval in seconds at which the driver polls for the ranks' reports and for its own stop signals."""
SETTINGS = {
    "RAY_TRAIN_PREEMPTION_POLL_INTERVAL_S": "1",  # Ray's default of 5 s is long against a pod's notice
    "RAY_TRAIN_METRICS_ENABLED": "0",  # ours are served by rank 0
}


@dataclass(frozen=True, kw_only=True)
class Queues:
    """The queues between the driver and rank 0."""

    reports: Queue
    """Reports and log records for the driver."""
    stop_requests: Queue
    """Stop requests for rank 0; not empty when the driver was asked to stop."""


@dataclass(frozen=True)
class StoppedEarly:
    """A rank's result when all of them stopped in order before the last step."""

    text: str | None
    """How to resume; None if no state was saved."""


def train_on_ray(
    config: TrainConfig,
    options: TrainOptions,
    environment: PlatformEnvironment,
    *,
    num_ranks: int,
    progress: Progress,
) -> TrainResult:
    """Train on `num_ranks` workers of the cluster at RAY_ADDRESS, or of one started on this machine.

    Ranks that end because a node is terminated are placed anew, however often; those that are lost otherwise up to
    `options.max_restarts` times. Raises WorkloadError, Preempted or Stopped.
    """
    check_head(environment)
    environment = _with_absolute_paths(environment)
    variables = {} if environment.ray_address else {"GLOO_SOCKET_IFNAME": "lo"}
    os.environ |= {key: os.environ.get(key, value) for key, value in SETTINGS.items()}
    os.environ.setdefault("RAY_TRAIN_COLLECTIVE_TIMEOUT_S", str(config.timeout_s))
    with StopRequest() as stop, connected_to_ray(environment, num_cpus=num_ranks, variables=variables):
        stop.install()  # Ray has a handler of its own
        losses = restarts = 0
        while True:
            try:
                ended = _attempt(config, options, environment, num_ranks, restarts, progress, stop)
            except RankLost as lost:
                losses += 1
                if losses > options.max_restarts:
                    raise
                logger.warning("%s; restart %d of %d", lost, losses, options.max_restarts)
            else:
                if not isinstance(ended, StoppedEarly):
                    return ended
                if stop.is_requested:
                    if ended.text is None:
                        stop.raise_if_requested()
                    raise Preempted(str(ended.text))
                logger.warning("a node of the run is being terminated; its ranks are placed again")
            stop.raise_if_requested()
            restarts += 1


def _attempt(
    config: TrainConfig,
    options: TrainOptions,
    environment: PlatformEnvironment,
    num_ranks: int,
    restarts: int,
    progress: Progress,
    stop: StopRequest,
) -> TrainResult | StoppedEarly:
    """Place the ranks once; raise RankLost where they can resume from a checkpoint, else WorkloadError."""
    from ray.train.torch import TorchConfig
    from ray.train.v2.api.config import FailureConfig, RunConfig, ScalingConfig  # `ray.train`'s are typed as version 1
    from ray.train.v2.torch.torch_trainer import TorchTrainer
    from ray.util.queue import Queue

    use_gpu = _uses_gpu(config, num_ranks)
    _warn_if_too_small(num_ranks, use_gpu=use_gpu)
    queues = Queues(reports=Queue(actor_options={"num_cpus": 0}), stop_requests=Queue(actor_options={"num_cpus": 0}))
    # The environment holds logins: Ray shows the training config in its dashboard, but not the function.
    job = _Job(config=config, options=options, environment=environment, restarts=restarts, queues=queues)
    with tempfile.TemporaryDirectory(prefix="workloads-ray-") as folder, ThreadPoolExecutor(1) as thread:
        trainer = TorchTrainer(
            cast("Callable[[], None]", job.train),  # rank 0's result is the trainer's `return_value`
            torch_config=TorchConfig(timeout_s=int(config.timeout_s)),
            scaling_config=ScalingConfig(num_workers=num_ranks, use_gpu=use_gpu),
            run_config=RunConfig(
                name=f"{options.run_name}-{secrets.token_hex(2)}",  # Ray resumes a name that it knows
                storage_path=folder,
                failure_config=FailureConfig(max_failures=0, max_preemption_failures=0),
            ),
        )
        fitted: Future[Any] = thread.submit(trainer.fit)
        _forward_until_done(fitted, queues, progress, stop)
        return _result_of(fitted)


def _forward_until_done(fitted: Future[Any], queues: Queues, progress: Progress, stop: StopRequest) -> None:
    """Forward rank 0's reports until the ranks have ended, and a stop request to them."""
    is_passed_on = False
    while not fitted.done():
        with suppress(FutureTimeoutError):
            fitted.exception(timeout=POLL_EVERY_S)
        if stop.is_requested and not is_passed_on:
            queues.stop_requests.put(stop.signal_number)
            is_passed_on = True
        _show(queues.reports, progress)
    _show(queues.reports, progress)


def _show(reports: Queue, progress: Progress) -> None:
    for one in reports.get_nowait_batch(reports.qsize()):
        match one:
            case StepReport():
                progress.on_step(one)
            case EpochReport():
                progress.on_epoch(one)
            case logging.LogRecord():
                logging.getLogger(one.name).handle(one)


def _result_of(fitted: Future[Any]) -> TrainResult | StoppedEarly:
    from ray.train.v2.api.exceptions import ControllerError, PreemptionError, TrainingFailedError, WorkerGroupError

    try:
        ended: TrainResult | StoppedEarly = fitted.result().return_value
    except PreemptionError:
        return StoppedEarly("A node of the run was terminated before its ranks had ended")
    except WorkerGroupError as error:
        raise root_failure(error.worker_failures) from error
    except ControllerError as error:
        raise ClusterError(f"Ray could not run the ranks: {first_line(error.controller_failure)}") from error
    except TrainingFailedError as error:
        raise ClusterError(f"Ray could not run the ranks: {first_line(error)}") from error
    return ended


def root_failure(failures: Mapping[int, Exception]) -> WorkloadError:
    """Return the error of the rank that failed by itself; RankLost where one is gone and the others only lost it."""
    from ray.exceptions import RayActorError

    for rank in sorted(failures):
        failure = failures[rank]
        if isinstance(failure, WorkloadError) and not isinstance(failure, RankLost):
            return failure
    for rank, failure in sorted(failures.items()):
        died = getattr(failure, "health_check_failure", failure)  # Ray's wrapper of a process's end
        if isinstance(died, RayActorError):
            return RankLost(f"Rank {rank} is gone: {first_line(died)}")
    rank, failure = min(failures.items())
    if isinstance(failure, RankLost):
        return failure
    return WorkloadError(f"Rank {rank} failed with {type(failure).__name__}: {first_line(failure)}")


@dataclass(frozen=True, kw_only=True)
class _Job:
    """What a rank needs, sent to its worker."""

    config: TrainConfig
    options: TrainOptions
    environment: PlatformEnvironment
    restarts: int
    queues: Queues

    def train(self) -> TrainResult | StoppedEarly | None:
        """Train as one rank in a worker of Ray; rank 0 returns the result of all."""
        from ray import train

        from workloads.training.run import run

        os.environ.update(self.environment.variables())
        context = train.get_context()
        ranks = Ranks(
            rank=context.get_world_rank(),
            world_size=context.get_world_size(),
            local_rank=context.get_local_rank(),
            local_world_size=context.get_local_world_size(),
            restarts=self.restarts,
        )
        reports = self.queues.reports

        def send(report: EpochReport | StepReport) -> None:
            # Not `train.report`: it makes each epoch wait for the controller's next look, two seconds apart.
            if ranks.is_first:
                reports.put(report)

        def is_stop_requested() -> bool:
            is_leaving = bool(self.environment.checkpoints) and train.get_preemption_info() is not None
            return is_leaving or (ranks.is_first and not self.queues.stop_requests.empty())

        with _logs_to(reports, level=logging.INFO if ranks.is_first else logging.WARNING):
            try:
                return run(self.config, self.options, self.environment, ranks, send, send, is_stop_requested)
            except Preempted as preempted:  # returned, so that Ray lets every rank end by itself
                return StoppedEarly(str(preempted))
            except Stopped:
                return StoppedEarly(None)


@contextmanager
def _logs_to(reports: Queue, *, level: int) -> Iterator[None]:
    """Forward the records of our loggers in this process to the driver within the context."""
    handler, ours = QueueHandler(cast("Any", reports)), logging.getLogger("workloads")  # it only calls `put_nowait`
    handler.setLevel(level)
    ours.setLevel(logging.INFO)
    ours.addHandler(handler)
    try:
        yield
    finally:
        ours.removeHandler(handler)


def _uses_gpu(config: TrainConfig, num_ranks: int) -> bool:
    """Return whether each rank requests a GPU: for `cuda`, and for `auto` if the cluster has enough now."""
    return config.device == "cuda" or (config.device == "auto" and _num_available("GPU") >= num_ranks)


def _warn_if_too_small(num_ranks: int, *, use_gpu: bool) -> None:
    kind = "GPU" if use_gpu else "CPU"
    num_available = _num_available(kind)
    if num_available < num_ranks:
        logger.warning(
            "the Ray cluster has %d %ss and the run asks for %d: it starts once nodes are added",
            num_available,
            kind,
            num_ranks,
        )


def _num_available(kind: str) -> int:
    """Return how many of a resource the cluster has now."""
    import ray

    resources: Mapping[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]  # Ray's are untyped
    return int(resources.get(kind, 0))


def _with_absolute_paths(environment: PlatformEnvironment) -> PlatformEnvironment:
    """Return the environment with absolute paths: a worker has another working directory."""
    locations = {"checkpoints": environment.checkpoints, "data": environment.data, "registry": environment.registry}
    found = {
        key: location if urlsplit(location).scheme else str(Path(location).resolve())
        for key, location in locations.items()
        if location
    }
    return replace(environment, **found)
