"""When a trial is ended early: asynchronous successive halving (ASHA, https://arxiv.org/abs/1810.05934).

One rule for all engines, that can be told of results from before a search went on. It decides as Ray Tune's
`ASHAScheduler` does with one bracket; a test holds them together.
"""

from __future__ import annotations

import random
import statistics

import numpy as np

NUM_ORDERS = 20
"""Random orders of trials over which `expected_epochs` takes the mean."""


class Halving:
    """Looks at trials at epochs `grace`, `grace * factor`, `grace * factor**2`, …, its rungs, below `num_epochs`.

    There a trial goes on if it is among the best `1 / factor` of those that came by before it; the first always is.
    """

    def __init__(self, *, num_epochs: int, grace: int, factor: int) -> None:
        self.factor = factor
        self.rungs: dict[int, list[float]] = {}
        while grace < num_epochs:
            self.rungs[grace] = []
            grace *= factor

    def note(self, epoch: int, value: float) -> None:
        """Take up a result that was judged before."""
        if epoch in self.rungs:
            self.rungs[epoch].append(value)

    def goes_on(self, epoch: int, value: float) -> bool:
        """Whether the trial with this value, the higher the better, goes on after this epoch."""
        before = self.rungs.get(epoch, [])
        cutoff = np.percentile(before, 100 * (1 - 1 / self.factor)) if before else value
        self.note(epoch, value)
        return bool(value >= cutoff)


def expected_epochs(num_trials: int, *, num_epochs: int, grace: int, factor: int) -> float:
    """Mean epochs of all trials together if the better of two is the better at every epoch."""
    chance = random.Random(0)  # noqa: S311  no secret
    sums = []
    for _ in range(NUM_ORDERS):
        halving = Halving(num_epochs=num_epochs, grace=grace, factor=factor)
        ended_at = []
        for value in chance.sample(range(num_trials), num_trials):
            rungs = (epoch for epoch in halving.rungs if not halving.goes_on(epoch, value))
            ended_at.append(next(rungs, num_epochs))
        sums.append(sum(ended_at))
    return statistics.mean(sums)
