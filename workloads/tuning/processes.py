"""The engine that runs trials in processes of one machine, or one after the other in this process, without Ray."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from workloads.errors import Stopped
from workloads.tuning.study import Study
from workloads.tuning.trial import Job, Report
from workloads.tuning.trials import EpochResult, Trial

Objective = Callable[[Job, Report], None]
"""A function that runs one trial; must be picklable. An exception that it raises fails the trial."""

POLL_EVERY_S = 0.2
"""Longest wait before stop signals are checked, in seconds."""


def run(study: Study, objective: Objective, *, num_workers: int) -> None:
    """Run the study's trials to its end, up to `num_workers` concurrently."""
    if num_workers == 1:
        _run_here(study, objective)
        return
    workers = [_Worker(study, objective) for _ in range(num_workers)]
    try:
        while True:
            study.raise_if_stopped()
            for worker in workers:
                if worker.trial is None and not worker.assign(study.next()):
                    break
            busy = {worker.connection: worker for worker in workers if worker.trial is not None}
            if not busy:
                return
            for connection in wait(list(busy), POLL_EVERY_S):
                busy[connection].receive()  # type: ignore[index]  # we asked about connections alone
    finally:
        for worker in workers:
            worker.stop()


def make_job(study: Study, trial: Trial) -> Job:
    """Return the job that a worker needs to run the trial."""
    place = study.folder.state_location(trial) if study.folder else None
    return Job(number=trial.number, params=trial.params, state_location=place)


def error_summary(error: BaseException) -> str:
    """Return type and message of the error in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _run_here(study: Study, objective: Objective) -> None:
    while trial := study.next():
        study.raise_if_stopped()
        study.began(trial.number)

        def report(result: EpochResult, number: int = trial.number) -> bool:
            study.raise_if_stopped()
            return study.report(number, result)

        try:
            objective(make_job(study, trial), report)
        except Exception as error:  # noqa: BLE001  whatever a trial raises is its own
            study.end(trial.number, error_summary(error))
        else:
            study.end(trial.number)


@dataclass
class _Worker:
    """A process that runs one trial after the other; started with its first, and restarted if it is lost."""

    study: Study
    objective: Objective

    def __post_init__(self) -> None:
        self.trial: Trial | None = None
        self.process: BaseProcess | None = None
        self.connection: Connection

    def assign(self, trial: Trial | None) -> bool:
        """Start the trial on the worker; return whether there was one."""
        if trial is None:
            return False
        if self.process is None:
            context = multiprocessing.get_context("spawn")
            self.connection, worker_end = context.Pipe()
            self.process = context.Process(target=_work, args=(worker_end, self.objective), daemon=True)
            self.process.start()
            worker_end.close()
        self.trial = trial
        self.study.began(trial.number)
        with suppress(OSError):  # `receive` notices then
            self.connection.send(make_job(self.study, trial))
        return True

    def receive(self) -> None:
        """Receive the worker's message: a result, the end of the trial, or the end of the process."""
        if self.trial is None:
            raise RuntimeError("a worker without a trial has no message")
        number = self.trial.number
        try:
            message = self.connection.recv()
            if isinstance(message, EpochResult):
                self.connection.send(self.study.report(number, message))
                return
        except (EOFError, OSError):
            self.trial, process = None, self.process
            self.stop()
            self.study.lost(number, f"exit code {process.exitcode if process else None}")
            return
        self.trial = None
        self.study.end(number, message)

    def stop(self) -> None:
        """Kill the process, in the midst of a trial too."""
        if self.process is not None:
            self.process.kill()  # nothing to clean up: its writes are atomic
            self.process.join()
            self.connection.close()
            self.process = None


def _work(connection: Connection, objective: Objective) -> None:
    """Run one job after the other in the worker, until the driver is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the driver decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def report(result: EpochResult) -> bool:
        connection.send(result)
        return bool(connection.recv())

    with suppress(EOFError, OSError):
        while True:
            job = connection.recv()
            try:
                objective(job, report)
            except (EOFError, BrokenPipeError, ConnectionResetError, Stopped):
                return
            except Exception as error:  # noqa: BLE001  whatever a trial raises is its own
                connection.send(error_summary(error))
            else:
                connection.send(None)
