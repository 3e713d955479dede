from __future__ import annotations

import signal

import pytest

from workloads.errors import Stopped
from workloads.stop_request import StopRequest


@pytest.mark.parametrize(
    ("number", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Stopped)], ids=["Ctrl-C", "SIGTERM"]
)
def test_a_signal_is_kept_until_it_is_asked_for(number: signal.Signals, raised: type[BaseException]) -> None:
    before = signal.getsignal(number)
    with StopRequest() as stop:
        stop.raise_if_requested()
        signal.raise_signal(number)
        assert signal.getsignal(number) is before  # a second one acts at once
        with pytest.raises(raised):
            stop.raise_if_requested()
    assert signal.getsignal(number) is before


def test_signals_are_as_before_when_none_came() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with StopRequest():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) is before
