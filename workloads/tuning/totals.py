"""What a search came to: seconds and dollars, those that were lost, those that ending trials early saved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from workloads.tuning.states import FAILED, PRUNED
from workloads.tuning.trials import Trial


@dataclass(frozen=True, kw_only=True)
class Totals:
    """Sums over trials. Dollars are None where no price is known."""

    states: dict[str, int]
    """How many trials are in each state."""
    epochs: int
    seconds: float
    """Of all trials' epochs; several pass at once."""
    wasted_seconds: float
    """Of trials that failed, and of epochs done again."""
    saved_seconds: float
    """Of epochs that pruned trials would have had yet, each as long as those that it had."""
    usd: float | None
    wasted_usd: float | None
    saved_usd: float | None

    @classmethod
    def of(cls, trials: Sequence[Trial], *, num_epochs: int, usd_per_s: float | None) -> Totals:
        """Those of trials that have `num_epochs` unless ended early, at a price for a second of one."""
        seconds = sum(trial.seconds for trial in trials)
        wasted = sum(trial.seconds if trial.state == FAILED else trial.wasted_s for trial in trials)
        saved = sum(_saved(trial, num_epochs) for trial in trials if trial.state == PRUNED)
        return cls(
            states=dict(Counter(trial.state for trial in trials)),
            epochs=sum(trial.num_epochs for trial in trials),
            seconds=seconds,
            wasted_seconds=wasted,
            saved_seconds=saved,
            usd=None if usd_per_s is None else seconds * usd_per_s,
            wasted_usd=None if usd_per_s is None else wasted * usd_per_s,
            saved_usd=None if usd_per_s is None else saved * usd_per_s,
        )

    def metrics(self) -> dict[str, float]:
        """As they are recorded."""
        sums = {
            "search/epochs": self.epochs,
            "search/seconds": self.seconds,
            "search/wasted_seconds": self.wasted_seconds,
            "search/saved_seconds": self.saved_seconds,
            "search/price_usd": self.usd,
            "search/wasted_usd": self.wasted_usd,
            "search/saved_usd": self.saved_usd,
        }
        known = {key: float(value) for key, value in sums.items() if value is not None}
        return known | {f"search/trials_{state}": float(count) for state, count in self.states.items()}


def _saved(trial: Trial, num_epochs: int) -> float:
    own = [result.seconds for result in trial.results]
    return (num_epochs - len(own)) * sum(own) / len(own) if own else 0.0
