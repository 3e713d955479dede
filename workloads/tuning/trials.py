"""A trial of a search: its parameters and its results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

from workloads.tuning.states import WAITING


@dataclass(frozen=True, kw_only=True)
class EpochResult:
    """A trial's result after an epoch."""

    epoch: int
    """Number of the epoch, 1-based."""
    step: int
    """Optimizer steps done."""
    val_accuracy: float
    """Validation accuracy, 0 to 1."""
    val_loss: float
    train_loss: float
    seconds: float
    """Time of this epoch with its evaluation, in seconds."""
    ended_at: float
    """Unix time at the end of the epoch."""
    is_told_again: bool = False
    """Whether a resumed trial repeats the result from its state: the epoch was trained, and judged, before."""

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Self:
        """Build the result from `asdict`'s data, which may have further keys."""
        return cls(**{one.name: data[one.name] for one in fields(cls)})


@dataclass(kw_only=True)
class Trial:
    """A trial and its results; numbers are those that it reported, None before it did."""

    number: int
    """Number of the trial, 0-based, in the order in which trials were sampled."""
    params: Mapping[str, object]
    """Values of dotted config keys that override the search's config."""
    state: str = WAITING
    error: str | None = None
    """Why the trial failed."""
    results: list[EpochResult] = field(default_factory=list)
    """Results by epoch."""
    wasted_s: float = 0.0
    """Time without a result, in seconds: up to an error or the loss of a worker, and of repeated epochs."""
    times_lost: int = 0
    """Number of times that its worker was lost."""
    ended_at: float | None = None
    """Unix time at which it ended, or was interrupted."""

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Self:
        """Build the trial from `as_data`'s result."""
        return cls(**{**data, "results": [EpochResult.of(result) for result in data["results"]]})

    def as_data(self) -> dict[str, Any]:
        """Return the trial as plain values, for JSON."""
        return asdict(self)

    @property
    def name(self) -> str:
        """Name as it is shown."""
        return f"trial-{self.number + 1:03d}"

    @property
    def num_epochs(self) -> int:
        """Epochs that it finished."""
        return self.results[-1].epoch if self.results else 0

    @property
    def val_accuracy(self) -> float | None:
        """Validation accuracy after its last epoch, 0 to 1; None before the first."""
        return self.results[-1].val_accuracy if self.results else None

    @property
    def seconds(self) -> float:
        """Time of all its epochs and of those without a result, in seconds."""
        return sum(result.seconds for result in self.results) + self.wasted_s
