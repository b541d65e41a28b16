"""The calls of a traced program: each a span, and below it a span for each attempt at a provider.

Where no program is traced a call passes at the price of one look.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import dspy
from dspy import lm15

from ...engine import EnginePair
from ...programs.models import RoleLM
from ..tracing.live import LiveSpan, current
from .around import Shared, around
from .notes import CALL
from .streams import aclose, close

__all__ = ["Attempts", "Calls", "heard"]


@dataclass(frozen=True, slots=True)
class Calls:
    """A layer: a call made for a traced program is a span of its trace, with what happened to it.

    It stands above all others: what the cache, a budget or a deadline did is seen.

    >>> from compilm.testing.layer_kit import CountingEngine, request
    >>> Calls()(CountingEngine().pair).sync.complete(request("yes")).text
    'yes'
    """

    def __call__(self, inner: EnginePair) -> EnginePair:
        return EnginePair(_Calling(inner.sync), _AsyncCalling(inner.asynchronous))


@dataclass(frozen=True, slots=True)
class Attempts:
    """A layer: a recorded call is told each time `model` is asked for it, and what came of that.

    It stands above what belongs to one provider, so a refusal of its breaker is an attempt too.

    >>> from compilm.testing.layer_kit import CountingEngine, request
    >>> Attempts("openai/gpt-5-mini")(CountingEngine().pair).sync.complete(request("yes")).text
    'yes'
    """

    model: str

    def __call__(self, inner: EnginePair) -> EnginePair:
        return around(self, inner)

    def enter(self, request: Any) -> Any:  # noqa: ARG002 - the call's span tells what was asked
        """The call and the instant, where it is recorded."""
        call = CALL.get()
        return None if call is None else (call, call.now())

    def leave(self, ticket: Any, usage: Any, error: BaseException | None) -> None:  # noqa: ARG002
        """It ended."""
        if ticket is not None:
            call, start = ticket
            call.attempted(self.model, start, error)


def _begun(request: Any, stream: bool = False) -> LiveSpan | None:
    """The span of a call that begins; `None` where none is recorded, or an outer layer does."""
    trace = current()
    return None if trace is None or CALL.get() is not None else trace.call(request, stream)


class _Calling(Shared):
    def complete(self, request: Any) -> Any:
        call = _begun(request)
        if call is None:
            return self._inner.complete(request)
        token = CALL.set(call)
        try:
            response = self._inner.complete(request)
        except BaseException as error:  # border: it is noted, and passes
            call.end(error)
            raise
        finally:
            CALL.reset(token)
        call.answered(response)
        return response

    def stream(self, request: Any) -> Iterator[Any]:
        call = _begun(request, stream=True)
        if call is None:
            yield from self._inner.stream(request)
            return
        heard, source = _Heard(call), iter(self._inner.stream(request))
        try:
            while True:
                # Around each step, and not the yield: what the reader asks meanwhile is its own.
                token = CALL.set(call)
                try:
                    event = next(source, None)
                finally:
                    CALL.reset(token)
                if event is None:
                    break
                heard.saw(event)
                yield event
        except BaseException as error:  # border: it is noted, and passes
            heard.stop(request, error)
            raise
        finally:
            close(source)
        heard.finish(request)


class _AsyncCalling(Shared):
    async def complete(self, request: Any) -> Any:
        call = _begun(request)
        if call is None:
            return await self._inner.complete(request)
        token = CALL.set(call)
        try:
            response = await self._inner.complete(request)
        except BaseException as error:  # border: it is noted, and passes
            call.end(error)
            raise
        finally:
            CALL.reset(token)
        call.answered(response)
        return response

    async def stream(self, request: Any) -> AsyncIterator[Any]:
        call = _begun(request, stream=True)
        heard = None if call is None else _Heard(call)
        source = self._inner.stream(request)
        try:
            if heard is None:
                async for event in source:
                    yield event
                return
            while True:
                token = CALL.set(call)
                try:
                    event = await anext(source, None)
                finally:
                    CALL.reset(token)
                if event is None:
                    break
                heard.saw(event)
                yield event
        except BaseException as error:  # border: it is noted, and passes
            if heard is not None:
                heard.stop(request, error)
            raise
        finally:
            await aclose(source)
        heard.finish(request)


class _Heard:
    """The events of a recorded stream, which pass as they are."""

    def __init__(self, call: LiveSpan) -> None:
        self._call, self._events = call, list[Any]()

    def saw(self, event: Any) -> None:
        """One more event."""
        self._events.append(event)
        if event.type == "delta":
            self._call.streamed()

    def finish(self, request: Any) -> None:
        """The source has no more events: the answer was whole or not."""
        try:
            whole = lm15.materialize_response(iter(self._events), request)
        except lm15.LM15Error as error:
            self._call.end(error)
        else:
            self._call.answered(whole)

    def stop(self, request: Any, error: BaseException) -> None:
        """The stream broke, or its reader left it, perhaps with all that there was."""
        if self._events and self._events[-1].type == "end":
            self.finish(request)
        else:
            self._call.end(error)


def heard(lm: dspy.LM) -> dspy.LM:
    """`lm` as an LM whose calls are in the traces of the programs that make them.

    That is one that asks through a stack; and one over an engine of its own, as a copy. DSPy's own
    connections are left as they are: what goes through them is not seen.

    >>> from compilm.testing.engines import scripted_lm
    >>> heard(scripted_lm(["yes"]))("a question")
    ['yes']
    """
    if isinstance(lm.engine, str) or (isinstance(lm, RoleLM) and lm.attempt is not None):
        return lm
    own = lm._async_engine_spec  # DSPy has no public name for it
    pair = Calls()(EnginePair(lm.engine, own))
    twin = None if own is None else pair.asynchronous
    copied: dspy.LM = lm.copy(engine=_Front(pair.sync, lm.engine), async_engine=twin)
    copied.callbacks = lm.callbacks
    return copied


class _Front(Shared):
    """A recorded engine that declares what the one it stands for does."""

    def __init__(self, engine: Any, like: Any) -> None:
        super().__init__(engine)
        self._like = like
        self.complete, self.stream = engine.complete, engine.stream

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # what copying and pickling look for is not there
            raise AttributeError(name)
        return getattr(self._like, name)
