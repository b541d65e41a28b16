"""The whole stack, in its order: what its parts promise alone they keep together."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from dspy import lm15

from compilm.clock import SYSTEM_CLOCK, Clock, ManualClock
from compilm.engine import EnginePair, Layer, stack
from compilm.errors import NoneAnswered
from compilm.runtime.layers.breaker import Breaker, Circuit
from compilm.runtime.layers.coalesce import Coalesce
from compilm.runtime.layers.deadline import Deadline, within
from compilm.runtime.layers.fallback import Fallback, Target
from compilm.runtime.layers.limiter import Gate, Limiter
from compilm.runtime.layers.retry import Retry
from compilm.runtime.layers.timeout import Timeout
from compilm.testing.layer_kit import CountingEngine, LayerKit, aask, ask, request

FAULTS: list[Callable[[], Exception]] = [
    partial(lm15.ServerError, "500"),
    partial(lm15.RateLimitError, "429", retry_after=2.0),
    partial(lm15.RateLimitError, "429"),
    partial(lm15.ProviderError, "not JSON"),
    partial(lm15.TransportError, "reset"),
    partial(lm15.TimeoutError, "hung"),
]


def around_one(
    engine: EnginePair, clock: Clock, guard: bool = False, consecutive: int = 5
) -> EnginePair:
    gate = Gate(concurrency=32, requests=1e9, adaptive=True)
    circuit = Circuit(consecutive=consecutive)
    layers: list[Layer] = [Breaker(circuit, clock), Limiter(gate, clock)]
    return stack(engine, *layers, Timeout(45.0, guard, clock))


def whole(
    first: EnginePair, second: EnginePair, clock: Clock = SYSTEM_CLOCK, **one: Any
) -> EnginePair:
    chain = Fallback([Target("b", around_one(second, clock, **one))], name="a", clock=clock)
    layers = [Deadline(60.0, clock=clock), Coalesce(clock)]
    retry = Retry(clock=clock, rng=random.Random(0))
    return stack(around_one(first, clock, **one), *layers, retry, chain)


class TestTheWhole(LayerKit):
    @pytest.fixture(params=[False, True])
    def layer(self, request: pytest.FixtureRequest) -> Layer:
        return lambda inner: whole(inner, CountingEngine().pair, guard=request.param)


def faulty(rng: random.Random, share: float) -> CountingEngine:
    return CountingEngine(lambda _: rng.choice(FAULTS)() if rng.random() < share else "yes")


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("how", ["sync", "async"])
def test_with_thirty_percent_faults_at_two_providers_all_but_one_in_a_thousand_is_answered(
    how: str, seed: int
) -> None:
    clock, rng = ManualClock(), random.Random(seed)
    first, second = faulty(rng, 0.3), faulty(rng, 0.3)
    pair = whole(first.pair, second.pair, clock)

    def answered(n: int) -> bool:
        clock.advance(0.02)  # fifty calls a second
        try:
            return bool(ask(pair, request(str(n))).text)
        except lm15.LM15Error:
            return False

    async def all_in_tasks() -> int:
        found: list[Any] = []
        for start in range(0, 2000, 50):
            calls = [pair.asynchronous.complete(request(str(start + n))) for n in range(50)]
            found += await asyncio.gather(*calls, return_exceptions=True)
            clock.advance(1.0)
        return sum(isinstance(each, lm15.Response) for each in found)

    good = sum(map(answered, range(2000))) if how == "sync" else asyncio.run(all_in_tasks())
    assert good >= 1998
    assert (first.calls + second.calls) / 2000 <= 1.5
    assert first.inside == second.inside == 0


def test_a_call_that_finds_every_circuit_open_is_answered_when_one_closes() -> None:
    """Both probes are out and hang: it is refused more often than there are attempts."""
    clock, is_down = ManualClock(), [True]
    first, second = (CountingEngine(lambda _: FAULTS[0]() if is_down[0] else "yes") for _ in "ab")
    pair = whole(first.pair, second.pair, clock, consecutive=1)

    async def outage() -> tuple[list[Any], int]:
        with within(0.01, clock), pytest.raises(NoneAnswered):
            await pair.asynchronous.complete(request("opens both"))
        clock.advance(1.0)
        is_down[0] = False
        first.gate = second.gate = asyncio.Event()
        calls = [asyncio.ensure_future(pair.asynchronous.complete(request(n))) for n in "123"]
        while len(clock.slept) < 6 and not calls[2].done():
            await asyncio.sleep(0)
        asked = first.calls + second.calls
        first.gate.set()
        return await asyncio.gather(*calls), asked

    answers, asked = asyncio.run(outage())
    assert [answer.text for answer in answers] == ["yes"] * 3
    assert (asked, first.calls + second.calls) == (4, 5)  # while it waited nobody was asked


@pytest.mark.parametrize("how", [ask, aask])
def test_a_dead_first_is_soon_not_asked_at_all(how: Any) -> None:
    clock, first, second = ManualClock(), faulty(random.Random(0), 1.0), CountingEngine()
    first._reply = lambda _: FAULTS[0]()
    pair = whole(first.pair, second.pair, clock)
    for n in range(100):
        assert how(pair, request(str(n))).text == str(n)
    assert (first.calls, clock.slept) == (5, [])


def test_sixty_four_equal_calls_reach_one_provider_once() -> None:
    first, second = CountingEngine(), CountingEngine()
    pair = whole(first.pair, second.pair)

    async def everyone() -> None:
        await asyncio.gather(*(pair.asynchronous.complete(request()) for _ in range(64)))

    asyncio.run(everyone())
    assert (first.calls, second.calls) == (1, 0)
