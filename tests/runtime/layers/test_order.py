"""Which model of a chain is asked first: the cheapest or the fastest, and none that rests."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any

import pytest
from dspy import lm15
from hypothesis import given
from hypothesis import strategies as st

from compilm.clock import ManualClock
from compilm.engine import EnginePair, Layer
from compilm.errors import CircuitOpen
from compilm.prices import Price, Prices
from compilm.runtime.layers.fallback import Fallback, Target
from compilm.runtime.layers.order import ByCost, ByLatency, Order
from compilm.testing.layer_kit import CountingEngine, LayerKit, aask, ask, request

both = pytest.mark.parametrize("how", [ask, aask])
AWAKE = lambda now: False  # noqa: E731
DEAR, CHEAP = Price(2.0, 8.0), Price(0.5, 2.0)


def by_latency(count: int = 2, **settings: Any) -> ByLatency:
    return ByLatency([AWAKE] * count, random.Random(7), **settings)


class TestOrderedFallback(LayerKit):
    @pytest.fixture(params=["cost", "latency"])
    def layer(self, request: pytest.FixtureRequest) -> Layer:
        # The second is the engine of the kit's tests only where it is first: it rests.
        resting = [AWAKE, lambda now: True]
        cost = ByCost(["openai/a", "openai/b"], [DEAR, CHEAP], resting)
        order = cost if request.param == "cost" else ByLatency(resting, random.Random(7))
        return Fallback([Target("second", CountingEngine().pair)], order=order)


@given(st.lists(st.tuples(st.booleans(), st.floats(0.01, 99.0)), min_size=1, max_size=6))
def test_every_model_has_a_place_and_those_that_rest_have_the_last(found: Any) -> None:
    order = ByLatency([lambda now, r=r: r for r, _ in found], random.Random(1), explore=0.5)
    for place, (_, seconds) in enumerate(found):
        order.took(place, seconds, None, 0.0, is_stream=False)
    for _ in range(20):
        ranked = order.ranked(request(), 1.0)
        assert sorted(ranked) == list(range(len(found)))
        rests = [found[place][0] for place in ranked]
        assert rests == sorted(rests)


def test_a_chain_keeps_its_order_where_nothing_tells_its_members_apart() -> None:
    for order in (
        Order([AWAKE] * 3),
        ByCost(["a/a", "a/b", "a/c"], [CHEAP] * 3, [AWAKE] * 3),
        by_latency(3, explore=0.0),
    ):
        assert order.ranked(request(), 0.0) == [0, 1, 2]


def chained(
    order: Order | None, *engines: CountingEngine, clock: ManualClock | None = None, **more: Any
) -> EnginePair:
    others = [Target(str(n), each.pair) for n, each in enumerate(engines[1:], start=1)]
    layer = Fallback(others, name="0", order=order, clock=clock or ManualClock(), **more)
    return layer(engines[0].pair)


@both
def test_the_cheapest_is_asked_first_and_the_dearer_where_it_fails(how: Any) -> None:
    order = ByCost(["openai/a", "openai/b"], [DEAR, CHEAP], [AWAKE] * 2)
    dear, cheap = CountingEngine(), CountingEngine()
    assert how(chained(order, dear, cheap), request("hi")).text == "hi"
    assert (dear.calls, cheap.calls) == (0, 1)
    down = CountingEngine(lambda _: lm15.ServerError("down"))
    assert how(chained(order, dear, down), request("hi")).text == "hi"
    assert (dear.calls, down.calls) == (1, 1)


def test_a_price_of_a_long_prompt_and_one_of_a_long_answer_part_ways() -> None:
    reads, writes = Price(0.1, 10.0), Price(1.0, 1.0)  # cheap for prompts, cheap for answers
    order = ByCost(["openai/a", "openai/b"], [reads, writes], [AWAKE] * 2)
    assert order.ranked(request("x" * 90_000, max_tokens=100), 0.0) == [0, 1]
    assert order.ranked(request("x", max_tokens=1000), 0.0) == [1, 0]


def test_what_a_model_uses_is_learned() -> None:
    asked = request("x" * 3000)
    order = ByCost(
        ["openai/thinks", "openai/plain"], [Price(1.0, 1.0), Price(1.0, 2.0)], [AWAKE] * 2
    )
    assert order.ranked(asked, 0.0) == [0, 1]
    for _ in range(5):  # it thinks for nine thousand tokens, and the other answers in fifty
        order.used(0, asked, lm15.Usage(1000, 9000))
        order.used(1, asked, lm15.Usage(1000, 50))
    assert order.ranked(asked, 0.0) == [1, 0]
    order.used(1, asked, lm15.Usage())  # what is not reported teaches nothing
    assert order.ranked(asked, 0.0) == [1, 0]


def test_a_model_that_never_answered_is_expected_to_be_as_the_others_are() -> None:
    order = ByCost(["openai/a", "openai/b"], [DEAR, CHEAP], [AWAKE] * 2)
    order.used(0, request("x" * 3000), lm15.Usage(1000, 5))
    assert order.ranked(request("x" * 3000), 0.0) == [1, 0]


def test_a_prompt_that_a_provider_keeps_is_cheaper_there() -> None:
    asked, price = request("x" * 30_000), Price(1.0, 1.0, cached=0.1)
    order = ByCost(["openai/a", "openai/b"], [price, price], [AWAKE] * 2)
    order.used(0, asked, lm15.Usage(10_000, 10))
    order.used(1, asked, lm15.Usage(10_000, 10, cache_read_tokens=9_000))
    assert order.ranked(asked, 0.0) == [1, 0]


def test_a_model_without_a_price_goes_after_those_that_have_one() -> None:
    prices = [Prices().find(model) for model in ("openai/unheard-of", "openai/gpt-5")]
    order = ByCost(["openai/unheard-of", "openai/gpt-5"], prices, [AWAKE] * 2)
    assert order.ranked(request(), 0.0) == [1, 0]


class Timed:
    """An engine that takes so many seconds of a clock."""

    def __init__(self, clock: ManualClock, seconds: float) -> None:
        self.seconds, self.clock = seconds, clock
        self.engine = CountingEngine(self._reply)

    def _reply(self, asked: Any) -> str:
        self.clock.advance(self.seconds)
        return str(asked.messages[-1].text)


@both
@pytest.mark.parametrize("streamed", [False, True])
def test_the_fastest_is_asked_and_a_change_is_noticed(how: Any, streamed: bool) -> None:
    clock = ManualClock()
    slow, fast = Timed(clock, 3.0), Timed(clock, 1.0)
    pair = chained(by_latency(), slow.engine, fast.engine, clock=clock)

    def call() -> None:
        if not streamed:
            how(pair, request("hi"))
        elif how is ask:
            list(pair.sync.stream(request("hi")))
        else:
            asyncio.run(all_of(pair))

    def share(calls: int) -> float:
        before = fast.engine.calls, slow.engine.calls
        for _ in range(calls):
            call()
        return (fast.engine.calls - before[0]) / calls

    assert share(100) > 0.9
    fast.seconds, slow.seconds = 5.0, 0.5
    share(40)  # until it is noticed
    assert share(100) < 0.1


async def all_of(pair: EnginePair) -> list[Any]:
    return [event async for event in pair.asynchronous.stream(request("hi"))]


def test_exploring_is_as_rare_as_it_says_and_the_same_from_the_same_seed() -> None:
    def firsts(seed: int) -> list[int]:
        order = ByLatency([AWAKE] * 3, random.Random(seed), explore=0.1)
        for place in range(3):
            order.took(place, place + 1.0, None, 0.0, is_stream=False)
        return [order.ranked(request(), 1.0)[0] for _ in range(2000)]

    found = Counter(firsts(3))
    assert 0.08 < (found[1] + found[2]) / 2000 < 0.12
    assert min(found[1], found[2]) > 50
    assert firsts(3) == firsts(3) != firsts(4)


def test_a_failure_counts_as_what_it_took_and_what_the_next_then_takes() -> None:
    order = by_latency(explore=0.0)
    order.took(0, 1.0, None, 0.0, is_stream=False)
    order.took(1, 1.2, None, 0.0, is_stream=False)
    for _ in range(3):  # it refuses at once, which is not to be taken for fast
        order.took(0, 0.0, lm15.ServerError("down"), 0.0, is_stream=False)
    assert order.ranked(None, 0.0) == [0, 1]  # half of its answers at once still beats the other
    for error in (lm15.TimeoutError("late"), lm15.RateLimitError("slow")):
        order.took(0, 5.0, error, 0.0, is_stream=False)
    assert order.ranked(None, 0.0) == [1, 0]


@pytest.mark.parametrize(
    "error", [CircuitOpen("open"), lm15.InvalidRequestError("no"), lm15.ContextLengthError("long")]
)
def test_what_tells_nothing_of_the_pace_is_not_counted(error: Exception) -> None:
    order = by_latency(explore=0.0)
    for place, seconds in enumerate((1.0, 2.0)):
        order.took(place, seconds, None, 0.0, is_stream=False)
    order.took(0, 99.0, error, 99.0, is_stream=False)
    assert order.ranked(None, 99.0) == [0, 1]


def test_a_call_that_lost_a_race_took_at_least_so_long() -> None:
    clock, slow, fast = ManualClock(), CountingEngine(), CountingEngine()
    slow.gate = asyncio.Event()  # never set
    order = by_latency(explore=0.0)
    pair = chained(order, slow, fast, clock=clock, hedge=2.0)

    async def raced() -> Any:
        task = asyncio.ensure_future(pair.asynchronous.complete(request("hi")))
        while not slow.inside:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        clock.advance(2.0)
        return await task

    assert asyncio.run(raced()).text == "hi"
    assert order.ranked(None, clock.now()) == [1, 0]
    order.took(0, 0.1, asyncio.CancelledError(), clock.now(), is_stream=False)  # a caller who left
    assert order.ranked(None, clock.now()) == [1, 0]


def test_answers_and_first_pieces_are_told_apart() -> None:
    order = by_latency(explore=0.0)
    for place, seconds in enumerate((1.0, 2.0)):
        order.took(place, seconds, None, 0.0, is_stream=False)
        order.took(place, 1.0 / seconds, None, 0.0, is_stream=True)
    assert order.ranked(None, 0.0) == [0, 1]
    assert order.ranked(None, 0.0, is_stream=True) == [1, 0]


def test_what_was_long_ago_counts_for_little() -> None:
    order = by_latency(explore=0.0)
    for place, seconds in enumerate((9.0, 2.0)):
        order.took(place, seconds, None, 0.0, is_stream=False)
    order.took(0, 1.0, None, 1.0, is_stream=False)  # one of many
    assert order.ranked(None, 1.0) == [1, 0]
    order.took(0, 1.0, None, 600.0, is_stream=False)  # after ten minutes of silence
    assert order.ranked(None, 600.0) == [0, 1]
