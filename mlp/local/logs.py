"""Reading of the services' logs."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

_FOLLOW_POLL_S = 0.3


def size(log: Path) -> int:
    """Return the length of a log in bytes; 0 where there is no file."""
    return log.stat().st_size if log.exists() else 0


def last_lines(log: Path, count: int, *, start: int = 0, end: int | None = None) -> list[str]:
    """Return the last `count` lines of a log, from byte `start` to byte `end` (default: all); none without a file."""
    if not log.exists():
        return []
    with log.open("rb") as file:
        file.seek(start)
        text = file.read(-1 if end is None else end - start)
    lines = deque(text.splitlines(), maxlen=count)
    return [line.decode(errors="replace") for line in lines]


def lines_from(log: Path, start: int) -> Iterator[str]:
    """Yield whole lines of a log from byte `start` on, as they come, without end; reread a log that is replaced."""
    position, inode, pending = start, None, b""
    while True:
        if log.exists():
            with log.open("rb") as file:
                status = os.fstat(file.fileno())
                if status.st_size < position or inode not in (None, status.st_ino):
                    position, pending = 0, b""
                inode = status.st_ino
                file.seek(position)
                added = file.read()
                position += len(added)
            *whole, pending = (pending + added).split(b"\n")
            for line in whole:
                yield line.decode(errors="replace")
        time.sleep(_FOLLOW_POLL_S)
