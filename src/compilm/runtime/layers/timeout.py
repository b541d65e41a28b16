"""The timeout of one attempt: a provider that does not answer is given up, perhaps asked anew."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...clock import SYSTEM_CLOCK, Clock
from ...engine import EnginePair, remaining
from ...policies.threads import Threads
from .bounds import bounded
from .outcomes import deadline_exceeded, timed_out

__all__ = ["Timeout"]


@dataclass(frozen=True, slots=True)
class Timeout:
    """A layer: one attempt takes `seconds` at most, a stream as a whole, never past the deadline.

    Raises `dspy.lm15.TimeoutError`, which may be tried again, or `DeadlineExceeded` where the
    deadline came first. `guard` cuts engines that block, as in `Deadline`; one guard is enough
    for a stack, and this is the place for it. `threads.abandoned` counts what was left behind.

    >>> from dspy import lm15
    >>> from compilm.engine import stack
    >>> from compilm.programs.models import as_engine
    >>> from compilm.runtime.layers.retry import Retry
    >>> from compilm.testing.engines import scripted_lm
    >>> pair = stack(as_engine(scripted_lm(["hello"])), Retry(), Timeout(45.0))
    >>> request = lm15.Request(model="scripted/model", messages=(lm15.Message.user("hi"),))
    >>> pair.sync.complete(request).text
    'hello'
    """

    seconds: float = 45.0
    guard: bool = False
    clock: Clock = SYSTEM_CLOCK
    threads: Threads | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "threads", Threads() if self.guard else None)

    def __call__(self, inner: EnginePair) -> EnginePair:
        return bounded(self, inner)

    def until(self, now: float) -> float:
        """The instant at which an attempt that starts now is given up."""
        return now + min(self.seconds, remaining(now))

    def error(self, until: float) -> Exception:
        """What an attempt raises that was given up at `until`."""
        if remaining(until) <= 0:
            return deadline_exceeded("before the answer")
        return timed_out(self.seconds)
