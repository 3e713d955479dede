"""Total time and price of a search, wasted ones, and what early stopping saved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from workloads.tuning.states import FAILED, PRUNED
from workloads.tuning.trials import Trial


@dataclass(frozen=True, kw_only=True)
class Totals:
    """Sums over trials. Prices are None where no price per hour is configured."""

    states: dict[str, int]
    """Number of trials by state."""
    epochs: int
    """Epochs of all trials."""
    seconds: float
    """Time of all trials, in seconds; trials run concurrently."""
    wasted_seconds: float
    """Time of failed trials and of repeated epochs, in seconds."""
    saved_seconds: float
    """Time of the epochs that pruned trials were spared, each as long as their mean epoch, in seconds."""
    usd: float | None
    """Price of all trials, in US dollars."""
    wasted_usd: float | None
    """Price of the wasted time, in US dollars."""
    saved_usd: float | None
    """Price of the saved time, in US dollars."""

    @classmethod
    def of(cls, trials: Sequence[Trial], *, num_epochs: int, usd_per_s: float | None) -> Totals:
        """Sum up trials of `num_epochs` unless stopped early, at a price per second of a trial."""
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
        """Return the totals as metrics by name; those without a price are omitted."""
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
