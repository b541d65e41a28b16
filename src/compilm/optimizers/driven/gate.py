"""The layer above everything that a driven optimizer asks: once closed, no call passes any more.

DSPy's executors leave threads behind that go on with what was queued. Whatever those still ask
must not spend what is kept for the held-out comparison, so their models are closed for good, while
the same models go on answering the end of the compile.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from dspy import lm15

from ...engine import EnginePair
from ...errors import RunStopped
from ..ledger import Ledger

__all__ = ["Gate"]


class Gate:
    """Refuses after `close`, and as soon as the ledger is stopped, answers from the journal too.

    >>> from compilm.clock import ManualClock
    >>> from compilm.optimizers.budget import Budget
    >>> gate = Gate(Ledger(Budget(), ManualClock()))
    >>> gate.check()
    >>> gate.close(RunStopped("the search is over"))
    >>> try:
    ...     gate.check()
    ... except RunStopped as stop:
    ...     print(stop.reason)
    the search is over
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._closed: RunStopped | None = None

    def __call__(self, inner: EnginePair) -> EnginePair:
        return EnginePair(_Gated(self, inner.sync), _AsyncGated(self, inner))

    @property
    def closed(self) -> bool:
        """Whether nothing passes any more."""
        return self._closed is not None

    def close(self, stop: RunStopped) -> None:
        """From now on everything is refused with `stop`; the first one stays."""
        self._closed = self._closed or stop

    def check(self) -> None:
        """Nothing, or `RunStopped` where the gate is closed or the run is stopped."""
        if self._closed is not None:
            raise RunStopped(self._closed.reason, cause=self._closed.cause)
        self._ledger.check()


class _Gated:
    def __init__(self, gate: Gate, inner: Any) -> None:
        self._gate, self._inner = gate, inner

    def complete(self, request: lm15.Request) -> lm15.Response:
        self._gate.check()
        response: lm15.Response = self._inner.complete(request)
        return response

    def stream(self, request: lm15.Request) -> Iterator[Any]:
        yield from lm15.response_to_events(self.complete(request))


class _AsyncGated:
    def __init__(self, gate: Gate, inner: EnginePair) -> None:
        self._gate, self._inner = gate, inner.asynchronous

    async def complete(self, request: lm15.Request) -> lm15.Response:
        self._gate.check()
        response: lm15.Response = await self._inner.complete(request)
        return response

    async def stream(self, request: lm15.Request) -> AsyncIterator[Any]:
        for event in lm15.response_to_events(await self.complete(request)):
            yield event
