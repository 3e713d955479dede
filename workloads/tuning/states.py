"""How a trial stands."""

from __future__ import annotations

from typing import Final

RUNNING: Final = "running"
FINISHED: Final = "finished"
STOPPED: Final = "stopped"
"""By the scheduler: other trials were better at that epoch."""
FAILED: Final = "failed"
KILLED: Final = "killed"
"""With the whole search, by a signal."""
