"""SIGINT and SIGTERM, recorded until it is safe to stop.

Training stops after a step, with everything saved. In a search an exception out of a signal handler in the midst of a
call into Ray's core would surface as a SystemError, with the record left open. So the handler only sets a flag, which
the working code polls.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Self

from workloads.errors import Stopped

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """Records the first stop signal for as long as the context lasts; a second one acts at once, as outside.

    With `patient` it does not: a launcher that forwards signals sends the same one twice after Ctrl-C at a terminal.
    """

    def __init__(self, *, patient: bool = False) -> None:
        self.signal_number: int | None = None
        self._patient = patient
        # Only the main thread may set handlers; elsewhere no signal is recorded.
        self._previous = (
            {number: signal.getsignal(number) for number in SIGNALS}
            if threading.current_thread() is threading.main_thread()
            else {}
        )

    def __enter__(self) -> Self:
        self.install()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._restore()

    def install(self) -> None:
        """Install the signal handlers, again if other code replaced them."""
        for number in self._previous:
            signal.signal(number, self._record)

    @property
    def is_requested(self) -> bool:
        """Whether a signal was received."""
        return self.signal_number is not None

    def raise_if_requested(self) -> None:
        """Raise KeyboardInterrupt or Stopped if a signal was received."""
        if self.signal_number == signal.SIGINT:
            raise KeyboardInterrupt
        if self.signal_number is not None:
            raise Stopped(self.signal_number)

    def _record(self, signal_number: int, frame: FrameType | None) -> None:  # noqa: ARG002  a signal handler's signature
        self.signal_number = signal_number
        if not self._patient:
            self._restore()

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
