"""The record of a search: a parent run, and a run nested in it for each trial, kept by the driver from Tune's events.

Trials themselves know nothing of the tracking server, so that they start quickly and need no login.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ray import tune

from workloads.errors import Stopped
from workloads.registry.versions import VALIDATION_ACCURACY
from workloads.tracking.tracker import MlflowTracker, NoTracking
from workloads.training.record import TRAIN_LOSS
from workloads.tuning.states import FAILED, FINISHED, KILLED, RUNNING, STOPPED
from workloads.tuning.trial import EPOCH, STEP

if TYPE_CHECKING:
    from ray.tune.experiment import Trial

logger = logging.getLogger(__name__)

STATE_TAG = "trial_state"


@dataclass(kw_only=True)
class TrialRecord:
    """What is known of one trial; numbers are its own latest report, None before it made one."""

    name: str
    params: Mapping[str, object]
    tracker: MlflowTracker | NoTracking
    epochs: int = 0
    val_accuracy: float | None = None
    state: str = RUNNING
    error: str | None = None


class SearchRecord(tune.Callback):
    """Keeps one `TrialRecord` a trial, and its run; when the context ends, no run is left open."""

    def __init__(
        self,
        num_epochs: int,
        open_run: Callable[[str, Mapping[str, object]], MlflowTracker | NoTracking],
        raise_if_stopped: Callable[[], None],
    ) -> None:
        """`open_run` starts the record of a trial with that name and those parameters.

        `raise_if_stopped` is called at each step of the search, and ends it by what it raises.
        """
        self.num_epochs, self.open_run, self.raise_if_stopped = num_epochs, open_run, raise_if_stopped
        self.by_id: dict[str, TrialRecord] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        by_signal = isinstance(error, KeyboardInterrupt | Stopped)
        for record in self.trials:
            if record.state == RUNNING:
                self._end(record, *((KILLED, "KILLED") if by_signal else (FAILED, "FAILED")))

    @property
    def trials(self) -> list[TrialRecord]:
        """In the order in which they started."""
        return list(self.by_id.values())

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:  # noqa: ARG002  Ray's signature
        """End the search here if that was asked for."""
        self.raise_if_stopped()

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:  # noqa: ARG002  Ray's signature
        """Open the trial's run."""
        if trial.trial_id not in self.by_id:
            name = f"trial-{len(self.by_id) + 1:02d}"
            tracker = self.open_run(name, trial.config)
            self.by_id[trial.trial_id] = TrialRecord(name=name, params=dict(trial.config), tracker=tracker)

    def on_trial_result(
        self,
        iteration: int,  # noqa: ARG002  Ray's signature
        trials: list[Trial],  # noqa: ARG002
        trial: Trial,
        result: dict[str, Any],
        **info: Any,  # noqa: ARG002
    ) -> None:
        """Record what the trial reported after an epoch."""
        record = self.by_id[trial.trial_id]
        record.epochs, record.val_accuracy = int(result[EPOCH]), float(result[VALIDATION_ACCURACY])
        metrics = {key: float(result[key]) for key in (VALIDATION_ACCURACY, "val/loss", TRAIN_LOSS, EPOCH)}
        record.tracker.log_metrics(metrics, int(result[STEP]))
        logger.info(
            "%s  epoch %d/%d  train/loss %.4f  val/accuracy %.4f",
            record.name, record.epochs, self.num_epochs, metrics[TRAIN_LOSS], record.val_accuracy,
        )  # fmt: skip

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:  # noqa: ARG002  Ray's signature
        """The trial ran to its end, or the scheduler stopped it."""
        record = self.by_id[trial.trial_id]
        self._end(record, FINISHED if record.epochs >= self.num_epochs else STOPPED, "FINISHED")

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:  # noqa: ARG002  Ray's signature
        """The trial raised: it keeps the numbers it reported, and no other is put in."""
        record = self.by_id[trial.trial_id]
        record.error = _last_line(trial)
        logger.info("%s  failed: %s", record.name, record.error)
        self._end(record, FAILED, "FAILED")

    def _end(self, record: TrialRecord, state: str, status: str) -> None:
        record.state = state
        if isinstance(record.tracker, MlflowTracker):
            tags = {STATE_TAG: state} | ({"error": record.error} if record.error else {})
            record.tracker.set_tags(tags)
            record.tracker.end(status)


def _last_line(trial: Trial) -> str:
    """What the trial raised: the last line of the trace that Tune just wrote."""
    path = Path(trial.error_file) if trial.error_file else None
    lines = path.read_text(encoding="utf-8").strip().splitlines() if path and path.is_file() else []
    return lines[-1].strip() if lines else "the reason is not known"
