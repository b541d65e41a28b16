"""No model call slips past the guard, and it gives back what it did not need."""

from __future__ import annotations

import asyncio
from typing import Any

import dspy
import pytest
from dspy import lm15

from compilm.errors import RunStopped
from compilm.optimizers.budget import Budget
from compilm.optimizers.calls import SCOPE, Scope
from compilm.optimizers.guard import Guard
from compilm.optimizers.ledger import Ask
from compilm.testing.engines import scripted_lm

from .bench import Calls


def guarded(budget: Budget, lm: dspy.LM, *, asynchronously: bool = False) -> tuple[Calls, Any]:
    """One call of `lm` under a guard, and what it gave or raised."""
    calls = Calls(budget)
    with dspy.context(callbacks=[Guard(calls.ledger)]):
        try:
            return calls, asyncio.run(lm.acall("hi")) if asynchronously else lm("hi")
        except BaseException as error:
            return calls, error


@pytest.mark.parametrize("asynchronously", [False, True])
def test_a_call_behind_our_back_is_counted_with_an_unknown_price(asynchronously: bool) -> None:
    calls, found = guarded(Budget(), scripted_lm(["yes"]), asynchronously=asynchronously)
    assert found == ["yes"]
    assert (calls.ledger.spent().calls, calls.ledger.spent().usd) == (1, None)


@pytest.mark.parametrize("budget", [Budget(tokens=1500), Budget(calls=4), Budget(seconds=9)])
def test_retries_are_reserved_together_and_never_wait_for_each_other(budget: Budget) -> None:
    calls, found = guarded(budget, scripted_lm(["yes"], num_retries=3))
    assert found == ["yes"]
    assert calls.ledger.spent().calls == 1


@pytest.mark.parametrize("asynchronously", [False, True])
def test_under_a_budget_in_money_a_call_of_which_nobody_tells_the_price_is_not_made(
    asynchronously: bool,
) -> None:
    lm = scripted_lm(["yes"])
    calls, found = guarded(Budget(usd=1.0), lm, asynchronously=asynchronously)
    assert isinstance(found, RunStopped)
    assert "price of a call is unknown" in str(found)
    assert (lm.engine.calls, calls.ledger.spent().calls) == (0, 0)


def test_retries_that_were_not_needed_are_given_back() -> None:
    calls, _ = guarded(Budget(calls=5), scripted_lm(["yes"], num_retries=3))
    for _ in range(4):
        calls.ledger.reserve(Ask(1))
    with pytest.raises(RunStopped, match="5 calls"):
        calls.ledger.reserve(Ask(1))


def test_a_call_whose_retries_may_cross_the_budget_is_not_made() -> None:
    lm = scripted_lm(["yes"], num_retries=3)
    calls, found = guarded(Budget(calls=3), lm)
    assert isinstance(found, RunStopped)
    assert (lm.engine.calls, calls.ledger.spent().calls) == (0, 0)


@pytest.mark.parametrize(
    ("error", "failures"),
    [
        (lm15.RateLimitError("slow"), ["LMRateLimitError"]),
        (lm15.ContextLengthError("too long"), []),
        (KeyboardInterrupt(), []),
    ],
)
def test_a_failure_is_counted_and_noted_where_it_is_an_outage(
    error: BaseException, failures: list[str]
) -> None:
    scope = Scope()
    token = SCOPE.set(scope)
    try:
        calls, found = guarded(Budget(calls=2), scripted_lm([error]))
    finally:
        SCOPE.reset(token)
    assert isinstance(found, BaseException)
    assert (scope.unmanaged, scope.failures) == (1, failures)
    calls.ledger.reserve(Ask(1))
    assert calls.ledger.spent().calls == 1


def test_a_call_inside_another_does_not_wait_for_it() -> None:
    inner = scripted_lm(["yes"])
    outer = scripted_lm(lambda _: inner("and what do you think?")[0])
    calls, found = guarded(Budget(tokens=1500), outer)
    assert isinstance(found, RunStopped)
    assert inner.engine.calls == 0
    calls, found = guarded(Budget(tokens=3000), outer)
    assert found == ["yes"]
    assert calls.ledger.spent().calls == 2


def test_metered_calls_are_left_to_their_meter() -> None:
    calls = Calls(Budget(calls=1))
    with dspy.context(callbacks=[Guard(calls.ledger)]):
        assert calls.role(scripted_lm(["yes"]))("hi") == ["yes"]
    assert calls.ledger.spent().calls == 1


def test_a_metered_lm_is_known_wherever_its_callback_runs() -> None:
    calls = Calls(Budget(calls=0))
    guard, role = Guard(calls.ledger), calls.role(scripted_lm(["yes"]))
    guard.on_lm_start("1", role, {})
    guard.on_lm_end("1", ["yes"])
    assert calls.ledger.spent().calls == 0


def test_an_interrupt_ends_all_calls() -> None:
    calls = Calls()
    guard = Guard(calls.ledger)
    guard.count_rollout()
    guard.interrupt()
    with pytest.raises(RunStopped, match="interrupted"):
        calls.role(scripted_lm(["yes"]))("hi")
    assert calls.ledger.spent().rollouts == 1
