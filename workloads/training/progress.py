"""Progress of a run on stderr: a bar at a terminal, a line per epoch elsewhere, JSON in a pod."""

from __future__ import annotations

import logging
import sys
import time
from types import TracebackType
from typing import Protocol, Self

from workloads.logs import FIELDS
from workloads.training.reports import EpochReport, StepReport

logger = logging.getLogger(__name__)

LINE_EVERY_S = 10
REFRESH_PER_SECOND = 4


class Progress(Protocol):
    """Receives reports of epochs and of some steps; a context that lasts as long as the training."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    def on_step(self, report: StepReport) -> None:
        """Show the current step."""

    def on_epoch(self, report: EpochReport) -> None:
        """Show the results of an epoch."""


class Lines:
    """Prints a line per epoch."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None

    def on_step(self, report: StepReport) -> None:
        """Ignore the step."""

    def on_epoch(self, report: EpochReport) -> None:
        """Print the epoch's line."""
        sys.stderr.write(
            f"epoch {report.epoch:>2}/{report.num_epochs}  train/loss {report.train_loss:.4f}  "
            f"val/accuracy {report.validation.accuracy:.4f}  {report.seconds:.1f} s  "
            f"{report.images_per_second:,.0f} images/s\n"
        )
        sys.stderr.flush()


class Bar(Lines):
    """Prints the lines, and below them a bar with the newest loss."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._progress = Progress(
            TextColumn("step"),
            MofNCompleteColumn(),
            BarColumn(),
            TextColumn("{task.description}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
            refresh_per_second=REFRESH_PER_SECOND,
        )
        self._task = self._progress.add_task("", total=None)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._progress.stop()

    def on_step(self, report: StepReport) -> None:
        """Move the bar, which is first drawn here: ranks other than the first have none."""
        description = f"loss {report.loss:.4f}  lr {report.lr:.3g}"
        self._progress.update(self._task, completed=report.step, total=report.num_steps, description=description)
        self._progress.start()


class JsonLines(Lines):
    """Logs an entry every `every_s`, and one per epoch."""

    def __init__(self, run_name: str, *, every_s: float = LINE_EVERY_S) -> None:
        self.run_name, self.every_s = run_name, every_s
        self._logged_at = -every_s

    def on_step(self, report: StepReport) -> None:
        """Log the step, if `every_s` have passed."""
        now = time.monotonic()
        if now - self._logged_at < self.every_s:
            return
        self._logged_at = now
        fields = {
            "run": self.run_name,
            "step": report.step,
            "num_steps": report.num_steps,
            "loss": report.loss,
            "lr": report.lr,
            "num_images": report.num_images,
        }
        logger.info("step", extra={FIELDS: fields})

    def on_epoch(self, report: EpochReport) -> None:
        """Log the epoch."""
        fields = {
            "run": self.run_name,
            "epoch": report.epoch,
            "num_epochs": report.num_epochs,
            "step": report.step,
            "train_loss": report.train_loss,
            "val_accuracy": report.validation.accuracy,
            "seconds": round(report.seconds, 3),
            "images_per_second": round(report.images_per_second, 1),
        }
        logger.info("epoch", extra={FIELDS: fields})


def progress(run_name: str, *, as_json: bool) -> Progress:
    """Return the progress display that suits stderr."""
    if as_json:
        return JsonLines(run_name)
    return Bar() if sys.stderr.isatty() else Lines()
