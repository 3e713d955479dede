"""What the answers of two models for the same images say about the difference of their accuracies.

Only the images on which one is right and the other wrong carry news of it. The test is Tango's score test (Statistics
in Medicine 17, 1998, 891-908, https://pubmed.ncbi.nlm.nih.gov/9595618/), with the continuity correction that Edwards
gave McNemar's test, which it becomes for a difference of 0. `docs/promotion.md` has its error rates beside others'.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

CONFIDENCE = 0.95
"""One-sided, so an interval from a lower to an upper bound holds 90 %."""
POWER = 0.8
"""Chance of a decision that `images_needed` aims at."""
CORRECTION = 1
"""Of a count: given how many images the models differ on, the difference of the two counts goes in steps of 2."""


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """How two models answered the same images."""

    num_images: int
    only_first: int
    """Images on which the first alone is right."""
    only_second: int

    @classmethod
    def of(cls, first_n: NDArray[np.bool_], second_n: NDArray[np.bool_]) -> Self:
        """From what each of them has right."""
        return cls(
            num_images=len(first_n),
            only_first=int((first_n & ~second_n).sum()),
            only_second=int((second_n & ~first_n).sum()),
        )

    @property
    def difference(self) -> float:
        """Accuracy of the first less that of the second."""
        return (self.only_first - self.only_second) / self.num_images

    @property
    def disagreement(self) -> float:
        """Share of images on which one alone is right."""
        return (self.only_first + self.only_second) / self.num_images

    def interval(self, confidence: float = CONFIDENCE) -> tuple[float, float]:
        """Lower and upper bound of the true difference, each of which holds with `confidence`."""
        z = NormalDist().inv_cdf(confidence)
        lower = _zero(lambda bound: self._score(bound, -CORRECTION) - z, -1.0, self.difference)
        upper = _zero(lambda bound: self._score(bound, CORRECTION) + z, self.difference, 1.0)
        return lower, upper

    def chance_of_this_little(self, difference: float) -> float:
        """The chance (p-value) of so low a difference as this or a lower one, were the true one `difference`."""
        return NormalDist().cdf(self._score(difference, CORRECTION))

    def images_needed(self, margin: float) -> int | None:
        """About how many images would show that the difference is above -margin, with a chance of `POWER`.

        Taken that the models differ on more images as on these. None where they would then show the contrary.
        """
        above = self.difference + margin
        if above <= 0:
            return None
        normal = NormalDist()
        # A true difference of -margin takes at least that disagreement.
        deviation = math.sqrt(max(self.disagreement, margin) - self.difference**2)
        reach = (normal.inv_cdf(CONFIDENCE) + normal.inv_cdf(POWER)) * deviation
        # sqrt(n) of: n * above - CORRECTION = reach * sqrt(n)
        root = (reach + math.sqrt(reach**2 + 4 * above * CORRECTION)) / (2 * above)
        return math.ceil(root**2)

    def _score(self, difference: float, correction: float) -> float:
        return float(score(self.only_first, self.only_second, self.num_images, difference, correction))


def score(
    only_first: ArrayLike, only_second: ArrayLike, num_images: ArrayLike, difference: float, correction: float = 0
) -> NDArray[np.float64]:
    """Standard deviations by which the counts lie above what a true `difference`, in (-1, 1), leads one to expect.

    `correction` is added to the first count. 0 where the counts say nothing at all. Takes arrays of counts.
    """
    b, c, n = (np.asarray(counts, dtype=np.float64) for counts in (only_first, only_second, num_images))
    # The most likely share of images that the second alone has right, given the difference: root of a quadratic.
    linear = (2 * n - b + c) * difference - b - c
    constant = c * difference * (1 - difference)
    second = (np.sqrt(np.maximum(linear**2 + 8 * n * constant, 0)) - linear) / (4 * n)
    variance = n * (2 * second + difference * (1 - difference))
    # Below a billionth of an image it is what rounding left of none.
    deviation = np.sqrt(np.where(variance > 1e-9, variance, np.inf))
    answer: NDArray[np.float64] = (b - c - n * difference + correction) / deviation
    return answer


def holm(p_values: Sequence[float]) -> list[float]:
    """Each p-value corrected for there being several, in the order given.

    One below 0.05 then has a chance of at most 5 % to be there by accident alone, whatever the p-values have to do
    with each other (Holm, Scandinavian Journal of Statistics 6, 1979, 65-70).
    """
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=lambda index: p_values[index])):
        highest = max(highest, min(1.0, p_values[index] * (len(p_values) - place)))
        corrected[index] = highest
    return corrected


def _zero(falling: Any, low: float, high: float) -> float:
    """Where a falling function is 0 between two numbers, neither of which it is asked about."""
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if falling(middle) > 0 else (low, middle)
    return (low + high) / 2
