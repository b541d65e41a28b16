"""What failed is left alone for a while; then one call finds out whether it is well again."""

from __future__ import annotations

import threading
from types import TracebackType

from ...clock import SYSTEM_CLOCK, Clock
from ...errors import Refused

__all__ = ["Rest"]


class Rest:
    """Around each use of something that may be down: after a failure none for `seconds`.

    Then one is let through; the others wait for what comes of it. Errors of a class in `well`
    say that it answers. A use that is cancelled says nothing. Safe under threads.

    >>> from compilm.clock import ManualClock
    >>> clock = ManualClock()
    >>> rest = Rest("the cache", 10.0, clock)
    >>> for _ in range(2):
    ...     try:
    ...         with rest:
    ...             raise OSError("gone")
    ...     except Exception as error:
    ...         print(type(error).__name__, error)
    OSError gone
    Refused the cache failed and is left alone for 10.0 s more
    >>> clock.advance(10.0)
    >>> with rest:
    ...     print("well again")
    well again
    """

    def __init__(
        self,
        name: str,
        seconds: float,
        clock: Clock = SYSTEM_CLOCK,
        well: tuple[type[Exception], ...] = (),
    ) -> None:
        self._name, self._seconds, self._clock, self._well = name, seconds, clock, well
        self._lock = threading.Lock()  # protects _until
        self._until: float | None = None  # when the next use may find out; None while it is well

    def __enter__(self) -> None:
        if self._until is None:
            return
        with self._lock:
            now = self._clock.now()
            if self._until is not None and now < self._until:
                left = self._until - now
                told = f"{self._name} failed and is left alone for {left:.1f} s more"
                raise Refused(told, retry_after=left)
            self._until = now + self._seconds  # this use finds out, the next ones do not

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None or issubclass(kind, self._well):
            self._until = None
        elif issubclass(kind, Exception):
            with self._lock:
                self._until = self._clock.now() + self._seconds
