"""A run's record on its way to the tracking server: JSON lines in a file that is only appended to.

What a line says is safe once the operating system has it, so it outlives the process; the server has all up to an
offset, which lies in a file beside it. That offset may lag behind: what is sent again is the same to the last bit, and
the server keeps one (`SqlAlchemyStore._log_metrics_once` of MLflow 3.17 passes over rows that it has).
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
"""The most metrics that MLflow takes in one request."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """One value of one metric."""

    key: str
    value: float
    time_ms: int
    step: int


@dataclass(kw_only=True)
class Batch:
    """What the server is told next, and where the file goes on after it."""

    end: int
    points: list[Point] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    """From the artifact's path to what it holds."""
    status: tuple[str, int] | None = None
    """How the run ended or that it goes on, and when; None unless that is the last word of the file."""


class Spool:
    """The record of one run, which one process at a time adds to; a context, which closes the file."""

    def __init__(self, path: Path, *, run_id: str, run_name: str) -> None:
        """Begin the file, or go on with it."""
        self.path, self.run_id, self.run_name = path, run_id, run_name
        path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        size = os.fstat(self._descriptor).st_size
        self._torn = size > 0 and os.pread(self._descriptor, 1, size - 1) != b"\n"
        """Whether the last line was not written to its end; the next one must not become part of it."""
        self._told = False
        self.offset = _read_offset(path, size)
        if size == 0:
            self._append({"run_id": run_id, "run_name": run_name})

    @classmethod
    def found(cls, path: Path) -> Self | None:
        """The spool in a file that there is; None if there is none, or it does not say of which run it is."""
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
        """Add the values of some metrics at a step."""
        self._append({"metrics": dict(metrics), "step": step, "time_ms": time_ms})

    def add_text(self, text: str, path: str) -> None:
        """Add an artifact."""
        self._append({"text": text, "path": path})

    def add_tags(self, tags: Mapping[str, str]) -> None:
        """Add tags of the run."""
        self._append({"tags": dict(tags)})

    def add_status(self, status: str, time_ms: int) -> None:
        """Add how the run ended, or that it goes on."""
        self._append({"status": status, "time_ms": time_ms})

    def next_batch(self) -> Batch:
        """The oldest that was not sent."""
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
        """Remember that the server has it."""
        self.offset = batch.end
        _write_offset(self.path, batch.end)

    def num_unsent(self) -> int:
        """Metric values, texts, tags and statuses that the server may not have."""
        lines = (line for _, line in self._lines(self.offset))
        return sum(len(line["metrics"]) if "metrics" in line else "run_id" not in line for line in lines)

    def last_points(self) -> dict[str, Point]:
        """The newest point of each metric."""
        last: dict[str, Point] = {}
        for _, line in self._lines(0):
            for key, value in line.get("metrics", {}).items():
                if key not in last or line["step"] > last[key].step:
                    last[key] = Point(key=key, value=value, time_ms=line["time_ms"], step=line["step"])
        return last

    def tags(self) -> dict[str, str]:
        """The newest value of each tag."""
        tags: dict[str, str] = {}
        for _, line in self._lines(0):
            tags |= line.get("tags", {})
        return tags

    def _append(self, line: Mapping[str, Any]) -> None:
        """Write a line at once. A disk that takes no more costs a point and not the run."""
        data = (b"\n" if self._torn else b"") + json.dumps(line).encode() + b"\n"
        try:
            self._torn = os.write(self._descriptor, data) < len(data)
        except OSError as error:
            if not self._told:
                logger.warning("%s: %s: what the run records from now on may be missing", self.path, error.strerror)
                self._told = True

    def _lines(self, offset: int) -> Iterator[tuple[int, dict[str, Any]]]:
        """Each whole line after `offset`, with the offset of its end; one that was torn by a crash is passed over."""
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
    beside = path.with_suffix(".sent-new")
    try:
        beside.write_text(str(offset), encoding="ascii")
        beside.replace(_offset_file(path))
    except OSError as error:  # then the next process sends what the server has, which does no harm
        logger.info("%s: %s", beside, error.strerror)
