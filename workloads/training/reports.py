"""What is told of a run while it trains, and who keeps its state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from workloads.training.evaluation import Evaluation


@dataclass(frozen=True, kw_only=True)
class StepReport:
    """What the host reads of a step when it looks whether the loss is finite, and waits for the device anyway."""

    step: int
    """Optimizer steps so far, of `num_steps`."""
    num_steps: int
    lr: float
    loss: float
    """Mean over this rank's share of the batch; not finite when training has diverged."""
    num_images: int
    """Images trained on since the start, over all ranks."""


@dataclass(frozen=True, kw_only=True)
class EpochReport:
    """What one epoch gave; the same on every rank."""

    epoch: int
    """1-based, of `num_epochs`."""
    num_epochs: int
    step: int
    """Optimizer steps so far."""
    lr: float
    train_loss: float
    validation: Evaluation
    num_images: int
    """Images trained on, over all ranks."""
    train_seconds: float
    seconds: float
    """Evaluation included."""

    @property
    def images_per_second(self) -> float:
        """Over all ranks, while training."""
        return self.num_images / self.train_seconds


class Saver(Protocol):
    """Keeps the state of a run."""

    def save(self, step: int, state: Mapping[str, Any], *, score: float | None = None) -> None:
        """Keep what `Trainer.state` gave after `step`; `score` is the validation accuracy of an epoch's end."""
