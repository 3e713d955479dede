"""The trials of a search and their states: engines take trials from it and report their results.

Used by the one process that drives the search; it keeps folder, record and sampler up to date.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from workloads.config import TrainConfig
from workloads.price import SECONDS_PER_HOUR
from workloads.tuning.folder import SearchFolder
from workloads.tuning.halving import Halving
from workloads.tuning.samplers import TrialSampler
from workloads.tuning.states import COMPLETE, ENDED, FAILED, INTERRUPTED, PRUNED, RUNNING, WAITING
from workloads.tuning.trials import EpochResult, Trial

logger = logging.getLogger(__name__)

MAX_TIMES_LOST = 3
"""Times that a trial's worker may be lost: spot machines go, but a trial may also be what kills them."""


@dataclass(kw_only=True)
class Limits:
    """Limits at which a search ends before all its trials did."""

    max_hours: float | None = None
    """Longest time of the search, in hours."""
    budget_usd: float | None = None
    """Highest price of the search, in US dollars."""
    price_per_hour: float | None = None
    """Price per hour of all machines of the search together, in US dollars."""
    earlier_s: float = 0.0
    """Time that the search had run when this process began, in seconds."""

    def __post_init__(self) -> None:
        self.began = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        """Time that the search has run in all its processes, in seconds."""
        return self.earlier_s + time.monotonic() - self.began

    @property
    def reached(self) -> str | None:
        """The limit that the search has reached, if any, as the option that set it."""
        hours = self.elapsed_s / SECONDS_PER_HOUR
        if self.max_hours is not None and hours >= self.max_hours:
            return f"--max-hours {self.max_hours:g}"
        if self.budget_usd is not None and hours * (self.price_per_hour or 0) >= self.budget_usd:
            return f"--budget-usd {self.budget_usd:g}"
        return None


class TrialObserver(Protocol):
    """Is called whenever the state of a trial changes."""

    def changed(self, trial: Trial) -> None:
        """Take up the current state of `trial`."""


class Study:
    """The trials of a search. Not thread-safe."""

    def __init__(
        self,
        config: TrainConfig,
        *,
        num_trials: int,
        sampler: TrialSampler,
        limits: Limits,
        folder: SearchFolder | None = None,
        observers: Sequence[TrialObserver] = (),
        trials: Sequence[Trial] = (),
        raise_if_stopped: Callable[[], None] = lambda: None,
    ) -> None:
        """Start with `trials`, those of the folder if the search is resumed.

        `raise_if_stopped` is called often, and ends the search by what it raises.
        """
        self.config, self.num_trials, self.sampler, self.limits = config, num_trials, sampler, limits
        self.folder, self.observers, self.raise_if_stopped = folder, observers, raise_if_stopped
        self.trials = list(trials)
        self._since: dict[int, float] = {}
        """When each trial on a worker was assigned or last reported (`time.monotonic`, in seconds)."""
        self.ended_by: str | None = None
        """The limit that ended the search, if one did."""
        self.halving = Halving(
            num_epochs=config.epochs, grace=config.search.grace_epochs, factor=config.search.reduction_factor
        )
        for trial in self.trials:
            if trial.state in ENDED:
                self.sampler.tell(trial)
                for result in trial.results:
                    self.halving.record(result.epoch, result.val_accuracy)
                self._notify(trial)  # its process may have been killed before it notified them

    def next(self) -> Trial | None:
        """Return a trial to run now: one that was interrupted, then a new one; None if there is none now."""
        if self._is_at_limit():
            return None
        trial = next((one for one in self.trials if one.state == WAITING), None)
        if trial is None:
            number = len(self.trials)
            if number >= self.num_trials:
                return None
            trial = Trial(number=number, params=self.sampler.ask(number))
            if self.folder:
                self.folder.begin(trial)
            self.trials.append(trial)
        trial.state = RUNNING
        self._since[trial.number] = time.monotonic()
        return trial

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to run, now or again, and no worker has a trial."""
        if self._since:
            return False
        return self.is_complete or self._is_at_limit()

    @property
    def is_complete(self) -> bool:
        """Whether all trials are in a final state."""
        return len(self.trials) >= self.num_trials and all(trial.state in ENDED for trial in self.trials)

    def began(self, number: int) -> None:
        """Record that a worker starts the trial."""
        self._since[number] = time.monotonic()
        self._notify(self.trials[number])

    def report(self, number: int, result: EpochResult) -> bool:
        """Record a trial's result after an epoch; return whether it continues."""
        trial = self.trials[number]
        self._since[number] = time.monotonic()
        if result.epoch <= trial.num_epochs:
            if not result.is_told_again:
                trial.wasted_s += result.seconds
            return True
        trial.results.append(result)
        if result.is_told_again:
            self.halving.record(result.epoch, result.val_accuracy)
            return True
        logger.info(
            "%s  epoch %d/%d  train/loss %.4f  val/accuracy %.4f",
            trial.name, result.epoch, self.config.epochs, result.train_loss, result.val_accuracy,
        )  # fmt: skip
        self._notify(trial)  # as running: it ends when its worker returns
        if not self.halving.should_continue(result.epoch, result.val_accuracy):
            trial.state = PRUNED
        elif result.epoch < self.config.epochs and self._is_at_limit():
            trial.state = INTERRUPTED
        return trial.state == RUNNING and result.epoch < self.config.epochs  # the last state is never read

    def end(self, number: int, error: str | None = None) -> None:
        """Record that the trial's function returned or, with `error`, raised; or that it stopped as `report` said."""
        trial = self.trials[number]
        if error is not None:
            trial.state, trial.error = FAILED, error
            trial.wasted_s += self._unreported_s(number)
            logger.info("%s  failed: %s", trial.name, error)
        elif trial.state == RUNNING:
            trial.state = COMPLETE
        trial.ended_at = time.time()
        if trial.state in ENDED:
            self._keep(trial)
            self.sampler.tell(trial)
        self._since.pop(number, None)
        self._notify(trial)

    def lost(self, number: int, reason: str) -> None:
        """Record that the trial's worker is gone: it runs again, from its state if it has one."""
        trial = self.trials[number]
        trial.times_lost += 1
        if trial.state != RUNNING or trial.times_lost > MAX_TIMES_LOST:
            self.end(
                number, f"its worker was lost {trial.times_lost} times: {reason}" if trial.state == RUNNING else None
            )
            return
        trial.wasted_s += self._unreported_s(number)
        logger.warning("%s  lost its worker (%s); it continues on another", trial.name, reason)
        trial.state = WAITING
        del self._since[number]

    def interrupt(self) -> None:
        """End the search here: running trials can be resumed with it, those that were to stop have ended."""
        for trial in self.trials:
            if trial.state in (RUNNING, WAITING):
                trial.state, trial.ended_at = INTERRUPTED, time.time()
                self._notify(trial)
            elif trial.number in self._since:
                self.end(trial.number)

    def _keep(self, trial: Trial) -> None:
        if self.folder is None:
            return
        try:
            self.folder.end(trial)
        except BaseException:
            trial.state = RUNNING  # as the folder has it
            raise

    def _unreported_s(self, number: int) -> float:
        return time.monotonic() - self._since[number]

    def _notify(self, trial: Trial) -> None:
        for observer in self.observers:
            observer.changed(trial)

    def _is_at_limit(self) -> bool:
        if self.ended_by is None:
            self.ended_by = self.limits.reached
            if self.ended_by:
                logger.warning("The search came to %s: running trials end after their epoch", self.ended_by)
        return self.ended_by is not None
