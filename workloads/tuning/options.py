"""Options of a search: its engine, size and limits."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

RAY: Final = "ray"
OPTUNA: Final = "optuna"
ENGINES = (RAY, OPTUNA)
PRESETS = {"quick": (10, 5), "standard": (50, 10), "extensive": (100, 20)}
"""Number of trials, and epochs of one that is not stopped early."""


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """Options that are stored with the search, and kept when it is resumed."""

    engine: str = RAY
    num_trials: int = 10
    """Number of trials."""
    sampler: str = "random"
    max_concurrent: int | None = None
    """Concurrent trials; None for one per CPU (or GPU, where the engine has some)."""
    max_hours: float | None = None
    """Longest time of the search, in hours."""
    budget_usd: float | None = None
    """Highest price of the search, in US dollars."""
    gpus_per_trial: float | None = None
    """GPUs of the Ray cluster per trial, fractions too; None for 1 where the cluster has some and the config may use
    them."""
    ranks_per_trial: int = 1
    """Workers of the Ray cluster that train a trial together."""
    storage: str | None = None
    """Optuna storage of the study: `postgresql://` or a journal file's path; None for a journal in the search's
    folder."""
    tracking: bool = True
    """Whether the search is recorded on the tracking server."""
    retrain_epochs: int | None = None
    """Epochs of a run with the best parameters after the search; None for no such run."""

    def as_data(self) -> dict[str, Any]:
        """Return the options as plain values, for JSON."""
        return asdict(self)
