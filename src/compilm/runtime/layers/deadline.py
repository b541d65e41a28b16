"""The total deadline: one instant in the context that bounds every wait of every layer below."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from ...clock import SYSTEM_CLOCK, Clock
from ...engine import DEADLINE, EnginePair, remaining
from ...policies.threads import Threads
from .bounds import bounded
from .outcomes import deadline_exceeded

__all__ = ["Deadline", "within"]


@contextmanager
def within(seconds: float, clock: Clock = SYSTEM_CLOCK) -> Iterator[None]:
    """Give what is called inside so many seconds in all; a deadline inside another only shrinks.

    The time counts for every stack below that has a `Deadline` or `Timeout` layer.

    >>> with within(10.0), within(3600.0):
    ...     remaining(SYSTEM_CLOCK.now()) <= 10.0
    True
    """
    until = clock.now() + seconds
    outer = DEADLINE.get()
    token = DEADLINE.set(until if outer is None else min(outer, until))
    try:
        yield
    finally:
        DEADLINE.reset(token)


@dataclass(frozen=True, slots=True)
class Deadline:
    """A layer: a call ends by the deadline of its context, and after `seconds` at the latest.

    `guard` cuts an engine that blocks its thread, by leaving the thread behind; what is left goes
    on until the provider answers, is paid for, and is dropped. A `Timeout` that guards covers
    this. Raises `DeadlineExceeded`, which DSPy tells its callers as `LMTimeoutError`.

    >>> from dspy import lm15
    >>> from compilm.clock import ManualClock
    >>> from compilm.programs.models import as_engine
    >>> from compilm.testing.engines import scripted_lm
    >>> clock = ManualClock()
    >>> pair = Deadline(3.0, clock=clock)(as_engine(scripted_lm(["hello"])))
    >>> request = lm15.Request(model="scripted/model", messages=(lm15.Message.user("hi"),))
    >>> pair.sync.complete(request).text
    'hello'
    >>> with within(2.0, clock):
    ...     clock.advance(2.5)
    ...     pair.sync.complete(request)
    Traceback (most recent call last):
    compilm.errors.DeadlineExceeded: the deadline passed 0.5 s ago; allow more seconds, or less work
    """

    seconds: float | None = None
    guard: bool = False
    clock: Clock = SYSTEM_CLOCK
    threads: Threads | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "threads", Threads() if self.guard else None)

    def __call__(self, inner: EnginePair) -> EnginePair:
        return bounded(self, inner)

    def until(self, now: float) -> float:
        """The instant at which a call that starts now ends."""
        most = float("inf") if self.seconds is None else self.seconds
        return now + min(most, remaining(now))

    def error(self, until: float) -> Exception:
        """What a call raises that was cut at `until`."""
        late = self.clock.now() - until
        return deadline_exceeded(f"{late:.1f} s ago" if late > 0.05 else "before the answer")
