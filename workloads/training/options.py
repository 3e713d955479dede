"""What is asked for beside a run's config."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """What is done around training."""

    run_name: str
    tracking: bool = True
    register: bool = True
    test: bool = True
    resume: bool = False
    """Go on with the run of that name."""
    max_restarts: int = 0
    """How often ranks that were lost are started anew, to go on from the newest checkpoint."""
