"""The layers that record calls and attempts: transparent, whatever passes, recorded or not."""

from __future__ import annotations

import asyncio
import copy
import pickle
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dspy
import pytest
from dspy import lm15

from compilm.clock import ManualClock
from compilm.engine import EnginePair, Layer, stack
from compilm.prices import Prices
from compilm.runtime.layers.notes import CALL, note
from compilm.runtime.layers.retry import Retry
from compilm.runtime.layers.trace import Attempts, Calls, heard
from compilm.runtime.tracing.live import LiveSpan, LiveTrace
from compilm.testing.engines import scripted_lm
from compilm.testing.layer_kit import CountingEngine, LayerKit, aask, ask, request

ABOUT = {"program": "Desk", "digest": "sha256:ab"}


def trace_of(keeps_texts: bool = False) -> LiveTrace:
    return LiveTrace("3f", ManualClock(), keeps_texts, ABOUT, Prices(), lambda _: None)


@pytest.fixture
def trace() -> Iterator[LiveTrace]:
    """A trace that is going on."""
    with trace_of() as found:
        yield found


class TestCalls(LayerKit):
    @pytest.fixture
    def layer(self) -> Layer:
        return Calls()


class TestAttempts(LayerKit):
    @pytest.fixture
    def layer(self) -> Layer:
        return Attempts("kit/model")


class TestRecorded(LayerKit):
    @pytest.fixture
    def layer(self, trace: LiveTrace) -> Layer:
        return lambda inner: stack(inner, Calls(), Attempts("kit/model"))


def calls(trace: LiveTrace, kind: str = "call") -> list[LiveSpan]:
    return [span for span in trace.spans if span.kind == kind]


@pytest.mark.parametrize("how", [ask, aask])
def test_a_call_that_took_one_attempt_is_one_span(how: Any, trace: LiveTrace) -> None:
    pair = stack(CountingEngine().pair, Calls(), Attempts("kit/first"))
    answer = how(pair, request("yes"))
    (call,) = calls(trace)
    assert calls(trace, "attempt") == []
    assert (call.parent, call.by, call.response) == (trace.root, "kit/first", answer)
    assert call.over is not None
    assert CALL.get() is None


@pytest.mark.parametrize("how", [ask, aask])
def test_attempts_are_spans_from_the_first_that_failed(how: Any, trace: LiveTrace) -> None:
    replies = [lm15.ServerError("down"), "yes"]
    engine = CountingEngine(lambda _: replies.pop(0))
    pair = stack(engine.pair, Calls(), Retry(clock=ManualClock()), Attempts("kit/first"))
    how(pair, request("yes"))
    (call,) = calls(trace)
    told = [(one.parent, one.name, one.error) for one in calls(trace, "attempt")]
    assert told == [(call, "kit/first", "ServerError"), (call, "kit/first", None)]


@pytest.mark.parametrize("how", [ask, aask])
def test_a_layer_within_another_records_nothing_twice(how: Any, trace: LiveTrace) -> None:
    how(stack(CountingEngine().pair, Calls(), Calls()), request("yes"))
    assert len(calls(trace)) == 1


def streamed(pair: EnginePair, asked: Any) -> list[Any]:
    return list(pair.sync.stream(asked))


def astreamed(pair: EnginePair, asked: Any) -> list[Any]:
    async def run() -> list[Any]:
        return [event async for event in pair.asynchronous.stream(asked)]

    return asyncio.run(run())


streams = pytest.mark.parametrize("how", [streamed, astreamed])


@streams
def test_a_stream_is_a_call_from_its_start_to_its_end(how: Any) -> None:
    with trace_of(keeps_texts=True) as trace:
        how(stack(CountingEngine().pair, Calls(), Attempts("kit/model")), request("yes"))
    (call,) = calls(trace)
    assert (call.streams, call.by, call.response.text) == (0.0, "kit/model", "yes")
    assert call.over is not None


class Cut:
    """Engines whose streams stop before their end, or break."""

    def __init__(self, error: Exception | None) -> None:
        self._error = error
        self.pair = EnginePair(self, self)  # type: ignore[arg-type]  # streams alone

    def _events(self, asked: Any) -> Iterator[Any]:
        yield from list(CountingEngine().pair.sync.stream(asked))[:-1]
        if self._error is not None:
            raise self._error

    def stream(self, asked: Any) -> Any:
        return _Both(self._events(asked))


class _Both:
    """An iterator for threads and tasks."""

    def __init__(self, events: Iterator[Any]) -> None:
        self._events = events

    def __iter__(self) -> Any:
        return self._events

    def __aiter__(self) -> Any:
        return self

    async def __anext__(self) -> Any:
        found = next(self._events, None)
        if found is None:
            raise StopAsyncIteration
        return found


@streams
def test_a_stream_that_stops_or_breaks_is_an_error_in_the_trace(how: Any, trace: LiveTrace) -> None:
    events = how(Calls()(Cut(None).pair), request("yes"))
    assert [event.type for event in events][-1] == "delta"  # it passes as it is
    with pytest.raises(lm15.TransportError):
        how(Calls()(Cut(lm15.TransportError("cut")).pair), request("yes"))
    assert [call.error for call in calls(trace)] == ["StreamAssemblyError", "TransportError"]


def test_a_stream_that_is_left_is_told(trace: LiveTrace) -> None:
    events = iter(Calls()(CountingEngine().pair).sync.stream(request("yes")))
    next(events)
    events.close()  # type: ignore[attr-defined]
    assert calls(trace)[0].error == "GeneratorExit"


def test_what_the_reader_of_a_stream_asks_meanwhile_is_a_call_of_its_own(trace: LiveTrace) -> None:
    pair = Calls()(CountingEngine().pair)
    for _ in pair.sync.stream(request("yes")):
        note("of nobody")
        ask(pair, request("no"))
    assert len(calls(trace)) == 4
    assert all(call.events is None for call in calls(trace))


def test_notes_go_to_the_call_of_their_context(trace: LiveTrace) -> None:
    def reply(_: Any) -> str:
        note("seen", count=1)
        return "yes"

    ask(Calls()(CountingEngine(reply).pair), request())
    assert calls(trace)[0].events == [("seen", 0.0, {"count": 1})]


@contextmanager
def _context(trace: LiveTrace) -> Iterator[None]:
    with dspy.context(compilm_trace=trace):
        yield


def test_a_thread_that_has_dspys_settings_alone_is_heard() -> None:
    trace, pair = trace_of(), Calls()(CountingEngine().pair)

    def work() -> None:
        with _context(trace):
            ask(pair, request())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert len(calls(trace)) == 1


def test_an_lm_over_its_own_engine_is_heard_as_a_copy() -> None:
    lm = scripted_lm(["yes", "no"], temperature=0.5)
    lm.callbacks.append(dspy.utils.callback.BaseCallback())
    copied = heard(lm)
    with trace_of() as trace:
        assert copied("a question") == ["yes"]
        assert lm("a question") == ["no"]
    assert len(calls(trace)) == 1
    assert calls(trace)[0].request.config.temperature == 0.5
    assert copied is not lm
    assert copied.callbacks == lm.callbacks
    assert copied.supports_reasoning == lm.supports_reasoning
    assert copied.engine.calls == 2
    assert copy.deepcopy(copied.engine) is copied.engine
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(copied.engine)


def test_dspys_own_connections_are_left_as_they_are() -> None:
    lm = dspy.LM("openai/gpt-5-mini")
    assert heard(lm) is lm
