"""A trial of a search: what was drawn for it, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

from workloads.tuning.states import WAITING


@dataclass(frozen=True, kw_only=True)
class EpochResult:
    """What a trial reports after an epoch."""

    epoch: int
    """1-based."""
    step: int
    """Optimizer steps so far."""
    val_accuracy: float
    val_loss: float
    train_loss: float
    seconds: float
    """Of this epoch, evaluation included."""
    ended_at: float
    """Unix time."""
    is_told_again: bool = False
    """By a trial that went on from its state: the epoch was trained, and judged, before."""

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Self:
        """From what `asdict` gave, among other things."""
        return cls(**{one.name: data[one.name] for one in fields(cls)})


@dataclass(kw_only=True)
class Trial:
    """Numbers are those that the trial reported; None before it did."""

    number: int
    """0-based, in the order in which trials were drawn."""
    params: Mapping[str, object]
    """Dotted keys put over the search's config."""
    state: str = WAITING
    error: str | None = None
    """Why it failed."""
    results: list[EpochResult] = field(default_factory=list)
    wasted_s: float = 0.0
    """Seconds that came to no result of its own: up to an error or the loss of a worker, and of epochs done again."""
    times_lost: int = 0
    ended_at: float | None = None
    """Unix time at which it ended, or was interrupted."""

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Self:
        """From `as_data`."""
        return cls(**{**data, "results": [EpochResult.of(result) for result in data["results"]]})

    def as_data(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @property
    def name(self) -> str:
        """As people see it."""
        return f"trial-{self.number + 1:03d}"

    @property
    def num_epochs(self) -> int:
        """That it ended."""
        return self.results[-1].epoch if self.results else 0

    @property
    def val_accuracy(self) -> float | None:
        """After its last epoch."""
        return self.results[-1].val_accuracy if self.results else None

    @property
    def seconds(self) -> float:
        """Of all its epochs, and of what came to nothing."""
        return sum(result.seconds for result in self.results) + self.wasted_s
