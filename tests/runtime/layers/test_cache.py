"""The exact cache: what is found is not asked, what must be asked is, and no store fails a call."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import dspy
import pytest
from dspy import lm15

from compilm.clock import ManualClock
from compilm.engine import SAMPLE, EnginePair, Layer, Sample, stack
from compilm.programs.models import role_lm
from compilm.runtime.caches import MemoryStore, SQLiteStore
from compilm.runtime.layers.cache import Cache, is_worth_keeping, usage_of
from compilm.runtime.layers.coalesce import Coalesce, call_key
from compilm.testing.engines import scripted_lm
from compilm.testing.layer_kit import CountingEngine, LayerKit, aask, ask, request


class Broken:
    """A store that can do nothing."""

    def get(self, key: str) -> bytes | None:
        raise OSError(f"the disk is gone, and {key} with it")

    def put(self, key: str, value: bytes, ttl: float | None = None) -> None:
        raise OSError(f"the disk is gone, and {key} {value!r} {ttl} with it")

    async def aget(self, key: str) -> bytes | None:
        return self.get(key)

    async def aput(self, key: str, value: bytes, ttl: float | None = None) -> None:
        self.put(key, value, ttl)

    def close(self) -> None:
        """Nothing is open."""

    async def aclose(self) -> None:
        """Nothing is open."""


class Counting(MemoryStore):
    """A store that knows what was put."""

    def __init__(self, clock: Any = None) -> None:
        super().__init__(clock=clock or ManualClock())
        self.puts: list[tuple[str, bytes]] = []

    def put(self, key: str, value: bytes, ttl: float | None = None) -> None:
        self.puts.append((key, value))
        super().put(key, value, ttl)


class TestCache(LayerKit):
    @pytest.fixture
    def layer(self) -> Layer:
        return Cache(MemoryStore())

    def test_a_stream_is_the_events_of_the_engine(
        self, pair: EnginePair, engine: CountingEngine
    ) -> None:
        """The first is; the second is told again, and the engine is not asked."""
        wanted = list(CountingEngine().pair.sync.stream(request("yes")))
        assert list(pair.sync.stream(request("yes"))) == wanted
        again = asyncio.run(listed(pair, request("yes")))
        assert again[:-1] == wanted[:-1]
        assert (again[-1].finish_reason, again[-1].usage.total_tokens) == ("stop", 0)
        assert (engine.calls, engine.inside, engine.closed) == (1, 0, 1)


class TestCacheWhoseStoreFails(LayerKit):
    @pytest.fixture
    def layer(self) -> Layer:
        return Cache(Broken())


async def listed(pair: EnginePair, asked: Any) -> list[Any]:
    return [event async for event in pair.asynchronous.stream(asked)]


def streamed(pair: EnginePair, asked: Any) -> str:
    return lm15.materialize_response(iter(pair.sync.stream(asked)), asked).text or ""


def astreamed(pair: EnginePair, asked: Any) -> str:
    events = asyncio.run(listed(pair, asked))
    return lm15.materialize_response(iter(events), asked).text or ""


def told(pair: EnginePair, asked: Any) -> str:
    return str(ask(pair, asked).text)


def atold(pair: EnginePair, asked: Any) -> str:
    return str(aask(pair, asked).text)


WAYS = (told, atold, streamed, astreamed)
ways = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)


@contextmanager
def sampled(**sample: Any) -> Iterator[Sample]:
    meant = Sample(**sample)
    token = SAMPLE.set(meant)
    try:
        yield meant
    finally:
        SAMPLE.reset(token)


@ways
@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_whatever_way_it_was_asked_it_is_found_by_every_way(
    kind: str, way: Any, tmp_path: Path
) -> None:
    store: Any = MemoryStore() if kind == "memory" else SQLiteStore(tmp_path / "cache.db")
    engine = CountingEngine()
    cache = Cache(store)
    pair = cache(engine.pair)
    with closing(store):
        for each in (way, *WAYS):
            assert each(pair, request("hi")) == "hi"
    assert engine.calls == 1
    assert (cache.counts.hits, cache.counts.misses, cache.counts.writes) == (4, 1, 1)


def test_what_is_found_costs_nothing_and_says_what_it_cost_once() -> None:
    pair = Cache(MemoryStore())(CountingEngine().pair)
    first, second = ask(pair, request()), aask(pair, request())
    assert (first.usage.input_tokens, usage_of(first)) == (10, None)
    assert (second.usage.input_tokens, second.usage.output_tokens) == (0, 0)
    assert usage_of(second) == {"input_tokens": 10, "output_tokens": 5}
    # what was found is kept by nobody's journal as more than it is
    assert replace(second, usage=first.usage, provider_data=None) == first


def test_an_answer_is_found_until_its_time_is_over() -> None:
    clock, engine = ManualClock(), CountingEngine()
    pair = Cache(MemoryStore(clock=clock), ttl=60.0)(engine.pair)
    for seconds in (0.0, 59.0, 2.0, 59.0):
        clock.advance(seconds)
        ask(pair, request())
    assert engine.calls == 2


def test_calls_that_differ_in_anything_are_never_answered_with_one_another() -> None:
    store, engine = MemoryStore(), CountingEngine()
    caches: list[dict[str, str]] = [{}, {"tenant": "t"}, {"artifact": "t"}, {"source": "t"}]
    asked = [request("a"), request("b"), request("a", max_tokens=5), request("a", seed=1)]
    asked += [replace(request("a"), model="kit/other"), replace(request("a"), system="be brief")]
    for _ in range(2):
        for whose in caches:
            pair = Cache(store, **whose)(engine.pair)
            for each in asked:
                for sample in ({}, {"rollout_id": 1}, {"rollout_id": 2}, {"index": 1}):
                    with sampled(**sample):
                        ask(pair, each)
    assert engine.calls == len(caches) * len(asked) * 4


def test_the_samples_of_one_call_stay_apart_and_are_found_again_in_their_order() -> None:
    numbers = iter("0123456789")
    engine = CountingEngine(lambda _: next(numbers))
    layers = Cache(MemoryStore()), Coalesce()
    for pair in (stack(engine.pair, *layers), stack(engine.pair, *layers)):
        for _ in range(2):
            with sampled(rollout_id=1):  # the three samples of one call with n=3
                assert [ask(pair, request(temperature=1.0)).text for _ in range(3)] == list("012")


def test_a_layer_below_counts_the_same_samples_as_the_cache_does() -> None:
    keys: list[Any] = []

    class Below:
        def complete(self, asked: Any) -> Any:
            keys.append((SAMPLE.get().index, call_key(asked)))  # type: ignore[union-attr]
            return CountingEngine().answer(asked)

    pair = Cache(MemoryStore())(EnginePair(Below(), None))  # type: ignore[arg-type]
    for _ in range(2):  # the second time both are found: nothing below is asked or counted
        with sampled() as sample:
            ask(pair, request("a"))
            ask(pair, request("a"))
            assert sample.index == 2
    assert [index for index, _ in keys] == [0, 1]
    assert keys[0][1] != keys[1][1]


@ways
def test_a_fresh_answer_is_neither_read_nor_written(way: Any) -> None:
    store, engine = Counting(), CountingEngine()
    pair = Cache(store)(engine.pair)
    with sampled(is_fresh=True):
        way(pair, request())
    assert (engine.calls, store.puts) == (1, [])
    way(pair, request())
    with sampled(is_fresh=True):
        way(pair, request())
    assert (engine.calls, len(store.puts)) == (3, 1)


@pytest.mark.parametrize(
    ("temperature", "rollout_id", "is_sampled", "calls"),
    [(None, None, False, 1), (0.0, None, False, 1), (0.7, None, False, 3), (0.7, 4, False, 1),
     (0.7, None, True, 1)],
)  # fmt: skip
def test_above_temperature_0_only_a_sample_that_is_named_is_found(
    temperature: float | None, rollout_id: int | None, is_sampled: bool, calls: int
) -> None:
    engine = CountingEngine()
    pair = Cache(MemoryStore(), sampled=is_sampled)(engine.pair)
    for _ in range(3):
        with sampled(rollout_id=rollout_id):
            ask(pair, request(temperature=temperature))
    assert engine.calls == calls


class Answering:
    """An engine pair that gives one response each time, and counts."""

    def __init__(self, response: Any) -> None:
        self.response, self.calls = response, 0
        self.pair = EnginePair(self, _Twin(self))

    def complete(self, asked: Any) -> Any:
        assert asked.messages
        self.calls += 1
        return self.response

    def stream(self, asked: Any) -> Any:
        yield from lm15.response_to_events(self.complete(asked))


class _Twin:
    def __init__(self, twin: Answering) -> None:
        self.twin = twin

    async def complete(self, asked: Any) -> Any:
        return self.twin.complete(asked)

    async def stream(self, asked: Any) -> Any:
        for event in self.twin.stream(asked):
            yield event


WHOLE = CountingEngine().answer(request("yes"))
CALL = lm15.ToolCallPart(id="1", name="look", input={"at": "it"})


@ways
@pytest.mark.parametrize("reason", ["length", "content_filter", "error"])
def test_what_the_model_did_not_end_by_itself_is_asked_again(way: Any, reason: Any) -> None:
    store, engine = Counting(), Answering(replace(WHOLE, finish_reason=reason))
    pair = Cache(store)(engine.pair)
    for _ in range(2):
        way(pair, request())
    assert (engine.calls, store.puts) == (2, [])


def test_a_refusal_is_asked_again_and_a_tool_call_is_kept() -> None:
    refusal = replace(WHOLE, message=lm15.Message.assistant((lm15.RefusalPart("no"),)))
    tool = replace(WHOLE, finish_reason="tool_call", message=lm15.Message.assistant((CALL,)))
    assert [is_worth_keeping(each) for each in (WHOLE, refusal, tool)] == [True, False, True]
    for response, calls in ((refusal, 2), (tool, 1)):
        engine = Answering(response)
        pair = Cache(MemoryStore())(engine.pair)
        found = [ask(pair, request()) for _ in range(2)]
        assert engine.calls == calls
        assert found[1].message == response.message


@ways
def test_an_error_is_not_kept(way: Any) -> None:
    replies: list[Any] = [lm15.ServerError("down"), "yes"]
    store = Counting()
    pair = Cache(store)(CountingEngine(lambda _: replies.pop(0)).pair)
    with pytest.raises(lm15.ServerError):
        way(pair, request())
    assert store.puts == []
    assert way(pair, request()) == "yes"
    assert len(store.puts) == 1


class Breaking(Answering):
    """Its streams stop in the middle, some without a word."""

    def __init__(self, error: Exception | None) -> None:
        super().__init__(WHOLE)
        self.error = error

    def stream(self, asked: Any) -> Any:
        for event in super().stream(asked):
            if event.type == "end":
                break
            yield event
        if self.error:
            raise self.error


@pytest.mark.parametrize("error", [None, lm15.TransportError("cut off")])
def test_a_stream_without_its_end_is_not_kept(error: Exception | None) -> None:
    store = Counting()
    cache = Cache(store)
    pair = cache(Breaking(error).pair)
    for way in (streamed, astreamed):
        with pytest.raises(lm15.LM15Error):
            way(pair, request())
    assert (store.puts, cache.counts.failures) == ([], 0)


def test_a_stream_that_is_left_is_not_kept_and_one_that_is_read_to_its_end_event_is() -> None:
    store = Counting()
    pair = Cache(store)(CountingEngine().pair)
    events: Any = pair.sync.stream(request())
    next(events)
    events.close()
    assert store.puts == []
    events = pair.sync.stream(request())
    while next(events).type != "end":
        pass
    events.close()
    assert len(store.puts) == 1


def test_what_is_kept_is_json_under_a_digest_and_nothing_of_the_request_is_in_it() -> None:
    store = Counting()
    secret = "my number is 4929 1234"
    answer = replace(WHOLE, provider_data={"seen": secret})
    ask(Cache(store, tenant="ada@example.org")(Answering(answer).pair), request(secret))
    ((key, value),) = store.puts
    assert (key[:7], len(key)) == ("sha256:", 71)
    assert json.loads(value)["message"]["parts"] == [{"type": "text", "text": "yes"}]
    assert secret not in key + value.decode()
    assert "ada" not in key + value.decode()


@ways
def test_a_store_that_fails_is_told_once_and_no_call_fails(
    way: Any, caplog: pytest.LogCaptureFixture
) -> None:
    cache, engine = Cache(Broken()), CountingEngine()
    pair = cache(engine.pair)
    with caplog.at_level(logging.WARNING):
        assert [way(pair, request()) for _ in range(3)] == ["hi"] * 3
    assert (engine.calls, cache.counts.failures, cache.counts.misses) == (3, 6, 3)
    (record,) = caplog.records
    assert "OSError" in record.getMessage()
    assert "sha256" not in record.getMessage()
    assert record.exc_info is None


@pytest.mark.parametrize("value", [b"", b"\xff", b"[]", b"{}", b'{"model": 3}', b"\x80\x04]\x94."])
def test_a_value_that_cannot_be_read_is_asked_again_and_replaced(value: bytes) -> None:
    store, engine = Counting(), CountingEngine()
    cache = Cache(store)
    pair = cache(engine.pair)
    ask(pair, request())
    store.put(store.puts[0][0], value)
    for _ in range(2):
        assert ask(pair, request()).text == "hi"
    assert (engine.calls, cache.counts.failures, cache.counts.hits) == (2, 1, 1)


def test_64_equal_tasks_are_one_call_and_one_write() -> None:
    store, engine = Counting(), CountingEngine()
    cache = Cache(store)
    pair = stack(engine.pair, cache, Coalesce())

    async def everyone() -> list[Any]:
        return await asyncio.gather(*(pair.asynchronous.complete(request()) for _ in range(64)))

    assert {answer.text for answer in asyncio.run(everyone())} == {"hi"}
    assert (engine.calls, len(store.puts), cache._asked) == (1, 1, {})
    assert {answer.text for answer in asyncio.run(everyone())} == {"hi"}
    assert (engine.calls, cache.counts.hits) == (1, 64)


def test_64_equal_threads_are_one_call_and_one_write() -> None:
    store, engine, let_go = Counting(), CountingEngine(), threading.Event()
    cache = Cache(store)

    class Held:
        def complete(self, asked: Any) -> Any:
            let_go.wait()
            return engine.pair.sync.complete(asked)

    layer = Coalesce(ManualClock())
    pair = stack(EnginePair(Held(), None), cache, layer)  # type: ignore[arg-type]
    with ThreadPoolExecutor(64) as pool:
        found = pool.map(lambda _: ask(pair, request()).text, range(64))
        while (
            sum(
                len(flight.landing._done_callbacks)
                for flight in list(layer.flights._flying.values())
                if flight.landing
            )
            < 63
        ):
            pass
        let_go.set()
        assert list(found) == ["hi"] * 64
    assert (engine.calls, len(store.puts), cache._asked) == (1, 1, {})


def test_a_program_names_its_samples_and_its_fresh_calls_by_dspys_own_words() -> None:
    lm = scripted_lm([{"answer": str(n)} for n in range(20)])
    from compilm.programs.models import as_engine

    cache = Cache(MemoryStore())
    made = role_lm(cache(as_engine(lm)), lm)
    asked = dspy.Predict("question -> answer")

    def answers(*used: Any, **config: Any) -> list[str]:
        with dspy.context(lm=used[0] if used else made):
            return [asked(question="?", config=config).answer for _ in range(2)]

    assert answers() == ["0", "0"]
    assert answers(cache=False) == ["1", "2"]
    assert answers(made.copy(cache=False)) == ["3", "4"]
    assert answers() == ["0", "0"]
    assert [answers(rollout_id=n, temperature=1.0)[1] for n in (1, 2, 1)] == ["5", "6", "5"]
    assert answers(temperature=1.0) == ["7", "8"]


def test_best_of_four_gets_four_samples_with_cache_and_coalescing_on() -> None:
    from compilm.programs.models import as_engine

    lm = scripted_lm([{"answer": str(n)} for n in range(20)])
    made = role_lm(stack(as_engine(lm), Cache(MemoryStore()), Coalesce()), lm)
    seen: list[str] = []

    def reward(_: Any, prediction: Any) -> float:
        seen.append(prediction.answer)
        return 0.0

    best = dspy.BestOfN(dspy.Predict("question -> answer"), N=4, reward_fn=reward, threshold=1.0)
    with dspy.context(lm=made):
        best(question="?")
        best(question="?")
    assert seen == ["0", "1", "2", "3"] * 2
