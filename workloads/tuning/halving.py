"""Early stopping of trials by asynchronous successive halving (ASHA, https://arxiv.org/abs/1810.05934).

One rule for all engines, which also takes the results from before a search was resumed. It decides as Ray Tune's
`ASHAScheduler` does with one bracket; a test compares them.
"""

from __future__ import annotations

import random
import statistics

import numpy as np

NUM_ORDERS = 20
"""Random orders of trials over which `expected_epochs` averages."""


class Halving:
    """Judges trials at the rungs, epochs `grace`, `grace * factor`, `grace * factor**2`, …, below `num_epochs`.

    At a rung a trial continues if it is among the best `1 / factor` of those that reached it before; the first always
    does.
    """

    def __init__(self, *, num_epochs: int, grace: int, factor: int) -> None:
        self.factor = factor
        self.rungs: dict[int, list[float]] = {}
        while grace < num_epochs:
            self.rungs[grace] = []
            grace *= factor

    def record(self, epoch: int, value: float) -> None:
        """Record a result that was judged before."""
        if epoch in self.rungs:
            self.rungs[epoch].append(value)

    def should_continue(self, epoch: int, value: float) -> bool:
        """Return whether the trial with this value, the higher the better, continues after this epoch."""
        before = self.rungs.get(epoch, [])
        cutoff = np.percentile(before, 100 * (1 - 1 / self.factor)) if before else value
        self.record(epoch, value)
        return bool(value >= cutoff)


def expected_epochs(num_trials: int, *, num_epochs: int, grace: int, factor: int) -> float:
    """Return the mean epochs of all trials together if two trials rank at every epoch as at the last."""
    rng = random.Random(0)  # noqa: S311  no secret
    sums = []
    for _ in range(NUM_ORDERS):
        halving = Halving(num_epochs=num_epochs, grace=grace, factor=factor)
        ended_at = []
        for value in rng.sample(range(num_trials), num_trials):
            rungs = (epoch for epoch in halving.rungs if not halving.should_continue(epoch, value))
            ended_at.append(next(rungs, num_epochs))
        sums.append(sum(ended_at))
    return statistics.mean(sums)
