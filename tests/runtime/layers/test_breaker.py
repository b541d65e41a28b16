"""The breaker: opens on failures alone, lets one probe through, and survives a lost one."""

from __future__ import annotations

import asyncio
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from dspy import lm15
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule

from compilm.clock import ManualClock
from compilm.engine import Layer
from compilm.errors import BudgetExceeded, CircuitOpen
from compilm.runtime.layers.breaker import Breaker, Circuit, Circuits
from compilm.testing.layer_kit import CountingEngine, LayerKit, aask, ask, request

both = pytest.mark.parametrize("how", [ask, aask])
DOWN = lm15.ServerError("down")


class TestBreaker(LayerKit):
    @pytest.fixture
    def layer(self) -> Layer:
        return Breaker(Circuit())


def breaking(error: BaseException | None, **settings: Any) -> tuple[Any, Any, Circuit, ManualClock]:
    clock, engine = ManualClock(), CountingEngine(lambda _: error or "yes")
    circuit = Circuit(**settings)
    return Breaker(circuit, clock)(engine.pair), engine, circuit, clock


@both
def test_five_failures_in_a_row_open_it(how: Any) -> None:
    pair, engine, circuit, clock = breaking(DOWN)
    for _ in range(5):
        with pytest.raises(lm15.ServerError, match="down"):
            how(pair, request())
    with pytest.raises(CircuitOpen, match="5 calls in a row failed") as refused:
        how(pair, request())
    assert (engine.calls, refused.value.retry_after) == (5, 1.0)
    assert circuit.state(clock.now()) == "open"


@both
@pytest.mark.parametrize(
    "error",
    [
        lm15.RateLimitError("slow"), lm15.InvalidRequestError("no"), lm15.AuthError("key"),
        lm15.ContextLengthError("long"), BudgetExceeded("gone"), ValueError("a bug"),
        asyncio.CancelledError(), KeyboardInterrupt(),
    ],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_what_tells_nothing_of_the_provider_does_not_open_it(how: Any, error: Any) -> None:
    pair, _, circuit, clock = breaking(error, consecutive=2, window=2)
    for _ in range(6):
        with pytest.raises(type(error)):
            how(pair, request())
    assert circuit.state(clock.now()) == "closed"


def test_a_share_of_failures_opens_it_when_the_window_is_full() -> None:
    circuit = Circuit(window=10, ratio=0.5)
    for n in range(9):
        circuit.record(circuit.admit(0.0), n % 2 == 1, 0.0)
    assert circuit.state(0.0) == "closed"
    circuit.record(circuit.admit(0.0), True, 0.0)
    assert circuit.state(0.0) == "open"


def test_old_failures_are_forgotten() -> None:
    circuit = Circuit(window=4, horizon=60.0)
    for now in (0.0, 0.0, 61.0, 61.0):
        circuit.record(circuit.admit(now), now > 0, now)
    circuit.record(circuit.admit(62.0), False, 62.0)
    assert circuit.state(62.0) == "closed"


def opened(**settings: Any) -> Circuit:
    circuit = Circuit(consecutive=1, cooldown=30.0, **settings)
    circuit.record(circuit.admit(0.0), False, 0.0)
    return circuit


def test_one_probe_of_fifty_is_let_through() -> None:
    circuit, admitted = opened(), 0
    for _ in range(50):
        try:
            circuit.admit(30.0)
            admitted += 1
        except CircuitOpen:
            pass
    assert admitted == 1


def test_a_probe_decides() -> None:
    well, ill = opened(), opened()
    well.record(well.admit(30.0), True, 31.0)
    ill.record(ill.admit(30.0), False, 31.0)
    assert (well.state(31.0), ill.state(31.0), ill.state(61.0)) == ("closed", "open", "half-open")


def test_the_longer_it_fails_the_rarer_it_is_probed() -> None:
    circuit, now, waits = Circuit(consecutive=1), 0.0, []
    circuit.record(circuit.admit(now), False, now)
    for _ in range(7):
        with pytest.raises(CircuitOpen) as refused:
            circuit.admit(now)
        waits.append(refused.value.retry_after)
        now += waits[-1]
        circuit.record(circuit.admit(now), False, now)
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    now += 30.0
    circuit.record(circuit.admit(now), True, now)
    circuit.record(circuit.admit(now), False, now)
    assert circuit.state(now + 1.0) == "half-open"  # it starts anew


def test_while_a_probe_is_out_a_caller_is_told_to_come_back_soon() -> None:
    circuit = Circuit(consecutive=1)
    circuit.record(circuit.admit(0.0), False, 0.0)
    circuit.admit(1.0)
    with pytest.raises(CircuitOpen) as refused:
        circuit.admit(2.0)
    assert refused.value.retry_after == 1.0


def test_a_cancelled_probe_leaves_the_place_to_the_next_call() -> None:
    circuit = opened()
    circuit.record(circuit.admit(30.0), None, 30.5)
    circuit.record(circuit.admit(30.5), True, 31.0)
    assert circuit.state(31.0) == "closed"


def test_a_lost_probe_keeps_no_other_from_going_and_may_still_be_heard() -> None:
    for answered, state in ((True, "closed"), (False, "open")):
        circuit = opened()
        lost = circuit.admit(30.0)
        with pytest.raises(CircuitOpen):
            circuit.admit(59.9)
        circuit.admit(60.0)
        circuit.record(lost, answered, 60.1)
        assert circuit.state(60.1) == state


def test_stragglers_from_before_are_not_counted() -> None:
    circuit = Circuit(consecutive=1, cooldown=30.0)
    first, second, third = (circuit.admit(0.0) for _ in range(3))
    circuit.record(first, False, 1.0)
    circuit.record(second, True, 2.0)
    assert circuit.state(2.0) == "open"
    circuit.record(circuit.admit(31.0), True, 32.0)
    circuit.record(third, False, 33.0)
    assert circuit.state(33.0) == "closed"


def test_a_stream_that_breaks_counts_and_one_that_is_left_does_not() -> None:
    pair, _, circuit, clock = breaking(None, consecutive=1)
    next(iter(pair.sync.stream(request())))
    assert circuit.state(clock.now()) == "closed"
    pair.sync._inner.stream = lambda _: iter([lm15.StreamStartEvent()])
    with pytest.raises(lm15.StreamAssemblyError):
        list(pair.sync.stream(request()))
    assert circuit.state(clock.now()) == "open"


def test_keys_share_a_circuit_and_a_name() -> None:
    circuits = Circuits(consecutive=2)
    one = circuits.of("openai", "a", "m")
    assert (one.name, one.consecutive) == ("openai/m (a)", 2)
    others = [circuits.of(*key) for key in [("x", "a", "m"), ("openai", "b", "m")]]
    assert one is circuits.of("openai", "a", "m")
    assert one not in others


def test_thirty_two_threads_reach_a_dead_provider_no_oftener_than_they_must() -> None:
    clock = ManualClock()
    barrier = threading.Barrier(32)
    engine = CountingEngine(lambda _: DOWN)
    pair = Breaker(Circuit(consecutive=5), clock)(engine.pair)

    def work(_: int) -> int:
        barrier.wait()
        refused = 0
        for _ in range(200):
            try:
                ask(pair, request())
            except CircuitOpen:
                refused += 1
            except lm15.ServerError:
                pass
        return refused

    with ThreadPoolExecutor(32) as pool:
        refused = sum(pool.map(work, range(32)))
    assert refused + engine.calls == 6400
    assert 5 <= engine.calls <= 5 + 31  # those that were in when it opened
    calls = engine.calls
    clock.advance(30.0)
    with pytest.raises(lm15.ServerError):
        ask(pair, request())
    with pytest.raises(CircuitOpen):
        ask(pair, request())
    assert engine.calls == calls + 1


class CircuitModel(RuleBasedStateMachine):
    """A circuit against the words of its rules: a list of outcomes and the one probe."""

    permits = Bundle("permits")

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.circuit = Circuit(
            consecutive=3, window=4, ratio=0.75, horizon=50.0, cooldown=5.0, longest=9.0, lease=10.0
        )
        self.pause = 0.0
        self.outcomes: list[tuple[float, bool]] = []
        self.opened_at: float | None = None
        self.probe: float | None = None  # when the last one started
        self.live: set[int] = set()  # numbers of calls that count
        self.count = 0

    @rule(seconds=st.sampled_from([0.0, 1.0, 5.0, 9.0, 10.0, 30.0, 51.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(target=permits)
    def call(self) -> Any:
        self.count += 1
        if self.opened_at is None:
            self.live.add(self.count)
            return self.count, self.circuit.admit(self.now)
        busy = self.probe is not None and self.now < self.probe + 10.0
        if busy or self.now < self.opened_at + self.pause:
            with pytest.raises(CircuitOpen):
                self.circuit.admit(self.now)
            return multiple()
        self.live = {self.count} if self.probe is None else self.live | {self.count}
        self.probe = self.now
        return self.count, self.circuit.admit(self.now)

    @rule(permit=permits, answered=st.sampled_from([True, False, False, None]))
    def ends(self, permit: tuple[int, int], answered: bool | None) -> None:
        number, permit_of_circuit = permit
        self.circuit.record(permit_of_circuit, answered, self.now)
        if number not in self.live:
            return
        if self.probe is not None:
            self.probe, self.live, self.outcomes = None, set(), []
            if answered is None:
                self.opened_at = self.now - self.pause
            elif answered:
                self.opened_at = None
            else:
                self.opened_at, self.pause = self.now, min(9.0, 2 * self.pause)
        elif answered is not None:
            self.outcomes.append((self.now, answered))
            self.judge()

    def judge(self) -> None:
        recent = [ok for at, ok in self.outcomes[-4:] if at >= self.now - 50.0]
        row = [ok for _, ok in self.outcomes[-3:]]
        if row == [False] * 3 or (len(recent) == 4 and recent.count(False) >= 3):
            self.opened_at, self.live, self.outcomes = self.now, set(), []
            self.pause = 5.0

    @invariant()
    def agrees(self) -> None:
        if self.opened_at is None:
            wanted = "closed"
        elif self.probe is not None or self.now >= self.opened_at + self.pause:
            wanted = "half-open"
        else:
            wanted = "open"
        assert self.circuit.state(self.now) == wanted


TestCircuitModel = CircuitModel.TestCase
TestCircuitModel.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def outcomes(circuit: Circuit, answers: list[bool]) -> int:
    """After how many of these it opened; 0 if it did not."""
    for number, answered in enumerate(answers, start=1):
        circuit.record(circuit.admit(0.0), answered, 0.0)
        if circuit.state(0.0) == "open":
            return number
    return 0


def test_where_one_in_three_fails_anyway_five_in_a_row_are_no_news() -> None:
    before = [n % 3 != 0 for n in range(50)]
    assert outcomes(Circuit(), [*before, *[False] * 5]) == 0
    dead = outcomes(Circuit(), [*before, *[False] * 50]) - len(before)
    assert 5 < dead <= 11
    well = [True] * 50
    assert outcomes(Circuit(), [*well, *[False] * 50]) == 55


def test_calls_that_fail_by_chance_open_it_hardly_ever() -> None:
    chance = random.Random(0)
    circuit, opened = Circuit(), 0
    for n in range(20_000):
        now = n / 50
        if circuit.state(now) != "open":
            circuit.record(circuit.admit(now), chance.random() > 0.27, now)
        opened += circuit.state(now) == "open"
    assert circuit.openings <= 12  # 40 with five in a row alone
    assert opened / 20_000 < 0.05
