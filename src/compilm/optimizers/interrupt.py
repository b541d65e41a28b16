"""Ctrl-C: once ends the batch and keeps what was found, twice aborts."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["interruptible"]


@contextmanager
def interruptible(interrupt: Callable[[], None]) -> Iterator[None]:
    """While inside, the first SIGINT calls `interrupt`; the next one is what it was before.

    Where it was ignored, as in what a script starts in the background, the next one interrupts.
    Only the main thread hears signals; in any other this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)
    after = before if callable(before) else signal.default_int_handler

    def once(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signal's signature
        signal.signal(signal.SIGINT, after)
        interrupt()

    signal.signal(signal.SIGINT, once)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
