"""The one shape: an engine makes one attempt at one request; a layer wraps an engine into another.

The protocols restate, without importing it, what DSPy 3.4 asks of `dspy.LM(engine=…)`: one
attempt, no cache, no retries of its own. Requests and responses are `dspy.lm15` values.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from operator import is_
from typing import Any, Protocol, TypeAlias

__all__ = [
    "DEADLINE",
    "PREFIX",
    "SAMPLE",
    "AsyncEngine",
    "Engine",
    "EnginePair",
    "Layer",
    "Prefix",
    "Sample",
    "prefix_of",
    "remaining",
    "stack",
]

Request: TypeAlias = Any  # dspy.lm15.Request; not imported, so that this contract needs no dspy
Response: TypeAlias = Any  # dspy.lm15.Response
Event: TypeAlias = Any  # dspy.lm15 stream event


class Engine(Protocol):
    """One attempt at one request, in this thread."""

    def complete(self, request: Request) -> Response:
        """The whole answer, or a `dspy.lm15` error."""
        ...

    def stream(self, request: Request) -> Iterator[Event]:
        """The answer as events: one start, deltas, one end."""
        ...


class AsyncEngine(Protocol):
    """One attempt at one request, in this task."""

    async def complete(self, request: Request) -> Response:
        """The whole answer, or a `dspy.lm15` error."""
        ...

    def stream(self, request: Request) -> AsyncIterator[Event]:
        """The answer as events: one start, deltas, one end."""
        ...


@dataclass(frozen=True, slots=True)
class EnginePair:
    """A synchronous engine and its asynchronous twin: one thing that shares one state."""

    sync: Engine
    asynchronous: AsyncEngine


Layer: TypeAlias = Callable[[EnginePair], EnginePair]


def stack(engine: EnginePair, *layers: Layer) -> EnginePair:
    """`engine` under the layers, the first layer outermost.

    >>> stack("engine", lambda e: f"outer({e})", lambda e: f"inner({e})")
    'outer(inner(engine))'
    """
    for layer in reversed(layers):
        engine = layer(engine)
    return engine


@dataclass(slots=True)
class Sample:
    """Which sample of a request is meant: DSPy strips `rollout_id` and `n` before the engine.

    `index` counts the requests of one call with `n` > 1. `is_fresh` says that the caller wants no
    answer that was kept (DSPy's `cache=False`).
    """

    rollout_id: int | None = None
    index: int = 0
    is_fresh: bool = False


SAMPLE: ContextVar[Sample | None] = ContextVar("compilm_sample", default=None)

DEADLINE: ContextVar[float | None] = ContextVar("compilm_deadline", default=None)
"""The instant, by the clock of the stack, after which nobody waits for the answer any more.

An engine that waits on a wire bounds each wait by it: in a thread nothing else can end one.
"""


def remaining(now: float) -> float:
    """Seconds from `now` to the deadline of the context; infinite where there is none.

    >>> remaining(now=5.0)
    inf
    """
    until = DEADLINE.get()
    return float("inf") if until is None else until - now


_MOST_KEPT = 64


@dataclass(frozen=True, slots=True)
class Prefix:
    """What many requests begin with: a system text and messages, the same objects in each.

    What somebody works out about them (a digest, a JSON form) is kept here and not worked out
    again for the next request. At most 64 things are.

    >>> prefix = Prefix("Be brief.", ())
    >>> prefix.kept("length", lambda: len(prefix.system)), prefix.kept("length", lambda: 0)
    (9, 9)
    """

    system: Any
    messages: tuple[Any, ...]
    _kept: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def begins(self, request: Request) -> bool:
        """Whether the request begins with this."""
        own, asked = self.messages, request.messages
        same = request.system is self.system and len(asked) >= len(own)
        return same and all(map(is_, own, asked))

    def kept(self, name: str, make: Callable[[], Any]) -> Any:
        """What was made of it under this name, or is now; nobody may change it."""
        found = self._kept.get(name)
        if found is None:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            found = self._kept[name] = make()
        return found


PREFIX: ContextVar[Prefix | None] = ContextVar("compilm_prefix", default=None)
"""What the requests of the context are likely to begin with."""


def prefix_of(request: Request) -> Prefix | None:
    """The prefix of the context, if this request begins with it.

    >>> print(prefix_of("any request"))
    None
    """
    prefix = PREFIX.get()
    return prefix if prefix is not None and prefix.begins(request) else None
