"""The first Ctrl-C is heard, the second is what it was before."""

from __future__ import annotations

import signal
import threading
from typing import Any

import pytest

from compilm.optimizers.interrupt import interruptible


@pytest.mark.parametrize("before", [signal.default_int_handler, signal.SIG_IGN, signal.SIG_DFL])
def test_the_first_signal_calls_and_the_second_interrupts(before: Any) -> None:
    heard: list[str] = []
    outside = signal.signal(signal.SIGINT, before)
    try:
        with interruptible(lambda: heard.append("once")):
            signal.raise_signal(signal.SIGINT)
            assert heard == ["once"]
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
        assert (heard, signal.getsignal(signal.SIGINT)) == (["once"], before)
    finally:
        signal.signal(signal.SIGINT, outside)


def test_afterwards_signals_are_what_they_were() -> None:
    before = signal.getsignal(signal.SIGINT)
    with interruptible(lambda: None):
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


def test_a_thread_that_hears_no_signals_is_left_alone() -> None:
    before = signal.getsignal(signal.SIGINT)
    seen: list[object] = []

    def inside() -> None:
        with interruptible(lambda: None):
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    assert seen == [before]
