"""SIGINT and SIGTERM during a search, kept until it is safe to end it.

An exception out of a signal handler in the midst of a call into Ray's core surfaces as a SystemError, with the search's
record left open. So the handler only takes note, and the search asks at its next step.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Self

from workloads.errors import Stopped

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """Notes the first signal to end for as long as the context lasts; a second one acts at once, as outside."""

    def __init__(self) -> None:
        self.signal_number: int | None = None
        # Only the main thread may set handlers; elsewhere nothing is noted and nothing need be put back.
        self._outside = (
            {number: signal.getsignal(number) for number in SIGNALS}
            if threading.current_thread() is threading.main_thread()
            else {}
        )

    def __enter__(self) -> Self:
        self.listen()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._restore()

    def listen(self) -> None:
        """Take the signals, also after somebody else did."""
        for number in self._outside:
            signal.signal(number, self._note)

    def raise_if_made(self) -> None:
        """Raise KeyboardInterrupt or Stopped if a signal came."""
        if self.signal_number == signal.SIGINT:
            raise KeyboardInterrupt
        if self.signal_number is not None:
            raise Stopped(self.signal_number)

    def _note(self, signal_number: int, frame: FrameType | None) -> None:  # noqa: ARG002  a signal handler's signature
        self.signal_number = signal_number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._outside.items():
            signal.signal(number, handler)
