"""The kit of layers finds what is wrong: a leak, a swallowed error, a copy, a lost stream."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from dspy import lm15

from compilm.engine import EnginePair
from compilm.testing.layer_kit import CountingEngine, LayerKit, ask, request


class Bad:
    """An engine on both sides that passes calls on, and does one thing wrong."""

    def __init__(self, inner: EnginePair, fault: str) -> None:
        self._inner, self._fault = inner, fault

    async def complete(self, asked: Any) -> Any:
        if self._fault == "shields":
            return await asyncio.shield(self._inner.asynchronous.complete(asked))
        return await self._inner.asynchronous.complete(asked)

    def stream(self, asked: Any) -> Any:
        return self._inner.asynchronous.stream(asked)


class BadSync(Bad):
    def complete(self, asked: Any) -> Any:  # type: ignore[override]
        try:
            return self._inner.sync.complete(asked)
        except KeyError as error:
            if self._fault == "translates":
                raise lm15.ServerError(str(error)) from error
            raise

    def stream(self, asked: Any) -> Any:
        events = list(self._inner.sync.stream(asked))
        return iter(events[:-1] if self._fault == "cuts" else events)


def bad(fault: str) -> Any:
    return lambda inner: EnginePair(BadSync(inner, fault), Bad(inner, fault))


def test_a_layer_that_translates_errors_is_found() -> None:
    with pytest.raises(lm15.ServerError):
        LayerKit().test_an_error_of_the_caller_passes_as_it_is(ask, KeyError(1), bad("translates"))


def test_a_layer_that_cuts_streams_is_found() -> None:
    engine = CountingEngine()
    with pytest.raises(AssertionError):
        LayerKit().test_a_stream_is_the_events_of_the_engine(bad("cuts")(engine.pair), engine)


def test_a_layer_that_is_copied_is_found() -> None:
    with pytest.raises((AssertionError, TypeError)):
        LayerKit().test_a_copy_is_the_same(bad("")(CountingEngine().pair))


def test_a_layer_that_answers_without_asking_is_found() -> None:
    engine = CountingEngine()
    other = CountingEngine().pair
    with pytest.raises(AssertionError):
        LayerKit().test_many_threads_get_their_own_answers(other, engine)


def test_a_counting_engine_counts() -> None:
    engine = CountingEngine()
    ask(engine.pair, request())
    assert (engine.calls, engine.inside, engine.most) == (1, 0, 1)
