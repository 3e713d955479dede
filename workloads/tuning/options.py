"""How much is searched, by what, and where it ends."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

RAY: Final = "ray"
OPTUNA: Final = "optuna"
ENGINES = (RAY, OPTUNA)
PRESETS = {"quick": (10, 5), "standard": (50, 10), "extensive": (100, 20)}
"""Trials, and epochs of one that is not ended early."""


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """Kept with the search; one that goes on has the same."""

    engine: str = RAY
    num_trials: int = 10
    sampler: str = "random"
    max_concurrent: int | None = None
    """Trials at once; one a CPU (or GPU, where the engine has some) if None."""
    max_hours: float | None = None
    budget_usd: float | None = None
    gpus_per_trial: float | None = None
    """Of the Ray cluster's, fractions too; 1 where the cluster has some and the config may use them, if None."""
    ranks_per_trial: int = 1
    """Workers of the Ray cluster that train a trial together."""
    storage: str | None = None
    """Where Optuna keeps the study: `postgresql://` or a journal file's path; in the search's folder if None."""
    tracking: bool = True
    retrain_epochs: int | None = None
    """Epochs of a run with the best parameters once the search is done; None for no such run."""

    def as_data(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)
