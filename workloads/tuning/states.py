"""How a trial stands."""

from __future__ import annotations

from typing import Final

WAITING: Final = "waiting"
"""It is to run, for the first time or once more."""
RUNNING: Final = "running"
COMPLETE: Final = "complete"
PRUNED: Final = "pruned"
"""Ended early: other trials were better at that epoch."""
FAILED: Final = "failed"
"""It keeps the numbers that it reported; no other is put in."""
INTERRUPTED: Final = "interrupted"
"""The search ended first; where it goes on, so does the trial."""

ENDED = (COMPLETE, PRUNED, FAILED)
"""For good."""
