"""The exact cache: what is found is not asked, and what must be asked is."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import dspy
import pytest
from tests.runtime.layers.caching import WAYS, Broken, Counting, listed, sampled, ways

from compilm.clock import ManualClock
from compilm.engine import SAMPLE, EnginePair, Layer, stack
from compilm.programs.models import role_lm
from compilm.runtime.caches import MemoryStore, RedisStore, SQLiteStore
from compilm.runtime.layers.billing import tenant
from compilm.runtime.layers.cache import Cache, usage_of
from compilm.runtime.layers.coalesce import Coalesce, call_key
from compilm.testing.engines import scripted_lm
from compilm.testing.layer_kit import CountingEngine, LayerKit, aask, ask, request

asked = request  # where a fixture has its name


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


@ways
@pytest.mark.parametrize("kind", ["memory", "sqlite", "redis"])
def test_whatever_way_it_was_asked_it_is_found_by_every_way(
    kind: str, way: Any, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if kind == "redis":
        store: Any = RedisStore(request.getfixturevalue("redis_url"))
    else:
        store = MemoryStore() if kind == "memory" else SQLiteStore(tmp_path / "cache.db")
    engine = CountingEngine()
    cache = Cache(store)
    pair = cache(engine.pair)
    with closing(store):
        for each in (way, *WAYS):
            assert each(pair, asked("hi")) == "hi"
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


def test_the_tenant_of_the_context_sees_its_own_answers_alone() -> None:
    engine = CountingEngine()
    pair = Cache(MemoryStore())(engine.pair)
    for whose in ("acme", "other", "", "acme", "other", ""):
        with tenant(whose) if whose else nullcontext():
            ask(pair, request())
    assert engine.calls == 3


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
