"""The circuit breaker: what keeps failing is not asked for a while, then by one call.

One probe, stragglers and the lease of a lost probe follow what Polly (issue 216) and SmallRye
Fault Tolerance (pull request 323) learned; the states are Nygard's ("Release It!", 2007).
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from math import log
from typing import Literal

from ..errors import CircuitOpen

__all__ = ["Circuit", "told"]

_USUAL = 0.1  # the share of calls that may fail before more in a row are asked for


def told(name: str, why: str, wait: float) -> str:
    """What a refusal says; `wait` is seconds.

    >>> told("openai/m", "3 calls in a row failed", 1.0)
    'openai/m is not asked: 3 calls in a row failed; the next try is in 1.0 s'
    """
    return f"{name} is not asked: {why}; the next try is in {wait:.1f} s"


@dataclass(slots=True)
class Circuit:
    """The state of one provider, account and model; times are seconds.

    Opens after `consecutive` failures in a row (more where over a tenth of the calls before them
    failed: as many as are as unlikely), or when at least `ratio` of the last `window`
    outcomes failed, none of them older than `horizon`. After `cooldown` one probe may go out; for
    each that fails the next waits twice as long, up to `longest`. A probe that brings nothing
    within `lease` is taken for lost, and another may go.

    >>> circuit = Circuit("openai", consecutive=1)
    >>> circuit.record(circuit.admit(now=0.0), False, now=0.0)
    >>> circuit.state(now=0.5), circuit.state(now=1.0)
    ('open', 'half-open')
    """

    name: str = "the provider"
    consecutive: int = 5
    window: int = 50
    ratio: float = 0.5
    horizon: float = 60.0
    cooldown: float = 1.0
    longest: float = 30.0
    lease: float = 30.0
    openings: int = field(default=0, init=False)  # how often it has opened, probes left out
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)  # protects the rest
    _outcomes: deque[tuple[float, bool]] = field(default_factory=deque, repr=False)
    _failures: int = 0  # in _outcomes
    _in_a_row: int = 0
    why: str = field(default="", init=False)  # it is open
    _phase: str = "closed"  # or "open", or "probing"
    _until: float = 0.0  # while open or probing: when the next call may be the probe
    _pause: float = 0.0  # between the last two
    _generation: int = 0  # grows with each change; what an older permit brings is not counted

    def state(self, now: float) -> Literal["closed", "open", "half-open"]:
        """Whether calls pass, none does, or the next one is (or one already is) the probe."""
        if self._phase == "closed":
            return "closed"
        return "open" if self._phase == "open" and now < self._until else "half-open"

    def admit(self, now: float) -> int:
        """Let a call through and give its permit, or raise `CircuitOpen`."""
        if self._phase == "closed":
            return self._generation
        with self._lock:
            if self._phase == "closed":
                return self._generation
            if now < self._until:
                # A probe that is out may close the circuit long before its lease ends.
                wait = min(self._until - now, self._pause)
                raise self.refusal(wait)
            if self._phase == "probing":  # the last one is lost, but may still be heard
                self._until = now + self.lease
            else:
                self._change("probing", now + self.lease)
            return self._generation

    def refusal(self, wait: float) -> CircuitOpen:
        """The error of a call that is not made; the next may be in `wait` seconds."""
        return CircuitOpen(told(self.name, self.why, wait), retry_after=wait)

    def record(self, permit: int, answered: bool | None, now: float) -> None:
        """What came of a call: an answer, a failure, or (`None`) nothing that tells of either."""
        with self._lock:
            if permit != self._generation:
                return
            if self._phase == "probing":
                self._probed(answered, now)
            elif answered is not None:
                self._count(answered, now)

    def _probed(self, answered: bool | None, now: float) -> None:
        if answered is None:
            self._change("open", now)  # the next call is the probe
        elif answered:
            self._change("closed", now)
        else:
            self.why = "its probe failed"
            self._pause = min(self.longest, 2.0 * self._pause)
            self._change("open", now + self._pause)

    def _count(self, answered: bool, now: float) -> None:
        outcomes = self._outcomes
        outcomes.append((now, answered))
        self._in_a_row = 0 if answered else self._in_a_row + 1
        self._failures += not answered
        while len(outcomes) > self.window or outcomes[0][0] < now - self.horizon:
            self._failures -= not outcomes.popleft()[1]
        if self._in_a_row >= self.consecutive and self._is_news():
            self.why = f"{self._in_a_row} calls in a row failed"
        elif len(outcomes) == self.window and self._failures >= self.ratio * self.window:
            self.why = f"{self._failures} of its last {self.window} calls failed"
        else:
            return
        self._pause = self.cooldown
        self.openings += 1
        self._change("open", now + self._pause)

    def _is_news(self) -> bool:
        """Whether so many in a row say more than is known: it fails more often than it did."""
        before = len(self._outcomes) - self._in_a_row
        failed = self._failures - self._in_a_row
        usual = max(_USUAL, failed / before) if before > 0 else _USUAL
        return self._in_a_row * log(usual) <= self.consecutive * log(_USUAL)

    def _change(self, phase: str, until: float) -> None:
        self._phase, self._until = phase, until
        self._generation += 1
        self._outcomes.clear()
        self._in_a_row = self._failures = 0
