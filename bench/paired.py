"""A and B measured in turn in one process: the median of their ratios, and how sure it is."""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

NUM_DRAWS = 10_000


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """Median of the paired ratios, with the 95 % interval of its bootstrap."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.3f} ({self.low:.3f} to {self.high:.3f})"


def paired_ratio(measured: Sequence[float], base: Sequence[float], *, seed: int = 0) -> Ratio:
    """`measured` over `base`, pair by pair."""
    ratios = [one / other for one, other in zip(measured, base, strict=True)]
    chance = random.Random(seed)  # noqa: S311  no secret
    medians = sorted(statistics.median(chance.choices(ratios, k=len(ratios))) for _ in range(NUM_DRAWS))
    return Ratio(
        median=statistics.median(ratios), low=medians[int(0.025 * NUM_DRAWS)], high=medians[int(0.975 * NUM_DRAWS)]
    )
