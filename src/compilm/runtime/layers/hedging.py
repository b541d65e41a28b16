"""When a call is late enough to ask another model beside it (Dean and Barroso, "The Tail at
Scale", 2013): after seconds that are given, or when it takes much longer than usual.

As an order is, each is a state without a clock, and told of models by their place in a chain.
"""

from __future__ import annotations

import threading
from collections import deque
from math import inf
from statistics import median
from typing import Protocol

__all__ = ["After", "Hedge", "Late"]

_WINDOW = 64  # the answers of a model that say what is usual
_ENOUGH = 16  # of them, until something is
_AGAIN = 8  # answers until what is usual is computed anew
_SAVED = 32.0  # that may be asked at once after a time without: a crowd may be late together


class Hedge(Protocol):
    """When another is asked beside a call."""

    @property
    def in_threads(self) -> bool:
        """Whether it holds for calls that block too, each of which then takes a thread more."""
        ...

    def begins(self, place: int) -> float:
        """A call begins: seconds until it is late."""
        ...

    def allows(self) -> bool:
        """Whether another is asked beside a call that is late, which then counts as asked."""
        ...

    def unasked(self) -> None:
        """The one that was to be asked beside it was not."""
        ...

    def answered(self, place: int, seconds: float) -> None:
        """A call was answered after so long."""
        ...

    def given_up(self, place: int, seconds: float) -> None:
        """A call was not waited for any longer, after so long."""
        ...


class After:
    """Late is what has no answer after so many seconds, always.

    >>> After(10.0).begins(0)
    10.0
    """

    in_threads = True

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def begins(self, place: int) -> float:  # noqa: ARG002
        """The same for each."""
        return self._seconds

    def allows(self) -> bool:
        """Whoever gave the seconds has said so."""
        return True

    def unasked(self) -> None:
        """It does not matter how many there are."""

    def answered(self, place: int, seconds: float) -> None:
        """Nothing is learned."""

    def given_up(self, place: int, seconds: float) -> None:
        """Nothing is learned."""


class Late:
    """Late is what takes `times_usual` the median of its model's last 64 answers.

    A median, which neither those that hang nor those that are given up move; it counts our own
    queue, as the caller does. Nothing is late before 16 answers, or before `least` seconds. At most
    the `share` of attempts (and 32 that were saved up) gets another beside it, so that a provider
    which is slow to all is not asked twice as much for it; and none that blocks its thread, since
    all would pay for few.

    >>> late = Late()
    >>> for _ in range(16):
    ...     late.answered(0, 0.5)
    >>> late.begins(0), late.begins(1), late.allows()
    (2.0, inf, True)
    """

    in_threads = False

    def __init__(self, times_usual: float = 4.0, *, least: float = 0.5, share: float = 0.1) -> None:
        self.times_usual, self.least, self.share = times_usual, least, share
        self._lock = threading.Lock()  # protects the rest
        self._seen: dict[int, deque[float]] = {}
        self._heard: dict[int, int] = {}
        self._usual: dict[int, float] = {}
        self._allowed = _SAVED

    def begins(self, place: int) -> float:
        """A call begins: seconds until it is late, infinite while nothing is usual."""
        usual = self._usual.get(place)
        # Without the lock: a share that two threads add at once, and one loses, is no harm.
        self._allowed = min(_SAVED, self._allowed + self.share)
        return inf if usual is None else max(self.least, self.times_usual * usual)

    def allows(self) -> bool:
        """Whether another is asked beside a call that is late, which then counts as asked."""
        with self._lock:
            if self._allowed < 1.0:
                return False
            self._allowed -= 1.0
        return True

    def unasked(self) -> None:
        """The one that was to be asked was not, so another may be."""
        with self._lock:
            self._allowed = min(_SAVED, self._allowed + 1.0)

    def answered(self, place: int, seconds: float) -> None:
        """Learn from how long an answer took."""
        with self._lock:
            seen = self._seen.get(place)
            if seen is None:
                seen = self._seen[place] = deque(maxlen=_WINDOW)
            seen.append(seconds)
            heard = self._heard[place] = self._heard.get(place, 0) + 1
            if heard >= _ENOUGH and heard % _AGAIN == 0:
                self._usual[place] = median(seen)

    def given_up(self, place: int, seconds: float) -> None:
        """Learn that one took longer than usual; its own time would carry the next off."""
        usual = self._usual.get(place, inf)
        if seconds >= usual:  # else its caller left early, which says nothing
            self.answered(place, usual)
