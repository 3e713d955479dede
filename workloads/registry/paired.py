"""Paired comparison of two models on the same images: difference of accuracies, confidence bounds, p-value.

Only the images on which one model is right and the other wrong carry information. The test is Tango's score test
(Statistics in Medicine 17, 1998, 891-908, https://pubmed.ncbi.nlm.nih.gov/9595618/), with the continuity correction
that Edwards gave McNemar's test, which it becomes for a difference of 0. `docs/promotion.md` compares its error rates
with others'.

Shapes: n images.
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
"""One-sided confidence, so an interval from lower to upper bound holds 90 %."""
POWER = 0.8
"""Probability of a decision that `images_needed` aims at."""
CORRECTION = 1
"""Continuity correction of a count: given how many images the models differ on, the difference goes in steps of 2."""


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """How two models classified the same images."""

    num_images: int
    only_first: int
    """Images on which the first alone is right."""
    only_second: int
    """Images on which the second alone is right."""

    @classmethod
    def of(cls, first_n: NDArray[np.bool_], second_n: NDArray[np.bool_]) -> Self:
        """Count the pairs from whether each model is right, bool [N] each."""
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
        """Return lower and upper bound of the true difference, each with one-sided `confidence`."""
        z = NormalDist().inv_cdf(confidence)
        lower = _root(lambda bound: self._score(bound, -CORRECTION) - z, -1.0, self.difference)
        upper = _root(lambda bound: self._score(bound, CORRECTION) + z, self.difference, 1.0)
        return lower, upper

    def p_value_of_loss(self, difference: float) -> float:
        """Return the one-sided p-value: the probability of so low a difference if the true one is `difference`."""
        return NormalDist().cdf(self._score(difference, CORRECTION))

    def images_needed(self, margin: float) -> int | None:
        """Estimate how many images would show that the difference is above -margin, with power `POWER`.

        Assumes the same rates as on these images. Returns None where more images would show the contrary.
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
    """Return by how many standard deviations the counts exceed those expected for a true `difference` in (-1, 1).

    `correction` is added to the first count. The result is 0 where the counts carry no information. Takes arrays of
    counts.
    """
    b, c, n = (np.asarray(counts, dtype=np.float64) for counts in (only_first, only_second, num_images))
    # The most likely share of images that the second alone has right, given the difference: root of a quadratic.
    linear = (2 * n - b + c) * difference - b - c
    constant = c * difference * (1 - difference)
    second = (np.sqrt(np.maximum(linear**2 + 8 * n * constant, 0)) - linear) / (4 * n)
    variance = n * (2 * second + difference * (1 - difference))
    # Below a billionth of an image it is rounding error.
    deviation = np.sqrt(np.where(variance > 1e-9, variance, np.inf))
    deviations: NDArray[np.float64] = (b - c - n * difference + correction) / deviation
    return deviations


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values corrected for multiple testing by Holm's method, in the order given.

    The chance that any below 0.05 arises by accident alone is then at most 5 %, however the p-values depend on each
    other (Holm, Scandinavian Journal of Statistics 6, 1979, 65-70).
    """
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=lambda index: p_values[index])):
        highest = max(highest, min(1.0, p_values[index] * (len(p_values) - place)))
        corrected[index] = highest
    return corrected


def _root(decreasing: Any, low: float, high: float) -> float:
    """Return the root of a decreasing function between two numbers, by bisection that never evaluates the ends."""
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if decreasing(middle) > 0 else (low, middle)
    return (low + high) / 2
