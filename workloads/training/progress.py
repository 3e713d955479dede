"""How far a run is, told on stderr: a bar at a terminal, a line an epoch elsewhere, JSON in a pod."""

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
    """Is told of epochs, and of the steps that are looked at; a context, which lasts as long as the training."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    def on_step(self, report: StepReport) -> None:
        """Where the run is."""

    def on_epoch(self, report: EpochReport) -> None:
        """What an epoch gave."""


class Lines:
    """A line an epoch."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None

    def on_step(self, report: StepReport) -> None:
        """Nothing."""

    def on_epoch(self, report: EpochReport) -> None:
        """The line."""
        sys.stderr.write(
            f"epoch {report.epoch:>2}/{report.num_epochs}  train/loss {report.train_loss:.4f}  "
            f"val/accuracy {report.validation.accuracy:.4f}  {report.seconds:.1f} s  "
            f"{report.images_per_second:,.0f} images/s\n"
        )
        sys.stderr.flush()


class Bar(Lines):
    """The lines, and below them a bar with the newest loss."""

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
        """Move the bar, which is first drawn here: other ranks have none."""
        told = f"loss {report.loss:.4f}  lr {report.lr:.3g}"
        self._progress.update(self._task, completed=report.step, total=report.num_steps, description=told)
        self._progress.start()


class JsonLines(Lines):
    """A log entry each `every_s`, and one an epoch."""

    def __init__(self, run_name: str, *, every_s: float = LINE_EVERY_S) -> None:
        self.run_name, self.every_s = run_name, every_s
        self._told_at = -every_s

    def on_step(self, report: StepReport) -> None:
        """The entry, if it is time."""
        now = time.monotonic()
        if now - self._told_at < self.every_s:
            return
        self._told_at = now
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
        """The entry."""
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
    """The one that suits stderr."""
    if as_json:
        return JsonLines(run_name)
    return Bar() if sys.stderr.isatty() else Lines()
