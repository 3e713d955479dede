"""Probability that the gate promotes, by the true difference of two models: exact, over all possible counts.

    python -m bench.gate

Prints the two tables of docs/promotion.md. Images are sampled independently; on each, with probability `disagreement`,
one model alone is right. Where the true difference is the margin, our test is compared with others.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from workloads.registry.paired import CONFIDENCE, CORRECTION, score

Array = NDArray[np.float64]
MARGIN = 0.005
Z = NormalDist().inv_cdf(CONFIDENCE)
IMAGES = (359, 1_000, 10_000)
DISAGREEMENTS = (0.01, 0.02, 0.05, 0.08, 0.12)


def ours(b: Array, c: Array, n: int) -> NDArray[np.bool_]:
    return score(b, c, n, -MARGIN, -CORRECTION) > Z


def tango(b: Array, c: Array, n: int) -> NDArray[np.bool_]:
    return score(b, c, n, -MARGIN) > Z


def wald(b: Array, c: Array, n: float) -> NDArray[np.bool_]:
    return (b - c) / n - Z * np.sqrt(np.maximum(b + c - (b - c) ** 2 / n, 0)) / n > -MARGIN


def bonett_price(b: Array, c: Array, n: int) -> NDArray[np.bool_]:
    return wald(b + 1, c + 1, n + 2)


def chance(test: Callable[[Array, Array, int], NDArray[np.bool_]], n: int, disagreement: float, true: float) -> float:
    """Return the probability that the test promotes."""
    total = 0.0
    counts = np.arange(*(binom.ppf(tail, n, disagreement) + step for tail, step in ((1e-9, 0), (1 - 1e-9, 1))))
    for count, weight in zip(counts, binom.pmf(counts, n, disagreement), strict=True):
        b = np.arange(count + 1)
        total += weight * float(binom.pmf(b, count, (1 + true / disagreement) / 2) @ test(b, count - b, n))
    return total


def main() -> None:
    print("| test images | disagreement | Wald | Bonett-Price | Tango | ours |\n| --- | --- | --- | --- | --- | --- |")
    for n in IMAGES:
        for disagreement in DISAGREEMENTS:
            rates = [chance(test, n, disagreement, -MARGIN) for test in (wald, bonett_price, tango, ours)]
            print(f"| {n:,} | {disagreement:.0%} | {' | '.join(f'{rate:.2%}' for rate in rates)} |")
    print("\n| disagreement | -0.5 points | 0 | +0.5 points |\n| --- | --- | --- | --- |")
    for disagreement in DISAGREEMENTS:
        rates = [chance(ours, IMAGES[-1], disagreement, true) for true in (-MARGIN, 0, MARGIN)]
        print(f"| {disagreement:.0%} | {' | '.join(f'{rate:.1%}' for rate in rates)} |")


if __name__ == "__main__":
    main()
