"""A run's spool: JSON lines in an append-only file, on their way to the tracking server.

A line is safe once the operating system has it, so it outlives the process; the server has all up to an offset, which
is kept in a file beside it. That offset may lag behind: what is sent again is the same to the last bit, and the server
keeps one (`SqlAlchemyStore._log_metrics_once` of MLflow 3.17 skips rows that it has).
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

logger = logging.getLogger(__name__)

FILE = "tracking.jsonl"
BATCH_POINTS = 1000
"""Most metric values that MLflow takes in one request."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """One value of one metric."""

    key: str
    value: float
    time_ms: int
    """Unix time, in milliseconds."""
    step: int
    """Optimizer steps done."""


@dataclass(kw_only=True)
class Batch:
    """What is sent to the server next."""

    end: int
    """Offset in the file after the batch, in bytes."""
    points: list[Point] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    """Content of artifacts by path."""
    status: tuple[str, int] | None = None
    """Last status in the file with its Unix time in milliseconds; None if the file ends with another line."""


class Spool:
    """The spool of one run, to which one process at a time appends; leaving the context closes the file."""

    def __init__(self, path: Path, *, run_id: str, run_name: str) -> None:
        """Create the file, or append to it."""
        self.path, self.run_id, self.run_name = path, run_id, run_name
        path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        size = os.fstat(self._descriptor).st_size
        self._torn = size > 0 and os.pread(self._descriptor, 1, size - 1) != b"\n"
        """Whether the last line is incomplete; the next one must not become part of it."""
        self._has_warned = False
        self.offset = _read_offset(path, size)
        if size == 0:
            self._append({"run_id": run_id, "run_name": run_name})

    @classmethod
    def open_existing(cls, path: Path) -> Self | None:
        """Open the spool in an existing file; return None if there is none, or it does not name its run."""
        try:
            with path.open("rb") as file:
                head = json.loads(file.readline())
            return cls(path, run_id=str(head["run_id"]), run_name=str(head["run_name"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.close(self._descriptor)

    def add_metrics(self, metrics: Mapping[str, float], step: int, time_ms: int) -> None:
        """Append the values of some metrics at a step."""
        self._append({"metrics": dict(metrics), "step": step, "time_ms": time_ms})

    def add_text(self, text: str, path: str) -> None:
        """Append an artifact."""
        self._append({"text": text, "path": path})

    def add_tags(self, tags: Mapping[str, str]) -> None:
        """Append tags of the run."""
        self._append({"tags": dict(tags)})

    def add_status(self, status: str, time_ms: int) -> None:
        """Append how the run ended, or that it was resumed."""
        self._append({"status": status, "time_ms": time_ms})

    def next_batch(self) -> Batch:
        """Return the oldest batch that was not sent."""
        batch = Batch(end=self.offset)
        for end, line in self._lines(self.offset):
            new = [
                Point(key=key, value=value, time_ms=line["time_ms"], step=line["step"])
                for key, value in line.get("metrics", {}).items()
            ]
            if len(batch.points) + len(new) > BATCH_POINTS:
                break
            batch.points += new
            batch.tags |= line.get("tags", {})
            if "text" in line:
                batch.texts[line["path"]] = line["text"]
            if "status" in line:
                batch.status = (line["status"], line["time_ms"])
            batch.end = end
        return batch

    def mark_sent(self, batch: Batch) -> None:
        """Record that the server has the batch."""
        self.offset = batch.end
        _write_offset(self.path, batch.end)

    def num_unsent(self) -> int:
        """Return the number of metric values, texts, tags and statuses that the server may not have."""
        lines = (line for _, line in self._lines(self.offset))
        return sum(len(line["metrics"]) if "metrics" in line else "run_id" not in line for line in lines)

    def unsent(self) -> bytes:
        """Return a spool of the whole lines that the server may not have; nothing if it has all."""
        data = self.path.read_bytes()
        head, start = data.find(b"\n") + 1, self.offset
        left = data[max(head, start) : data.rfind(b"\n") + 1]
        return data[:head] + left if left else b""

    def last_points(self) -> dict[str, Point]:
        """Return the newest point of each metric."""
        last: dict[str, Point] = {}
        for _, line in self._lines(0):
            for key, value in line.get("metrics", {}).items():
                if key not in last or line["step"] > last[key].step:
                    last[key] = Point(key=key, value=value, time_ms=line["time_ms"], step=line["step"])
        return last

    def tags(self) -> dict[str, str]:
        """Return the newest value of each tag."""
        tags: dict[str, str] = {}
        for _, line in self._lines(0):
            tags |= line.get("tags", {})
        return tags

    def _append(self, line: Mapping[str, Any]) -> None:
        """Write a line at once. A full disk costs a point and not the run."""
        data = (b"\n" if self._torn else b"") + json.dumps(line).encode() + b"\n"
        try:
            self._torn = os.write(self._descriptor, data) < len(data)
        except OSError as error:
            if not self._has_warned:
                logger.warning("%s: %s: what the run records from now on may be missing", self.path, error.strerror)
                self._has_warned = True

    def _lines(self, offset: int) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield each whole line after `offset` with the offset of its end; skip one that was torn by a crash."""
        with self.path.open("rb") as file:
            file.seek(offset)
            for text in file:
                if not text.endswith(b"\n"):
                    return
                offset += len(text)
                try:
                    line = json.loads(text)
                except ValueError:
                    continue
                yield offset, line


def _offset_file(path: Path) -> Path:
    return path.with_suffix(".sent")


def _read_offset(path: Path, size: int) -> int:
    try:
        offset = int(_offset_file(path).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0
    return offset if 0 <= offset <= size else 0


def _write_offset(path: Path, offset: int) -> None:
    temporary = path.with_suffix(".sent-new")
    try:
        temporary.write_text(str(offset), encoding="ascii")
        temporary.replace(_offset_file(path))
    except OSError as error:  # the next process then sends some lines again, which is harmless
        logger.info("%s: %s", temporary, error.strerror)
