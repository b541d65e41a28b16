"""Single flight: equal calls are made once, samples stay apart, and nobody is left waiting."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from dspy import lm15
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from compilm.clock import ManualClock
from compilm.engine import SAMPLE, EnginePair, Layer, Sample
from compilm.errors import BudgetExceeded, DeadlineExceeded
from compilm.runtime.layers.coalesce import Coalesce, Flight, Flights, Landing, call_key
from compilm.runtime.layers.deadline import within
from compilm.testing.layer_kit import CountingEngine, LayerKit, ask, request


class TestCoalesce(LayerKit):
    @pytest.fixture
    def layer(self) -> Layer:
        return Coalesce()


@contextmanager
def sampled(rollout_id: int | None) -> Iterator[None]:
    token = SAMPLE.set(Sample(rollout_id))
    try:
        yield
    finally:
        SAMPLE.reset(token)


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def at_once(pair: EnginePair, count: int, asked: Any = None) -> list[Any]:
    calls = [pair.asynchronous.complete(asked or request()) for _ in range(count)]
    return await asyncio.gather(*calls, return_exceptions=True)


class Held:
    """A synchronous engine whose calls wait until they are let go."""

    def __init__(self, reply: Any = "yes") -> None:
        self.engine = CountingEngine(lambda _: reply)
        self.let_go = threading.Event()
        self.pair = EnginePair(self, self.engine.pair.asynchronous)

    def complete(self, asked: Any) -> Any:
        try:
            return self.engine.pair.sync.complete(asked)
        finally:
            self.let_go.wait()

    def stream(self, asked: Any) -> Any:
        return self.engine.pair.sync.stream(asked)


def followers(layer: Coalesce) -> int:
    """How many wait for a flight, by the callbacks that the clock left on it."""
    flying = list(layer.flights._flying.values())
    return sum(len(each.landing._done_callbacks) for each in flying if each.landing)


@pytest.mark.parametrize("reply", ["yes", lm15.ServerError("down")])
def test_sixty_four_threads_reach_the_provider_once(reply: Any) -> None:
    held = Held(reply)
    layer = Coalesce(ManualClock())
    pair = layer(held.pair)

    def work(_: int) -> Any:
        try:
            return ask(pair, request())
        except lm15.ServerError as error:
            return error

    with ThreadPoolExecutor(64) as pool:
        found = pool.map(work, range(64))
        while followers(layer) < 63:
            pass
        held.let_go.set()
        answers = list(found)
    assert held.engine.calls == 1
    assert len({id(each) for each in answers}) == 1
    assert len(layer.flights) == 0


def test_a_thousand_tasks_with_ten_requests_reach_the_provider_ten_times() -> None:
    engine = CountingEngine()
    pair = Coalesce()(engine.pair)

    async def everyone() -> list[str]:
        calls = [pair.asynchronous.complete(request(str(n % 10))) for n in range(1000)]
        return [answer.text for answer in await asyncio.gather(*calls)]

    assert asyncio.run(everyone()) == [str(n % 10) for n in range(1000)]
    assert engine.calls == 10


def test_threads_follow_tasks_and_tasks_follow_threads() -> None:
    held, layer = Held(), Coalesce(ManualClock())
    pair = layer(held.pair)

    async def both() -> Any:
        thread = asyncio.get_running_loop().run_in_executor(None, ask, pair, request())
        while not len(layer.flights):
            await asyncio.sleep(0)
        task = asyncio.ensure_future(pair.asynchronous.complete(request()))
        while not followers(layer):
            await asyncio.sleep(0)
        held.let_go.set()
        return await asyncio.gather(thread, task)

    one, other = asyncio.run(both())
    assert one is other
    assert held.engine.calls == 1


def test_what_is_over_is_asked_again() -> None:
    engine = CountingEngine()
    pair = Coalesce()(engine.pair)
    for _ in range(3):
        ask(pair, request())
    assert engine.calls == 3  # this is no cache


def test_samples_of_one_request_are_never_one() -> None:
    engine = CountingEngine()
    pair = Coalesce()(engine.pair)

    async def best_of_four() -> None:
        async def one(rollout: int) -> None:
            with sampled(rollout):
                await at_once(pair, 2)  # the two samples of one call with n=2

        await asyncio.gather(*(one(rollout) for rollout in range(4)))

    asyncio.run(best_of_four())
    assert engine.calls == 8


def test_without_a_rollout_only_a_call_at_temperature_0_is_one_with_its_equal() -> None:
    calls = []
    for temperature in (None, 0.0, 0.7):
        engine = CountingEngine()
        asyncio.run(at_once(Coalesce()(engine.pair), 3, request(temperature=temperature)))
        calls.append(engine.calls)
    assert calls == [1, 1, 3]
    with sampled(7):
        one = call_key(request(temperature=0.7))
    with sampled(7):
        assert one == call_key(request(temperature=0.7))
    with sampled(8):
        assert one != call_key(request(temperature=0.7))


def test_requests_with_schemas_have_keys_too() -> None:
    shape = {"type": "json_schema", "schema": {"type": "object"}}
    other = {"type": "json_schema", "schema": {"type": "array"}}
    one, same, third = (call_key(request(response_format=each)) for each in (shape, shape, other))
    assert (one == same, one == third, hash(one) == hash(same)) == (True, False, True)


def test_a_cancelled_leader_hands_over_and_its_followers_are_answered() -> None:
    engine = CountingEngine()
    pair = Coalesce()(engine.pair)

    async def everyone() -> list[Any]:
        engine.gate = asyncio.Event()
        tasks = [asyncio.ensure_future(pair.asynchronous.complete(request())) for _ in range(10)]
        for leader in tasks[:3]:  # and the next one, and the one after it
            await turns()
            leader.cancel()
        await turns()
        engine.gate.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    found = asyncio.run(everyone())
    assert [type(each) for each in found[:3]] == [asyncio.CancelledError] * 3
    assert [each.text for each in found[3:]] == ["hi"] * 7
    assert (engine.calls, engine.inside) == (4, 0)


def test_a_cancelled_follower_disturbs_nobody() -> None:
    engine = CountingEngine()
    pair = Coalesce()(engine.pair)

    async def everyone() -> list[Any]:
        engine.gate = asyncio.Event()
        tasks = [asyncio.ensure_future(pair.asynchronous.complete(request())) for _ in range(10)]
        await turns()
        for follower in tasks[4:]:
            follower.cancel()
        await turns()
        engine.gate.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    found = asyncio.run(everyone())
    assert [each.text for each in found[:4]] == ["hi"] * 4
    assert engine.calls == 1


@pytest.mark.parametrize("own", [BudgetExceeded("gone"), DeadlineExceeded("late")])
def test_what_concerns_the_leader_alone_is_not_everyones(own: Exception) -> None:
    replies: list[Any] = [own, "yes"]
    engine = CountingEngine(lambda _: replies.pop(0))
    found = asyncio.run(at_once(Coalesce()(engine.pair), 5))
    assert found[0] is own
    assert [each.text for each in found[1:]] == ["yes"] * 4


def test_a_failure_is_everyones_and_its_traceback_does_not_grow() -> None:
    error = lm15.ServerError("down")
    engine = CountingEngine(lambda _: error)
    found = asyncio.run(at_once(Coalesce()(engine.pair), 200))
    assert all(each is error for each in found)
    assert engine.calls == 1
    depth, trace = 0, error.__traceback__
    while trace:
        depth, trace = depth + 1, trace.tb_next
    assert depth < 15


def test_a_follower_waits_no_longer_than_its_own_deadline() -> None:
    clock, engine = ManualClock(), CountingEngine()
    pair = Coalesce(clock)(engine.pair)

    async def two() -> tuple[Any, Any]:
        engine.gate = asyncio.Event()
        leader = asyncio.ensure_future(pair.asynchronous.complete(request()))
        await turns()
        with within(3.0, clock):
            follower = asyncio.ensure_future(pair.asynchronous.complete(request()))
        await turns()
        clock.advance(3.0)
        late = await asyncio.gather(follower, return_exceptions=True)
        engine.gate.set()
        return late[0], await leader

    late, answer = asyncio.run(two())
    assert isinstance(late, DeadlineExceeded)
    assert (answer.text, clock.waiting) == ("hi", 0)


def test_a_thread_that_follows_waits_no_longer_than_its_own_deadline() -> None:
    clock, held = ManualClock(), Held()
    layer = Coalesce(clock)
    pair = layer(held.pair)
    leader = threading.Thread(target=ask, args=(pair, request()))
    leader.start()
    while not len(layer.flights):
        pass
    with within(0.0, clock), pytest.raises(DeadlineExceeded, match="an equal call was out"):
        ask(pair, request())
    held.let_go.set()
    leader.join()


def test_a_blocking_call_in_a_loop_does_not_wait_for_a_task_of_that_loop() -> None:
    engine = CountingEngine()
    pair = Coalesce()(engine.pair)

    async def both() -> list[str]:
        leader = asyncio.ensure_future(pair.asynchronous.complete(request()))
        await asyncio.sleep(0)
        return [ask(pair, request()).text, (await leader).text]

    assert asyncio.run(both()) == ["hi", "hi"]


class FlightsModel(RuleBasedStateMachine):
    """Flights against a dictionary: one leader for each key, and every follower told."""

    def __init__(self) -> None:
        super().__init__()
        self.flights = Flights()
        self.leaders: dict[str, Flight] = {}
        self.waiting: dict[int, int] = {}
        self.told = 0

    @rule(key=st.sampled_from("abc"))
    def claims(self, key: str) -> None:
        flight, leads = self.flights.claim(key)
        assert leads == (key not in self.leaders)
        if leads:
            self.leaders[key] = flight
            self.waiting[id(flight)] = 0
        else:
            assert flight is self.leaders[key]
            assert flight.landing is not None
            self.waiting[id(flight)] += 1
            flight.landing.add_done_callback(lambda _: setattr(self, "told", self.told + 1))

    @rule(key=st.sampled_from("abc"))
    def lands(self, key: str) -> None:
        if key in self.leaders:
            flight, before = self.leaders.pop(key), self.told
            self.flights.land(flight, Landing())
            assert self.told - before == self.waiting.pop(id(flight))

    @invariant()
    def nothing_else_flies(self) -> None:
        assert len(self.flights) == len(self.leaders)


TestFlightsModel = FlightsModel.TestCase
TestFlightsModel.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
