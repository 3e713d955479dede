"""Options of a run besides its config."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """Options of a run: its name, its record, and what follows the training."""

    run_name: str
    tracking: bool = True
    """Whether the run is recorded on the tracking server."""
    register: bool = True
    """Whether the model is registered as a new version."""
    test: bool = True
    """Whether the model is evaluated on the test images at the end."""
    on_ray: bool = False
    """Whether the ranks are placed on a Ray cluster."""
    resume: bool = False
    """Whether the run of that name is resumed."""
    max_restarts: int = 0
    """Most restarts of lost ranks, each from the newest checkpoint."""
