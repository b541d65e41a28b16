"""The limiter: in the order of arrival, never over a limit, and nothing booked is ever lost."""

from __future__ import annotations

import asyncio
import random
from concurrent.futures import ThreadPoolExecutor
from math import inf
from typing import Any

import pytest
from dspy import lm15
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from compilm.clock import ManualClock
from compilm.engine import Layer
from compilm.errors import LimitReached
from compilm.policies.buckets import Bucket, Places
from compilm.runtime.layers.deadline import within
from compilm.runtime.layers.limiter import Gate, Limiter, Ticket
from compilm.testing.layer_kit import CountingEngine, LayerKit, aask, ask, request

both = pytest.mark.parametrize("how", [ask, aask])


class TestLimiter(LayerKit):
    @pytest.fixture(params=[False, True])
    def layer(self, request: pytest.FixtureRequest) -> Layer:
        return Limiter(Gate(concurrency=8, requests=1e9, tokens=1e12, adaptive=request.param))


def limited(clock: ManualClock, engine: CountingEngine, **limits: Any) -> Any:
    gate = Gate("openai", **limits)
    return Limiter(gate, clock)(engine.pair), gate


@both
def test_requests_go_out_no_faster_than_they_may(how: Any) -> None:
    clock = ManualClock()
    pair, _ = limited(clock, CountingEngine(), requests=60)
    for _ in range(25):
        how(pair, request())
    assert clock.now() == pytest.approx(15.0)  # ten saved up, one each second


def test_a_call_that_cannot_start_in_time_is_refused_and_books_nothing() -> None:
    clock, engine = ManualClock(), CountingEngine()
    pair, gate = limited(clock, engine, requests=6)
    ask(pair, request())
    for how in (ask, aask):
        with within(3.0, clock), pytest.raises(LimitReached, match=r"in 10\.0 s") as refused:
            how(pair, request())
        assert refused.value.retry_after == pytest.approx(10.0)
    assert (engine.calls, gate.waiting, gate.places.taken, clock.slept) == (1, 0, 0, [])
    clock.advance(10.0)
    ask(pair, request())
    assert (engine.calls, clock.slept) == (2, [])


def test_a_large_call_is_not_passed_by_small_ones() -> None:
    gate = Gate(tokens=600)  # ten a second, a hundred saved up
    now = 0.0
    assert gate.join(Ticket(100.0), now, inf) is None
    large, small = Ticket(80.0), [Ticket(1.0) for _ in range(30)]
    assert gate.join(large, now, inf) == pytest.approx(8.0)
    assert [gate.join(ticket, now, inf) for ticket in small] == [inf] * 30
    assert [gate.look(ticket, 7.9, inf) for ticket in small] == [inf] * 30
    assert gate.look(large, 8.0, inf) is None
    assert gate.look(small[0], 8.0, inf) == pytest.approx(0.1)


def test_a_call_larger_than_the_bucket_waits_for_a_full_one_and_leaves_a_debt() -> None:
    bucket = Bucket(rate=10.0, burst=100.0)
    assert bucket.wait(250.0, 0.0) == 0.0
    bucket.take(250.0, 0.0)
    assert bucket.wait(10.0, 0.0) == pytest.approx(16.0)


def test_what_was_not_used_is_given_back() -> None:
    gate = Gate(tokens=600)
    first, second = Ticket(100.0), Ticket(50.0)
    gate.join(first, 0.0, inf)
    assert gate.join(second, 0.0, inf) == pytest.approx(5.0)
    turn = second.turn
    gate.leave(first, 0.0, tokens=20.0, kind=None)
    assert turn is not None
    assert turn.done()  # it is told to look again
    assert gate.look(second, 0.0, inf) is None


@pytest.mark.parametrize(
    ("error", "left"),
    [
        (lm15.InvalidRequestError("no"), 1000.0),
        (lm15.RateLimitError("slow"), 1000.0),
        (lm15.ServerError("down"), 1000.0 - 500.0),
        (KeyboardInterrupt(), 1000.0 - 500.0),
    ],
)
def test_what_a_failed_call_used_is_its_estimate_unless_it_was_refused(
    error: BaseException, left: float
) -> None:
    clock, engine = ManualClock(), CountingEngine(lambda _: error)
    pair, gate = limited(clock, engine, tokens=6000)
    with pytest.raises(type(error)):
        ask(pair, request("", max_tokens=500))
    clock.advance(-clock.now())
    assert gate.join(Ticket(left), 0.0, inf) is None
    assert gate.join(Ticket(1.0), 0.0, inf) is not None


def test_tokens_are_expected_from_the_text_and_the_longest_answer() -> None:
    class Watching(Gate):
        def join(self, ticket: Ticket, now: float, left: float) -> float | None:
            seen.append(ticket.tokens)
            return super().join(ticket, now, left)

    seen: list[float] = []
    pair = Limiter(Watching(tokens=1e9))(CountingEngine().pair)
    parts = (lm15.TextPart("xxx"),)
    for asked in (
        request("x" * 30, max_tokens=100),
        request("x" * 30),
        lm15.Request(model="m", messages=(lm15.Message.user("x" * 30),), system=parts),
        lm15.Request(model="m", messages=(lm15.Message.user("x" * 30),), system="xxxxxx"),
    ):
        ask(pair, asked)
    assert seen == [110.0, 266.0, 267.0, 268.0]


@both
def test_a_rate_limit_closes_the_gate_for_as_long_as_it_says(how: Any) -> None:
    replies: list[Any] = [lm15.RateLimitError("slow", retry_after=7.0), "yes"]
    clock, engine = ManualClock(), CountingEngine(lambda _: replies.pop(0))
    pair, _ = limited(clock, engine)
    with pytest.raises(lm15.RateLimitError):
        how(pair, request())
    with within(5.0, clock), pytest.raises(LimitReached, match=r"in 7\.0 s"):
        how(pair, request())
    assert how(pair, request()).text == "yes"
    assert clock.now() == 7.0


def test_a_gate_is_not_closed_for_ever() -> None:
    gate, ticket = Gate(longest_pause=60.0), Ticket(1.0)
    gate.join(ticket, 0.0, inf)
    gate.leave(ticket, 0.0, tokens=None, kind="limited", retry_after=86_400.0)
    assert gate.join(Ticket(1.0), 0.0, inf) == 60.0


def test_a_round_of_rate_limits_halves_what_is_out_at_once_and_answers_raise_it_again() -> None:
    places = Places(16, adaptive=True)
    for _ in range(16):
        places.limited()
    assert places.limit == 8
    places.answered()
    assert places.limit == 8  # nothing was full: more is not wanted
    places.taken = 8
    for _ in range(9):
        places.answered()
    assert places.limit == 9
    for _ in range(40):
        places.limited()
    assert places.limit == 1


def test_rate_limits_by_chance_starve_nobody() -> None:
    """One in twenty is limited however few are out: there is nothing to learn from it."""
    places, chance = Places(50, adaptive=True), random.Random(0)
    limits = []
    for _ in range(20_000):
        places.taken = places.limit or 0
        (places.limited if chance.random() < 0.05 else places.answered)()
        limits.append(places.limit or 0)
    assert min(limits) >= 20


@given(st.integers(1, 40), st.lists(st.booleans(), max_size=200))
def test_places_stay_between_one_and_the_most(most: int, limited: list[bool]) -> None:
    places = Places(most, adaptive=True)
    for each in limited:
        places.taken = places.limit or 0
        (places.limited if each else places.answered)()
        assert 1 <= (places.limit or 0) <= most


def test_fixed_places_stay_as_they_are() -> None:
    places = Places(4)
    places.limited()
    assert (places.limit, Places(None).is_full) == (4, False)


def test_a_thousand_tasks_are_never_more_than_the_limit_and_come_in_order() -> None:
    clock, engine = ManualClock(), CountingEngine()
    pair, gate = limited(clock, engine, concurrency=7)
    order: list[str] = []
    engine._reply = lambda asked: order.append(asked.messages[0].text) or "yes"

    async def everyone() -> int:
        calls = [pair.asynchronous.complete(request(str(n))) for n in range(1000)]
        return len(await asyncio.gather(*calls))

    assert asyncio.run(everyone()) == 1000
    assert (engine.calls, engine.most, gate.places.taken, gate.waiting) == (1000, 7, 0, 0)
    assert order == [str(n) for n in range(1000)]


def test_thirty_two_threads_are_never_more_than_the_limit() -> None:
    clock, engine = ManualClock(), CountingEngine()
    pair, gate = limited(clock, engine, concurrency=3, requests=6000)
    with ThreadPoolExecutor(32) as pool:
        list(pool.map(lambda n: ask(pair, request(str(n))), range(3200)))
    assert engine.calls == 3200
    assert engine.most <= 3
    assert (gate.places.taken, gate.waiting) == (0, 0)
    # 1,000 were saved up, 100 come a second, and the clock moves for waits alone
    assert clock.now() >= 22.0 - 0.02


def test_half_of_a_thousand_tasks_are_cancelled_and_no_place_is_lost() -> None:
    clock, engine = ManualClock(), CountingEngine()
    pair, gate = limited(clock, engine, concurrency=4)
    chance = random.Random(0)

    async def everyone() -> tuple[int, int]:
        tasks = [
            asyncio.ensure_future(pair.asynchronous.complete(request(str(n)))) for n in range(1000)
        ]
        await asyncio.sleep(0)
        for task in chance.sample(tasks, 500):
            task.cancel()
            if chance.random() < 0.1:
                await asyncio.sleep(0)
        found = await asyncio.gather(*tasks, return_exceptions=True)
        gone = sum(isinstance(each, asyncio.CancelledError) for each in found)
        return gone, sum(isinstance(each, lm15.Response) for each in found)

    gone, answered = asyncio.run(everyone())
    assert (gone + answered, gate.places.taken, gate.waiting, engine.inside) == (1000, 0, 0, 0)
    assert answered >= 500


def test_a_deadline_ends_the_wait_for_a_place() -> None:
    clock, engine = ManualClock(), CountingEngine()
    pair, gate = limited(clock, engine, concurrency=1)

    async def two() -> list[Any]:
        engine.gate = asyncio.Event()
        first = asyncio.ensure_future(pair.asynchronous.complete(request("1")))
        await asyncio.sleep(0)
        with within(3.0, clock):
            second = asyncio.ensure_future(pair.asynchronous.complete(request("2")))
        while not clock.waiting:
            await asyncio.sleep(0)
        clock.advance(3.0)
        late = await asyncio.gather(second, return_exceptions=True)
        engine.gate.set()
        return [*late, await first]

    late, answer = asyncio.run(two())
    assert isinstance(late, LimitReached)
    assert (answer.text, gate.waiting, gate.places.taken, clock.waiting) == ("1", 0, 0, 0)


def test_a_blocking_call_in_a_loop_waits_for_no_task_of_that_loop() -> None:
    clock, engine = ManualClock(), CountingEngine()
    pair, gate = limited(clock, engine, concurrency=1, requests=6)

    async def both() -> list[str]:
        first = asyncio.ensure_future(pair.asynchronous.complete(request("task")))
        second = asyncio.ensure_future(pair.asynchronous.complete(request("line")))
        await asyncio.sleep(0)
        assert (gate.places.taken, gate.waiting) == (1, 1)
        blocking = ask(pair, request("blocking")).text  # the place is the task's, who cannot end
        clock.advance(10.0)
        return [blocking, (await first).text, (await second).text]

    assert asyncio.run(both()) == ["blocking", "task", "line"]
    assert clock.slept == [10.0]  # one request in ten seconds holds for it too
    assert (gate.places.taken, gate.waiting) == (0, 0)


def test_a_blocking_call_in_a_loop_is_refused_where_it_could_not_start_in_time() -> None:
    clock, engine = ManualClock(), CountingEngine()
    pair, gate = limited(clock, engine, requests=6)

    async def twice() -> None:
        ask(pair, request())
        with within(3.0, clock), pytest.raises(LimitReached):
            ask(pair, request())

    asyncio.run(twice())
    assert (engine.calls, gate.places.taken, clock.slept) == (1, 0, [])


class GateModel(RuleBasedStateMachine):
    """A gate against its promises: order, rates over every window, places, and no leak."""

    RATE, TOKENS, PLACES = 60.0, 600.0, 3

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.gate = Gate(concurrency=self.PLACES, requests=self.RATE, tokens=self.TOKENS)
        self.queue: list[Ticket] = []
        self.out: list[Ticket] = []
        self.starts: list[float] = []
        self.charged: list[tuple[float, float]] = []

    def started(self, ticket: Ticket) -> None:
        self.out.append(ticket)
        self.starts.append(self.now)
        # A bucket that is never above its size, and large enough for this call, at every start:
        need, sent = min(ticket.tokens, 100.0), 0.0
        for at, tokens in reversed(self.charged):
            sent += tokens
            assert need + sent <= 100.0 + self.TOKENS / 60.0 * (self.now - at) + 1e-6
        self.charged.append((self.now, ticket.tokens))

    @rule(tokens=st.sampled_from([0.0, 1.0, 30.0, 100.0, 250.0]), left=st.sampled_from([1.0, inf]))
    def joins(self, tokens: float, left: float) -> None:
        ticket = Ticket(tokens)
        try:
            wait = self.gate.join(ticket, self.now, left)
        except LimitReached:
            assert left < inf
            return
        if wait is None:
            assert not self.queue  # nobody was passed
            self.started(ticket)
        else:
            self.queue.append(ticket)

    @precondition(lambda self: self.queue)
    @rule(place=st.integers(0, 99))
    def looks(self, place: int) -> None:
        ticket = self.queue[place % len(self.queue)]
        wait = self.gate.look(ticket, self.now, inf)
        if wait is None:
            assert ticket is self.queue.pop(0)
            self.started(ticket)
        elif ticket is self.queue[0] and len(self.out) < self.PLACES:
            assert 0 < wait < inf
            self.now += wait  # it is as good as its word
            assert self.gate.look(ticket, self.now, inf) is None
            self.started(self.queue.pop(0))
        else:
            assert wait == inf

    @precondition(lambda self: self.out)
    @rule(place=st.integers(0, 99), used=st.sampled_from([None, 0.0, 5.0, 400.0]))
    def leaves(self, place: int, used: float | None) -> None:
        ticket = self.out.pop(place % len(self.out))
        self.gate.leave(ticket, self.now, tokens=used, kind=None)
        if used is not None:
            self.charged.append((self.now, used - ticket.tokens))

    @precondition(lambda self: self.queue)
    @rule(place=st.integers(0, 99))
    def gives_up(self, place: int) -> None:
        self.gate.withdraw(self.queue.pop(place % len(self.queue)))

    @rule(seconds=st.sampled_from([0.1, 1.0, 7.0, 60.0]))
    def waits(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def places_are_kept(self) -> None:
        assert self.gate.places.taken == len(self.out) <= self.PLACES
        assert self.gate.waiting == len(self.queue)

    @invariant()
    def rates_are_kept_over_every_window(self) -> None:
        for first, at in enumerate(self.starts):
            count = len(self.starts) - first
            assert count <= 10.0 + self.RATE / 60.0 * (self.starts[-1] - at) + 1e-6

    def teardown(self) -> None:
        for ticket in self.queue:
            self.gate.withdraw(ticket)
        for ticket in self.out:
            self.gate.leave(ticket, self.now, tokens=None, kind=None)
        later = self.now + 1e6
        for _ in range(3):
            assert self.gate.join(Ticket(30.0), later, 0.0) is None
        assert self.gate.join(Ticket(30.0), later, inf) == inf


TestGateModel = GateModel.TestCase
TestGateModel.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
