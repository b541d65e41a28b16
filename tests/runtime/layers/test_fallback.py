"""The chain: the next is asked when another may do, at once, and what failed is told as a tree."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from dspy import lm15

from compilm.clock import ManualClock
from compilm.engine import EnginePair, Layer, stack
from compilm.errors import BudgetExceeded, CircuitOpen, DeadlineExceeded, NoneAnswered
from compilm.runtime.layers.breaker import Breaker, Circuit
from compilm.runtime.layers.deadline import Deadline, within
from compilm.runtime.layers.fallback import Fallback, Target
from compilm.runtime.layers.hedging import Late
from compilm.runtime.layers.retry import Retry
from compilm.runtime.layers.round import Round
from compilm.testing.layer_kit import CountingEngine, LayerKit, aask, ask, request

both = pytest.mark.parametrize("how", [ask, aask])
DOWN = lm15.ServerError("down")


class TestFallback(LayerKit):
    @pytest.fixture(params=[None, 60.0, Late()])
    def layer(self, request: pytest.FixtureRequest) -> Layer:
        return Fallback([Target("second", CountingEngine().pair)], hedge=request.param)


def failing(*errors: BaseException) -> CountingEngine:
    """Raises these, then answers `ok`."""
    rest = list(errors)
    return CountingEngine(lambda _: rest.pop(0) if rest else "ok")


def chained(first: CountingEngine, second: CountingEngine, **settings: Any) -> EnginePair:
    return Fallback([Target("b", second.pair, model="m2")], name="a", **settings)(first.pair)


NEXT = [
    DOWN, lm15.RateLimitError("slow", retry_after=30.0), lm15.TimeoutError("late"),
    lm15.TransportError("cut"), lm15.ProviderError("not JSON"), lm15.AuthError("key"),
    lm15.BillingError("bill"), lm15.ContextLengthError("long"),
    lm15.UnsupportedFeatureError("images"), lm15.StreamAssemblyError("no end"),
    CircuitOpen("open", retry_after=9.0),
]  # fmt: skip


@both
@pytest.mark.parametrize("hedge", [None, 99.0])
@pytest.mark.parametrize("error", NEXT, ids=lambda error: type(error).__name__)
def test_the_next_answers_where_another_may_do(how: Any, hedge: Any, error: Exception) -> None:
    first, second = failing(error), CountingEngine()
    answer = how(chained(first, second, hedge=hedge), request("hi"))
    assert (answer.text, answer.model, first.calls, second.calls) == ("hi", "m2", 1, 1)


@both
@pytest.mark.parametrize("hedge", [None, 99.0])
@pytest.mark.parametrize(
    "error",
    [
        lm15.InvalidRequestError("no"),
        ValueError("a bug"),
        lm15.ProviderError("?", status=409),
        BudgetExceeded("of the caller"),
    ],
)
def test_what_is_the_callers_own_fault_is_not_asked_elsewhere(
    how: Any, hedge: Any, error: Exception
) -> None:
    second = CountingEngine()
    with pytest.raises(type(error)) as raised:
        how(chained(failing(error), second, hedge=hedge), request())
    assert (raised.value, second.calls) == (error, 0)


@both
@pytest.mark.parametrize("hedge", [None, 99.0])
def test_all_failures_are_in_one_error(how: Any, hedge: Any) -> None:
    slow = lm15.RateLimitError("slow", retry_after=3.0)
    with pytest.raises(NoneAnswered, match="none of 2 answered") as raised:
        how(chained(failing(DOWN), failing(slow), hedge=hedge), request())
    assert raised.value.failures == (("a", DOWN), ("b", slow))
    assert raised.value.__cause__ is slow


@both
def test_a_request_that_is_too_long_for_all_stays_that_error(how: Any) -> None:
    errors = [lm15.ContextLengthError("8k"), lm15.ContextLengthError("16k")]
    with pytest.raises(lm15.ContextLengthError, match="16k") as raised:
        how(chained(failing(errors[0]), failing(errors[1])), request())
    assert "8k" in raised.value.__notes__[0]


@both
def test_an_answer_that_is_refused_is_asked_for_elsewhere(how: Any) -> None:
    first, second = CountingEngine(lambda _: "I cannot"), CountingEngine(lambda _: "yes")
    accept = lambda response: "cannot" not in response.text  # noqa: E731
    assert how(chained(first, second, accept=accept), request()).text == "yes"
    with pytest.raises(NoneAnswered, match="not accepted"):
        how(chained(first, first, accept=accept), request())


@both
def test_the_next_is_not_asked_after_the_deadline(how: Any) -> None:
    clock, second = ManualClock(), CountingEngine()
    first = CountingEngine(lambda _: clock.advance(5.0) or DOWN)
    with within(3.0, clock), pytest.raises(lm15.ServerError):
        how(chained(first, second, clock=clock), request())
    assert second.calls == 0


@both
def test_a_dead_first_costs_one_attempt_and_no_wait_then_not_even_that(how: Any) -> None:
    clock = ManualClock()
    first, second = CountingEngine(lambda _: DOWN), CountingEngine()
    chain = Fallback([Target("b", second.pair)], name="a")
    pair = stack(first.pair, Retry(clock=clock), chain, Breaker(Circuit(), clock))
    for _ in range(9):
        assert how(pair, request("hi")).text == "hi"
    assert (first.calls, second.calls, clock.slept) == (5, 9, [])


@both
def test_a_round_that_failed_everywhere_is_tried_again(how: Any) -> None:
    clock = ManualClock()
    first, second = failing(DOWN, DOWN), failing(lm15.RateLimitError("slow", retry_after=2.0))
    pair = Retry(clock=clock)(chained(first, second))
    assert how(pair, request()).text == "ok"
    assert (first.calls, second.calls, len(clock.slept)) == (2, 2, 1)


@both
def test_every_provider_is_asked_once_a_round_and_no_oftener_than_retry_says(how: Any) -> None:
    clock, engines = ManualClock(), [CountingEngine(lambda _: DOWN) for _ in range(3)]
    others = [Target(str(n), engine.pair) for n, engine in enumerate(engines[1:])]
    pair = stack(engines[0].pair, Retry(attempts=4, clock=clock), Fallback(others))
    with pytest.raises(NoneAnswered):
        how(pair, request())
    assert [engine.calls for engine in engines] == [4, 4, 4]


def test_a_stream_falls_back_before_its_first_delta_and_not_after() -> None:
    class Breaking:
        def __init__(self, good: int) -> None:
            self.good = good

        def stream(self, asked: Any) -> Any:
            yield from list(lm15.response_to_events(CountingEngine().answer(asked)))[: self.good]
            raise lm15.TransportError("cut")

    class AsyncBreaking(Breaking):
        async def stream(self, asked: Any) -> Any:
            for event in list(lm15.response_to_events(CountingEngine().answer(asked)))[: self.good]:
                yield event
            raise lm15.TransportError("cut")

    async def listed(pair: EnginePair) -> list[Any]:
        return [event async for event in pair.asynchronous.stream(request())]

    for good, calls in ((0, 1), (1, 1), (2, 0)):
        for layer in (Fallback, lambda others: Retry(base=0.0)):
            second = CountingEngine()
            broken: Any = EnginePair(Breaking(good), AsyncBreaking(good))  # type: ignore[arg-type]
            pair = layer([Target("b", second.pair)])(broken)
            for read in (
                lambda p: list(p.sync.stream(request())),
                lambda p: asyncio.run(listed(p)),
            ):
                if layer is Fallback and calls:
                    assert [event.type for event in read(pair)] == ["start", "delta", "end"]
                else:
                    with pytest.raises(lm15.TransportError):
                        read(pair)
            assert second.calls == (2 * calls if layer is Fallback else 0)


class TestRound:
    def test_a_round_over_one_ends_with_its_error(self) -> None:
        round_ = Round(["a"])
        assert round_.failed(round_.start(), DOWN, 9.0) is DOWN

    def test_while_another_is_out_a_failure_ends_nothing(self) -> None:
        round_ = Round(["a", "b"])
        round_.start(), round_.start()
        assert round_.failed(0, DOWN, 9.0) is None
        assert isinstance(round_.failed(1, DOWN, 9.0), NoneAnswered)

    def test_what_the_caller_did_wrong_leaves_those_who_are_out_and_asks_nobody_else(self) -> None:
        wrong, round_ = lm15.InvalidRequestError("no such field"), Round(["a", "b", "c"])
        round_.start(), round_.start()
        assert round_.failed(1, wrong, 9.0) is None
        assert not round_.may_hedge
        assert round_.failed(0, DOWN, 9.0) is wrong

    def test_asked_alone_what_the_caller_did_wrong_is_the_end(self) -> None:
        wrong, round_ = lm15.InvalidRequestError("no such field"), Round(["a", "b"])
        assert round_.failed(round_.start(), wrong, 9.0) is wrong


async def slow_first(clock: ManualClock, seconds: float, **settings: Any) -> tuple[Any, Any, Any]:
    """A chain whose first is held; the clock moves once it has been asked."""
    first, second = CountingEngine(), CountingEngine()
    first.gate = asyncio.Event()
    pair = chained(first, second, clock=clock, **settings)
    call = asyncio.ensure_future(pair.asynchronous.complete(request("hi")))
    while not first.inside or not clock.waiting:
        await asyncio.sleep(0)
    clock.advance(seconds)
    for _ in range(5):
        await asyncio.sleep(0)
    return first, second, call


def test_a_slow_answer_is_asked_for_elsewhere_and_the_loser_is_cancelled() -> None:
    async def race() -> tuple[Any, ...]:
        first, second, call = await slow_first(ManualClock(), 2.0, hedge=2.0)
        answer = await call
        return answer.model, first.calls, first.inside, second.calls

    assert asyncio.run(race()) == ("m2", 1, 0, 1)


@pytest.mark.parametrize(
    ("first_says", "asked", "wins"),
    [
        ([DOWN], 2, "kit/model"),  # it was down, and is well the second time
        ([DOWN, DOWN, DOWN], 3, "m2"),  # no fourth time
        ([lm15.RateLimitError("slow down")], 2, "kit/model"),
        ([lm15.AuthError("no")], 1, "m2"),
    ],
)
def test_beside_a_slow_last_one_that_failed_in_passing_is_asked_again(
    first_says: list[Exception], asked: int, wins: str
) -> None:
    async def race() -> tuple[Any, ...]:
        clock = ManualClock()
        first, second = failing(*first_says), CountingEngine()
        second.gate = asyncio.Event()
        pair = chained(first, second, clock=clock, hedge=2.0)
        call = asyncio.ensure_future(pair.asynchronous.complete(request("hi")))
        for _ in range(4):
            for _ in range(20):
                await asyncio.sleep(0)
            clock.advance(2.0)
        for _ in range(20):
            await asyncio.sleep(0)
        second.gate.set()
        answer = await call
        return answer.model, first.calls, second.calls, second.inside

    assert asyncio.run(race()) == (wins, asked, 1, 0)


@pytest.mark.parametrize("error", [lm15.InvalidRequestError("no"), BudgetExceeded("spent")])
def test_a_hedge_that_may_not_be_made_takes_no_answer_away(error: Exception) -> None:
    async def race() -> tuple[Any, ...]:
        clock, first, second = ManualClock(), CountingEngine(), failing(error)
        first.gate = asyncio.Event()
        pair = chained(first, second, clock=clock, hedge=2.0)
        call = asyncio.ensure_future(pair.asynchronous.complete(request("hi")))
        while not first.inside or not clock.waiting:
            await asyncio.sleep(0)
        clock.advance(2.0)
        while not second.calls:
            await asyncio.sleep(0)
        first.gate.set()
        answer = await call
        return answer.model, first.calls, second.calls

    assert asyncio.run(race()) == ("kit/model", 1, 1)


def test_before_its_time_the_next_is_not_asked() -> None:
    async def race() -> tuple[Any, ...]:
        first, second, call = await slow_first(ManualClock(), 1.9, hedge=2.0)
        first.gate.set()
        answer = await call
        return answer.model, first.calls, second.calls

    assert asyncio.run(race()) == ("kit/model", 1, 0)


def test_a_race_that_is_cancelled_leaves_nobody_running() -> None:
    async def race() -> tuple[Any, ...]:
        clock = ManualClock()
        first, second, call = await slow_first(clock, 1.0, hedge=2.0)
        call.cancel()
        await asyncio.wait([call])
        return call.cancelled(), first.inside, second.calls, clock.waiting

    assert asyncio.run(race()) == (True, 0, 0, 0)


def test_a_race_ends_with_the_deadline() -> None:
    async def race(hedge: float, *steps: float) -> tuple[Any, ...]:
        clock = ManualClock()
        first = CountingEngine()
        first.gate = asyncio.Event()
        pair = chained(first, first, hedge=hedge, clock=clock)
        with within(3.0, clock):
            call = asyncio.ensure_future(pair.asynchronous.complete(request()))
        for seconds in steps:
            while not clock.waiting:
                await asyncio.sleep(0)
            clock.advance(seconds)
            for _ in range(5):
                await asyncio.sleep(0)
        (late,) = await asyncio.gather(call, return_exceptions=True)
        return type(late).__name__, first.calls, first.inside, clock.waiting

    assert asyncio.run(race(2.0, 2.0, 1.0)) == ("DeadlineExceeded", 2, 0, 0)
    assert asyncio.run(race(9.0, 3.0)) == ("DeadlineExceeded", 1, 0, 0)


def test_with_no_patience_all_are_asked_at_once() -> None:
    first, second = CountingEngine(), CountingEngine()
    first.gate = asyncio.Event()  # never answers
    assert aask(chained(first, second, hedge=0.0), request()).model == "m2"


class Held:
    """A synchronous engine that moves the clock and then answers when it is let go."""

    def __init__(self, clock: ManualClock, seconds: float) -> None:
        self.clock, self.seconds = clock, seconds
        self.let_go = threading.Event()
        self.calls = 0

    def complete(self, asked: Any) -> Any:
        self.calls += 1
        while not self.clock.waiting:
            pass  # the one who asks is about to wait
        self.clock.advance(self.seconds)
        self.let_go.wait()
        return CountingEngine().answer(asked)

    def stream(self, asked: Any) -> Any:
        raise NotImplementedError


def test_in_threads_the_first_answer_wins_and_the_other_is_left_behind() -> None:
    clock, second = ManualClock(), CountingEngine()
    first = Held(clock, 2.0)
    layer = Fallback([Target("b", second.pair, model="m2")], hedge=2.0, clock=clock)
    answer = ask(layer(EnginePair(first, second.pair.asynchronous)), request())
    assert (answer.model, second.calls, layer.threads.abandoned) == ("m2", 1, 1)
    first.let_go.set()


def test_in_threads_a_race_ends_with_the_deadline() -> None:
    clock, other = ManualClock(), CountingEngine()
    first, second = Held(clock, 2.0), Held(clock, 2.0)
    pairs = [EnginePair(each, other.pair.asynchronous) for each in (first, second)]
    layer = Fallback([Target("b", pairs[1])], hedge=2.0, clock=clock)
    pair = Deadline(3.0, clock=clock)(layer(pairs[0]))
    with pytest.raises(DeadlineExceeded, match="while 2 providers were asked"):
        ask(pair, request())
    assert (first.calls, second.calls, layer.threads.abandoned) == (1, 1, 2)
    first.let_go.set(), second.let_go.set()


def test_closing_closes_every_engine_of_the_chain() -> None:
    closed: list[str] = []

    class Closing:
        def __init__(self, name: str) -> None:
            self.name = name

        def close(self) -> None:
            closed.append(self.name)

        async def aclose(self) -> None:
            closed.append(self.name + "'")

    pairs: list[Any] = [EnginePair(Closing(n), Closing(n)) for n in "ab"]  # type: ignore[arg-type]
    pair: Any = stack(pairs[0], Retry(), Fallback([Target("b", pairs[1])]), Breaker(Circuit()))
    pair.sync.close()
    asyncio.run(pair.asynchronous.aclose())
    assert closed == ["a", "b", "a'", "b'"]
