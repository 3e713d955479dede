"""Reports of a run while it trains, and the interface that saves its state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from workloads.evaluation.counts import Evaluation


@dataclass(frozen=True, kw_only=True)
class StepReport:
    """Values that the host reads of a step when it checks the loss and waits for the device anyway."""

    step: int
    """Optimizer steps done, of `num_steps`."""
    num_steps: int
    lr: float
    """Learning rate of the step."""
    loss: float
    """Mean loss over this rank's share of the batch; not finite when training has diverged."""
    num_images: int
    """Images trained on since the start, over all ranks."""


@dataclass(frozen=True, kw_only=True)
class EpochReport:
    """Results of one epoch; the same on every rank."""

    epoch: int
    """Number of the epoch, 1-based, of `num_epochs`."""
    num_epochs: int
    step: int
    """Optimizer steps done."""
    lr: float
    """Learning rate at the epoch's first step."""
    train_loss: float
    """Mean loss over the epoch's training images."""
    validation: Evaluation
    num_images: int
    """Images trained on in the epoch, over all ranks."""
    train_seconds: float
    """Time of training, in seconds."""
    seconds: float
    """Time of training and evaluation, in seconds."""

    @property
    def images_per_second(self) -> float:
        """Training throughput over all ranks."""
        return self.num_images / self.train_seconds


class Saver(Protocol):
    """Saves the state of a run."""

    def save(self, step: int, state: Mapping[str, Any], *, score: float | None = None) -> None:
        """Save the result of `Trainer.state` after `step`; `score` is the validation accuracy at an epoch's end."""
