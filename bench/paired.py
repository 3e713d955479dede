"""Paired measurements of A and B, alternated in one process: the median ratio and its confidence interval."""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

NUM_RESAMPLES = 10_000


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """Median of the paired ratios, with its 95 % bootstrap interval."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.3f} ({self.low:.3f} to {self.high:.3f})"


def paired_ratio(measured: Sequence[float], base: Sequence[float], *, seed: int = 0) -> Ratio:
    """Return the ratio of `measured` to `base`, pair by pair."""
    ratios = [one / other for one, other in zip(measured, base, strict=True)]
    rng = random.Random(seed)  # noqa: S311  no secret
    medians = sorted(statistics.median(rng.choices(ratios, k=len(ratios))) for _ in range(NUM_RESAMPLES))
    return Ratio(
        median=statistics.median(ratios),
        low=medians[int(0.025 * NUM_RESAMPLES)],
        high=medians[int(0.975 * NUM_RESAMPLES)],
    )
