"""The kit of layers: what each must satisfy whatever its policy, in threads and in tasks."""

from __future__ import annotations

import asyncio
import copy
import pickle
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from dspy import lm15

from ..engine import EnginePair, Layer

__all__ = ["CountingEngine", "LayerKit", "aask", "ask", "request"]


def request(text: str = "hi", **config: Any) -> lm15.Request:
    """A request of one user message.

    >>> request("hello").messages[0].text
    'hello'
    """
    messages = (lm15.Message.user(text),)
    return lm15.Request(model="kit/model", messages=messages, config=lm15.Config(**config))


def ask(pair: EnginePair, asked: lm15.Request) -> Any:
    """The answer of the synchronous engine."""
    return pair.sync.complete(asked)


def aask(pair: EnginePair, asked: lm15.Request) -> Any:
    """The answer of the asynchronous engine, in an event loop of its own."""
    return asyncio.run(_awaited(pair, asked))


async def _awaited(pair: EnginePair, asked: lm15.Request) -> Any:
    return await pair.asynchronous.complete(asked)


class CountingEngine:
    """An engine pair whose answers echo the request; it knows who is inside, and can be held.

    `reply` may give another text, or an error to raise. `calls` counts attempts, `inside` those
    that have not ended, `most` the most there ever were, `closed` the streams that were closed.
    `gate`, once set to an `asyncio.Event`, holds every asynchronous call.

    >>> engine = CountingEngine()
    >>> engine.pair.sync.complete(request("a")).text, engine.calls
    ('a', 1)
    """

    def __init__(self, reply: Callable[[lm15.Request], str | BaseException] | None = None) -> None:
        self._reply = reply or (lambda asked: asked.messages[-1].text)
        self._lock = threading.Lock()  # protects the counters
        self.calls = self.inside = self.most = self.closed = 0
        self.gate: asyncio.Event | None = None
        self.pair = EnginePair(_Sync(self), _Async(self))

    def arrived(self) -> None:
        """A call begins."""
        with self._lock:
            self.calls += 1
            self.inside += 1
            self.most = max(self.most, self.inside)

    def left(self) -> None:
        """A call ended, however."""
        with self._lock:
            self.inside -= 1

    def answer(self, asked: lm15.Request) -> lm15.Response:
        """The answer to a request, or the error of the script."""
        reply = self._reply(asked)
        if isinstance(reply, BaseException):
            raise reply
        return lm15.Response(
            id=None,
            model=asked.model,
            message=lm15.Message.assistant((lm15.TextPart(reply),)),
            finish_reason="stop",
            usage=lm15.Usage(input_tokens=10, output_tokens=5),
        )


class _Sync:
    def __init__(self, engine: CountingEngine) -> None:
        self._engine = engine

    def complete(self, asked: lm15.Request) -> lm15.Response:
        self._engine.arrived()
        try:
            return self._engine.answer(asked)
        finally:
            self._engine.left()

    def stream(self, asked: lm15.Request) -> Iterator[Any]:
        self._engine.arrived()
        try:
            yield from lm15.response_to_events(self._engine.answer(asked))
        finally:
            self._engine.closed += 1
            self._engine.left()


class _Async:
    def __init__(self, engine: CountingEngine) -> None:
        self._engine = engine

    async def complete(self, asked: lm15.Request) -> lm15.Response:
        self._engine.arrived()
        try:
            await self._held()
            return self._engine.answer(asked)
        finally:
            self._engine.left()

    async def stream(self, asked: lm15.Request) -> AsyncIterator[Any]:
        self._engine.arrived()
        try:
            await self._held()
            for event in lm15.response_to_events(self._engine.answer(asked)):
                yield event
        finally:
            self._engine.closed += 1
            self._engine.left()

    async def _held(self) -> None:
        if self._engine.gate is not None:
            await self._engine.gate.wait()
        else:
            await asyncio.sleep(0)


class LayerKit:
    """What every layer must do. Override `layer` with one that lets these few calls through."""

    OWN = (lm15.InvalidRequestError("no"), KeyError("a bug"))

    @pytest.fixture
    def layer(self) -> Layer:
        raise NotImplementedError("give a layer")

    @pytest.fixture
    def engine(self) -> CountingEngine:
        return CountingEngine()

    @pytest.fixture
    def pair(self, layer: Layer, engine: CountingEngine) -> EnginePair:
        return layer(engine.pair)

    @pytest.mark.parametrize("how", [ask, aask])
    def test_an_answer_passes_as_it_is(self, how: Any, pair: EnginePair) -> None:
        assert how(pair, request("yes")) == ask(CountingEngine().pair, request("yes"))

    @pytest.mark.parametrize("how", [ask, aask])
    @pytest.mark.parametrize("error", OWN, ids=lambda error: type(error).__name__)
    def test_an_error_of_the_caller_passes_as_it_is(
        self, how: Any, error: Exception, layer: Layer
    ) -> None:
        engine = CountingEngine(lambda _: error)
        with pytest.raises(type(error)) as raised:
            how(layer(engine.pair), request())
        assert (raised.value, engine.calls, engine.inside) == (error, 1, 0)

    @pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
    def test_what_is_no_exception_passes(self, stop: Any, layer: Layer) -> None:
        engine = CountingEngine(lambda _: stop())
        with pytest.raises(stop):
            ask(layer(engine.pair), request())
        assert engine.calls == 1

    def test_a_stream_is_the_events_of_the_engine(
        self, pair: EnginePair, engine: CountingEngine
    ) -> None:
        wanted = list(CountingEngine().pair.sync.stream(request("yes")))
        assert list(pair.sync.stream(request("yes"))) == wanted
        assert asyncio.run(_listed(pair, request("yes"))) == wanted
        assert (engine.calls, engine.inside, engine.closed) == (2, 0, 2)

    def test_a_stream_that_is_left_is_closed(
        self, pair: EnginePair, engine: CountingEngine
    ) -> None:
        events = iter(pair.sync.stream(request()))
        assert next(events).type == "start"
        events.close()  # type: ignore[attr-defined]
        assert asyncio.run(_first(pair, request())).type == "start"
        assert (engine.calls, engine.inside, engine.closed) == (2, 0, 2)

    def test_a_copy_is_the_same(self, pair: EnginePair) -> None:
        for side in (pair.sync, pair.asynchronous):
            assert copy.deepcopy(side) is side
            assert copy.copy(side) is side

    def test_pickling_is_refused_with_the_reason(self, pair: EnginePair) -> None:
        for side in (pair.sync, pair.asynchronous):
            with pytest.raises(TypeError, match="not pickled"):
                pickle.dumps(side)

    def test_a_cancelled_call_leaves_nothing_behind(
        self, pair: EnginePair, engine: CountingEngine
    ) -> None:
        assert asyncio.run(_cancelled(pair, engine, 50)) == 50
        assert engine.inside == 0
        assert ask(pair, request("after")).text == "after"

    def test_many_tasks_get_their_own_answers(
        self, pair: EnginePair, engine: CountingEngine
    ) -> None:
        assert asyncio.run(_gathered(pair, 1000)) == [str(n) for n in range(1000)]
        assert (engine.calls, engine.inside) == (1000, 0)

    def test_many_threads_get_their_own_answers(
        self, pair: EnginePair, engine: CountingEngine
    ) -> None:
        with ThreadPoolExecutor(32) as pool:
            found = list(pool.map(lambda n: ask(pair, request(str(n))).text, range(640)))
        assert found == [str(n) for n in range(640)]
        assert (engine.calls, engine.inside) == (640, 0)


async def _listed(pair: EnginePair, asked: lm15.Request) -> list[Any]:
    return [event async for event in pair.asynchronous.stream(asked)]


async def _first(pair: EnginePair, asked: lm15.Request) -> Any:
    events: Any = pair.asynchronous.stream(asked)
    try:
        return await anext(events)
    finally:
        await events.aclose()


async def _cancelled(pair: EnginePair, engine: CountingEngine, count: int) -> int:
    engine.gate = asyncio.Event()
    tasks = [
        asyncio.ensure_future(pair.asynchronous.complete(request(str(n)))) for n in range(count)
    ]
    for _ in range(3):
        await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    engine.gate = None
    return sum(isinstance(each, asyncio.CancelledError) for each in found)


async def _gathered(pair: EnginePair, count: int) -> list[str]:
    calls = [pair.asynchronous.complete(request(str(n))) for n in range(count)]
    return [answer.text for answer in await asyncio.gather(*calls)]
