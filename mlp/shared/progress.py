"""Progress of a command: a spinner at a terminal, plain lines elsewhere; always on stderr."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from mlp.shared.console import console

if TYPE_CHECKING:
    from rich.console import Console


class Progress(Protocol):
    """Interface by which a long command reports its progress. It is called from several threads."""

    def say(self, line: str) -> None:
        """Report that something happened."""

    def begin(self, what: str) -> None:
        """Report that something begins which takes a while."""

    def end(self, what: str) -> None:
        """Report the end of what began."""


class PlainLines:
    """Progress as one line for each thing that happened or began."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def say(self, line: str) -> None:
        """Write the line."""
        with self._lock:
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()

    def begin(self, what: str) -> None:
        """Write a line for what began."""
        self.say(what)

    def end(self, what: str) -> None:
        """Write nothing: the result is reported by `say`."""


class Spinner:
    """Progress as a spinner that names all that is going on, with the lines above it."""

    def __init__(self, on: Console | None = None) -> None:
        self._console = on or console(stderr=True)
        self._status = self._console.status("")
        self._going_on: list[str] = []
        self._lock = threading.Lock()

    def say(self, line: str) -> None:
        """Write the line above the spinner."""
        with self._lock:
            self._console.print(line, markup=False)

    def begin(self, what: str) -> None:
        """Add `what` to the spinner."""
        with self._lock:
            self._going_on.append(what)
            self._show()

    def end(self, what: str) -> None:
        """Remove `what` from the spinner."""
        with self._lock:
            self._going_on.remove(what)
            self._show()

    def _show(self) -> None:
        from rich.markup import escape

        self._status.update(escape(", ".join(self._going_on)))
        if self._going_on:
            self._status.start()
        else:
            self._status.stop()


def progress() -> Progress:
    """Return the kind of progress that suits stderr."""
    return Spinner() if sys.stderr.isatty() else PlainLines()


@contextmanager
def during(progress: Progress, what: str) -> Iterator[None]:
    """Show `what` as going on while the block runs."""
    progress.begin(what)
    try:
        yield
    finally:
        progress.end(what)
