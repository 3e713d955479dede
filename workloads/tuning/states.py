"""The states of a trial."""

from __future__ import annotations

from typing import Final

WAITING: Final = "waiting"
"""The trial is to run, for the first time or again."""
RUNNING: Final = "running"
"""A worker runs the trial."""
COMPLETE: Final = "complete"
"""The trial ended after its last epoch."""
PRUNED: Final = "pruned"
"""The trial was stopped early: others were better at that epoch."""
FAILED: Final = "failed"
"""The trial raised an error; its results are kept, and no other trial replaces it."""
INTERRUPTED: Final = "interrupted"
"""The search ended first; if it is resumed, so is the trial."""

ENDED = (COMPLETE, PRUNED, FAILED)
"""Final states."""
