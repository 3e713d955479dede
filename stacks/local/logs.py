"""Reading the services' logs."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

_FOLLOW_POLL_S = 0.3


def last_lines(log: Path, count: int, *, start: int = 0) -> list[str]:
    """The last `count` lines of a log, from byte `start` on; none where there is no file."""
    if count <= 0 or not log.exists():
        return []
    with log.open("rb") as file:
        file.seek(start)
        lines = deque(file, maxlen=count)
    return [line.decode(errors="replace").rstrip("\n") for line in lines]


def new_lines(log: Path) -> Iterator[str]:
    """Lines as they are added to a log, without end; a log that is replaced is read from its beginning."""
    position = log.stat().st_size if log.exists() else 0
    inode = log.stat().st_ino if log.exists() else None
    pending = b""
    while True:
        if log.exists():
            with log.open("rb") as file:
                status = os.fstat(file.fileno())
                if status.st_ino != inode or status.st_size < position:
                    inode, position, pending = status.st_ino, 0, b""
                file.seek(position)
                added = file.read()
                position += len(added)
            *whole, pending = (pending + added).split(b"\n")
            for line in whole:
                yield line.decode(errors="replace")
        time.sleep(_FOLLOW_POLL_S)
