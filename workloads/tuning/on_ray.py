"""The engine that runs trials in actors of a Ray cluster, each of which runs one trial after the other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from queue import SimpleQueue
from textwrap import shorten
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError
from ray.util import get_node_ip_address, placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy
from torch._C._distributed_c10d import TCPStore

from workloads.errors import ClusterError, RankLost
from workloads.ranks import Ranks
from workloads.tuning.processes import POLL_EVERY_S, Objective, error_summary, make_job
from workloads.tuning.study import Study
from workloads.tuning.trial import Job
from workloads.tuning.trials import EpochResult, Trial

RESTART_DELAY_S = 1.0
"""Delay in seconds after a worker was lost as it started: Ray places actors on a lost node until it notices."""
START_TIMEOUT_S = 120.0
"""Longest time in seconds for which starts may fail while no trial runs."""
MAX_ERROR_LENGTH = 400
"""Most characters of Ray's message; on a node short of memory it lists the processes."""


def run(
    study: Study,
    objective: Objective,
    *,
    resources: dict[str, float],
    num_workers: Callable[[], int],
    ranks_per_worker: int = 1,
) -> None:
    """Run the study's trials to its end on the cluster that this process is connected to.

    A worker runs a trial at a time with `ranks_per_worker` ranks, each of which needs `resources` (`CPU`, `GPU`).
    `num_workers` is called again and again: nodes come and go. Raises ClusterError if workers cannot start.
    """
    pool = _Pool(study, objective, resources, ranks_per_worker)
    try:
        while not study.is_over:
            study.raise_if_stopped()
            pool.grow(num_workers())
            pool.assign_trials()
            pool.receive()
    finally:
        pool.stop()


@dataclass(frozen=True)
class Lost:
    """A rank's message in place of a trial's end when another rank is gone, sent before Ray reports it."""

    reason: str


Message = EpochResult | Lost | str | None
"""A message of a rank: a result after an epoch, why the trial failed, or None if it ended."""


class _Pool:
    """The workers of a search."""

    def __init__(self, study: Study, objective: Objective, resources: dict[str, float], num_ranks: int) -> None:
        self.study, self.objective = study, ray.put(objective)
        self.resources, self.num_ranks = resources, num_ranks
        self.workers: list[_Worker] = []
        self.grows_after = 0.0
        self.failing_since: float | None = None

    def grow(self, size: int) -> None:
        """Request workers from the cluster, up to `size` and to the number of trials left."""
        wanted = min(size, self.study.num_trials)
        while len(self.workers) < wanted and time.monotonic() >= self.grows_after:
            self.workers.append(_Worker(self.objective, self.resources, self.num_ranks))

    def assign_trials(self) -> None:
        """Start a trial on each idle worker."""
        for worker in self.workers:
            if not worker.pending():
                trial = self.study.next()
                if trial is None:
                    return
                self.study.began(trial.number)
                worker.begin(trial, make_job(self.study, trial))

    def receive(self) -> None:
        """Receive the workers' messages, waiting `POLL_EVERY_S` at most."""
        waiting = {answer: worker for worker in self.workers for answer in worker.pending()}
        if not waiting:
            time.sleep(POLL_EVERY_S)
            return
        answered, _ = ray.wait(list(waiting), timeout=POLL_EVERY_S)
        for answer in answered:
            worker = waiting[answer]
            if worker not in self.workers:  # lost with another of its actors
                continue
            try:
                message = ray.get(answer)
            except RayError as error:
                self._handle_error(worker, error)
            else:
                self.failing_since = None
                self._take(worker, answer, message)

    def _take(self, worker: _Worker, answer: Any, message: Message) -> None:
        trial, is_first = worker.trial, worker.mark_received(answer)
        if isinstance(message, Lost):
            self._requeue_trial(worker, message.reason)
        elif isinstance(message, EpochResult):
            if trial is not None:
                worker.go_on(self.study.report(trial.number, message))
        elif is_first and not worker.has_started:
            worker.has_started, worker.store_address = True, message
        elif is_first or message is not None:
            self._end(worker, message)

    def _end(self, worker: _Worker, fault: str | None) -> None:
        """End the trial, or fail it with `fault`; then the ranks of several may wait for one forever, so drop them."""
        trial, worker.trial = worker.trial, None
        if fault is not None and self.num_ranks > 1:
            self._drop(worker)
        if trial is not None:
            self.study.end(trial.number, fault)

    def _requeue_trial(self, worker: _Worker, reason: str) -> None:
        """Drop the worker; its trial, if it still has one, continues on another."""
        self._drop(worker)
        if worker.trial is not None:
            self.study.lost(worker.trial.number, reason)

    def _handle_error(self, worker: _Worker, error: RayError) -> None:
        if worker.trial is not None:
            self._requeue_trial(worker, type(error).__name__)
            return
        self._drop(worker)
        now = time.monotonic()
        self.failing_since = self.failing_since or now
        init_failed = isinstance(error, RayActorError) and error.actor_init_failed
        is_idle = all(one.trial is None for one in self.workers)
        if is_idle and (init_failed or now - self.failing_since > START_TIMEOUT_S):
            message = str(error).splitlines()[-1] if init_failed else shorten(str(error), MAX_ERROR_LENGTH)
            raise ClusterError(f"Ray cannot start a worker for trials: {message}") from error
        self.grows_after = now + RESTART_DELAY_S

    def _drop(self, worker: _Worker) -> None:
        self.workers.remove(worker)
        worker.stop()

    def stop(self) -> None:
        """Stop the workers, in the midst of a trial too."""
        for worker in self.workers:
            worker.stop()


class _Worker:
    """The driver's view of the actors that run a trial: one, or one per rank."""

    def __init__(self, objective: Any, resources: dict[str, float], num_ranks: int) -> None:
        needs: dict[str, Any] = {"num_cpus": resources["CPU"], "num_gpus": resources.get("GPU", 0)}
        self.group = placement_group([resources] * num_ranks) if num_ranks > 1 else None  # all of them, or none
        self.actors: list[Any] = []
        for rank in range(num_ranks):
            if self.group:
                needs["scheduling_strategy"] = PlacementGroupSchedulingStrategy(self.group, rank)
            self.actors.append(ray.remote(**needs)(_Actor).remote(objective))
        self.trial: Trial | None = None
        self.has_started = False
        self.store_address: str | None = None
        """`host:port` of the ranks' rendezvous store."""
        self.answer, *others = [
            actor.start.remote(opens_store=num_ranks > 1 and rank == 0) for rank, actor in enumerate(self.actors)
        ]
        """The first rank's pending message; None once it is received."""
        self.others: list[Any] = others
        """The other ranks' pending messages."""

    def begin(self, trial: Trial, job: Job) -> None:
        """Start a trial on the actors."""
        self.trial, world_size = trial, len(self.actors)
        self.answer, *others = [
            actor.begin.remote(
                replace(job, ranks=Ranks(rank=rank, world_size=world_size, store_address=self.store_address))
            )
            for rank, actor in enumerate(self.actors)
        ]
        self.others = others

    def go_on(self, goes_on: bool) -> None:
        """Send the decision whether the trial continues to the first rank, which shares it with the others."""
        self.answer = self.actors[0].go_on.remote(goes_on)

    def pending(self) -> list[Any]:
        """Return the pending messages."""
        return [*self.others, *([] if self.answer is None else [self.answer])]

    def mark_received(self, answer: Any) -> bool:
        """Mark a message as received; return whether it is the first rank's."""
        if answer == self.answer:
            self.answer = None
            return True
        self.others.remove(answer)
        return False

    def stop(self) -> None:
        """Stop the actors."""
        for actor in self.actors:
            with suppress(RayError):  # it is gone, or all of the cluster is
                ray.kill(actor)
        if self.group:
            with suppress(RayError):
                remove_placement_group(self.group)


class _Actor:
    """A worker's process. The trial has a thread of its own, which waits for the driver after each report."""

    def __init__(self, objective: Objective) -> None:
        self.objective = objective
        self.jobs: SimpleQueue[Job] = SimpleQueue()
        self.messages: SimpleQueue[Message] = SimpleQueue()
        self.answers: SimpleQueue[bool] = SimpleQueue()
        threading.Thread(target=self._work, name="trials", daemon=True).start()

    def start(self, *, opens_store: bool) -> str | None:
        """Confirm that the actor runs; return the address of the rendezvous store if it opens one."""
        if not opens_store:
            return None
        host: str = get_node_ip_address()  # type: ignore[no-untyped-call]  # Ray's
        self.store = TCPStore(host, 0, is_master=True, wait_for_workers=False)
        return f"{host}:{self.store.port}"

    def begin(self, job: Job) -> Message:
        """Run a trial up to its first message, and return that."""
        self.jobs.put(job)
        return self.messages.get()

    def go_on(self, goes_on: bool) -> Message:
        """Answer the last report, run the trial up to its next message, and return that."""
        self.answers.put(goes_on)
        return self.messages.get()

    def _work(self) -> None:
        while True:
            job = self.jobs.get()
            try:
                self.objective(job, self._report)
            except RankLost as lost:
                self.messages.put(Lost(error_summary(lost)))
            except Exception as error:  # noqa: BLE001  whatever a trial raises is its own
                self.messages.put(error_summary(error))
            else:
                self.messages.put(None)

    def _report(self, result: EpochResult) -> bool:
        self.messages.put(result)
        return self.answers.get()
