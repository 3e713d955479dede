"""The engine of a Ray cluster: trials in actors, each of which runs one after the other."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any

import ray
from ray.exceptions import RayError

from workloads.errors import ClusterError
from workloads.tuning.processes import LOOK_EVERY_S, Objective, job_of, reason_of
from workloads.tuning.study import Study
from workloads.tuning.trial import Job
from workloads.tuning.trials import EpochResult, Trial

MAX_FAILED_STARTS = 3
"""In a row: then it is not that machines go."""


def run(study: Study, objective: Objective, *, resources: dict[str, float], num_workers: Callable[[], int]) -> None:
    """Run the study's trials to its end on the cluster that this process is connected to.

    A worker needs `resources` (`CPU`, `GPU`). `num_workers` is asked again and again: nodes come and go. Raises
    ClusterError if workers cannot start.
    """
    pool = _Pool(study, objective, resources)
    try:
        while not study.is_over:
            study.raise_if_stopped()
            pool.grow(num_workers())
            pool.give_trials()
            pool.hear()
    finally:
        pool.stop()


class _Pool:
    """The workers of a search."""

    def __init__(self, study: Study, objective: Objective, resources: dict[str, float]) -> None:
        self.study, self.objective = study, ray.put(objective)
        self.actor: Any = ray.remote(num_cpus=resources["CPU"], num_gpus=resources.get("GPU", 0))(_Actor)
        self.workers: list[_Worker] = []
        self.failed_starts = 0

    def grow(self, size: int) -> None:
        """Ask the cluster for workers, up to `size` and to what is left to do."""
        wanted = min(size, self.study.num_trials)
        while len(self.workers) < wanted:
            self.workers.append(_Worker(self.actor.remote(self.objective)))

    def give_trials(self) -> None:
        """Have those that wait for one run one."""
        for worker in self.workers:
            if worker.answer is None:
                trial = self.study.next()
                if trial is None:
                    return
                self.study.began(trial.number)
                worker.begin(trial, job_of(self.study, trial))

    def hear(self) -> None:
        """Wait for the workers' answers, but not for long."""
        waiting = {worker.answer: worker for worker in self.workers if worker.answer is not None}
        if not waiting:
            return
        answered, _ = ray.wait(list(waiting), timeout=LOOK_EVERY_S)
        for answer in answered:
            worker = waiting[answer]
            try:
                told = ray.get(answer)
            except RayError as error:
                self._lose(worker, error)
            else:
                self._take(worker, told)

    def _take(self, worker: _Worker, told: EpochResult | str | None) -> None:
        trial, worker.answer = worker.trial, None
        if trial is None:  # it has started
            self.failed_starts = 0
        elif isinstance(told, EpochResult):
            worker.go_on(self.study.report(trial.number, told))
        else:
            worker.trial = None
            self.study.end(trial.number, told)

    def _lose(self, worker: _Worker, error: RayError) -> None:
        self.workers.remove(worker)
        worker.stop()
        if worker.trial is not None:
            self.study.lost(worker.trial.number, type(error).__name__)
            return
        self.failed_starts += 1
        if self.failed_starts == MAX_FAILED_STARTS:
            raise ClusterError(f"Ray cannot start a worker for trials: {' '.join(str(error).split())}") from error

    def stop(self) -> None:
        """End the workers, in the midst of a trial too."""
        for worker in self.workers:
            worker.stop()


class _Worker:
    """What the driver knows of an actor."""

    def __init__(self, actor: Any) -> None:
        self.actor = actor
        self.trial: Trial | None = None
        self.answer: Any = actor.start.remote()
        """To what it was last asked; None while it waits for a trial."""

    def begin(self, trial: Trial, job: Job) -> None:
        """Have it run a trial."""
        self.trial, self.answer = trial, self.actor.begin.remote(job)

    def go_on(self, goes_on: bool) -> None:
        """Tell it whether its trial does."""
        self.answer = self.actor.go_on.remote(goes_on)

    def stop(self) -> None:
        """End it."""
        with suppress(RayError):  # it is gone, or all of the cluster is
            ray.kill(self.actor)


class _Actor:
    """In a worker. The trial has a thread of its own, which waits for the driver after each report."""

    def __init__(self, objective: Objective) -> None:
        self.objective = objective
        self.jobs: SimpleQueue[Job] = SimpleQueue()
        self.told: SimpleQueue[EpochResult | str | None] = SimpleQueue()
        self.answers: SimpleQueue[bool] = SimpleQueue()
        threading.Thread(target=self._work, name="trials", daemon=True).start()

    def start(self) -> None:
        """Nothing: to be heard of once the actor runs."""

    def begin(self, job: Job) -> EpochResult | str | None:
        """Run a trial up to its first report; its result, or why the trial failed, or None if it ended."""
        self.jobs.put(job)
        return self.told.get()

    def go_on(self, goes_on: bool) -> EpochResult | str | None:
        """Answer the last report, and run the trial up to the next one."""
        self.answers.put(goes_on)
        return self.told.get()

    def _work(self) -> None:
        while True:
            job = self.jobs.get()
            try:
                self.objective(job, self._report)
            except Exception as error:  # noqa: BLE001  whatever a trial raises is its own
                self.told.put(reason_of(error))
            else:
                self.told.put(None)

    def _report(self, result: EpochResult) -> bool:
        self.told.put(result)
        return self.answers.get()
