"""The first Ctrl-C is heard, the second is what it was before."""

from __future__ import annotations

import signal
import threading

import pytest

from compilm.optimizers.interrupt import interruptible


def test_the_first_signal_calls_and_the_second_interrupts() -> None:
    heard: list[str] = []
    with interruptible(lambda: heard.append("once")):
        signal.raise_signal(signal.SIGINT)
        assert heard == ["once"]
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert heard == ["once"]


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
