"""One classification: every error of lm15 and DSPy has its kind; ours are told to DSPy."""

from __future__ import annotations

from typing import Any

import dspy
import pytest
from dspy import lm15

from compilm import errors
from compilm.runtime.layers import outcomes
from compilm.runtime.layers.outcomes import Kind, kind_of, none_answered, retry_after_of
from compilm.runtime.layers.streams import Progress

KINDS: dict[str, Kind] = {
    "RateLimitError": "limited",
    "TimeoutError": "failed",
    "ServerError": "failed",
    "TransportError": "failed",
    "LockTimeoutError": "failed",
    "ProviderError": "garbled",
    "StreamAssemblyError": "garbled",
    "ContextLengthError": "elsewhere",
    "UnsupportedModelError": "elsewhere",
    "UnsupportedFeatureError": "elsewhere",
    "AuthError": "account",
    "BillingError": "account",
    "NotConfiguredError": "account",
    "InvalidRequestError": "own",
}


@pytest.mark.parametrize(("name", "kind"), KINDS.items())
def test_dspys_projection_of_an_error_has_the_same_kind(name: str, kind: Kind) -> None:
    from dspy.clients.errors import wrap_error

    error = getattr(lm15, name)("x")
    assert kind_of(error) == kind
    assert kind_of(wrap_error(error, model="m")) == kind


def test_every_error_that_lm15_retries_is_one_that_passes() -> None:
    assert {kind_of(each("x")) for each in lm15.RETRYABLE_ERRORS} == {"limited", "failed"}


def test_a_4xx_without_a_class_is_the_callers_own() -> None:
    assert kind_of(lm15.ProviderError("teapot", status=418)) == "own"
    assert kind_of(lm15.ProviderError("odd", status=200)) == "garbled"


@pytest.mark.parametrize(
    ("error", "theirs", "kind"),
    [
        (outcomes.deadline_exceeded("x"), dspy.LMTimeoutError, "failed"),
        (outcomes.circuit_open("x", "y", 1.0), dspy.LMServerError, "refused"),
        (outcomes.limit_reached("x", 9.0, 1.0), dspy.LMRateLimitError, "refused"),
        (none_answered([("a", lm15.ServerError("x"))]), dspy.LMProviderError, "failed"),
        (outcomes.budget_exceeded("x", "", 9.0), dspy.LMBillingError, "own"),
        (outcomes.unpriced_tools(), dspy.LMBillingError, "own"),
    ],
)
def test_ours_are_told_to_dspy_and_to_our_callers(error: Any, theirs: Any, kind: Kind) -> None:
    from dspy.clients.errors import wrap_error

    assert isinstance(error, errors.CompilmError)
    assert type(wrap_error(error, model="m")) is theirs
    assert kind_of(error) == kind


@pytest.mark.parametrize(
    ("kinds", "kind"),
    [
        ([lm15.AuthError("x"), lm15.RateLimitError("x")], "limited"),
        ([lm15.RateLimitError("x"), lm15.ServerError("x")], "failed"),
        ([errors.Refused("x"), lm15.AuthError("x")], "refused"),
        ([lm15.ContextLengthError("x"), lm15.AuthError("x")], "account"),
        ([], "own"),
    ],
)
def test_a_chain_may_be_asked_again_if_one_of_its_members_may(kinds: Any, kind: Kind) -> None:
    assert kind_of(none_answered([("n", each) for each in kinds])) == kind


def test_a_chain_waits_for_the_first_that_said_when_and_not_if_one_did_not() -> None:
    two, nine = (lm15.RateLimitError("x", retry_after=s) for s in (2.0, 9.0))
    assert retry_after_of(none_answered([("a", nine), ("b", two)])) == 2.0
    assert retry_after_of(none_answered([("a", nine), ("b", lm15.ServerError("x"))])) is None
    assert retry_after_of(lm15.RateLimitError("x", retry_after=-1)) is None


def test_a_chain_is_told_as_a_tree() -> None:
    inner = none_answered([("c", lm15.ServerError("c is down")), ("d", lm15.AuthError("no"))])
    assert str(none_answered([("a", lm15.RateLimitError("slow")), ("b", inner)])) == (
        "none of 2 answered\n"
        "├─ a: RateLimitError: slow\n"
        "└─ b: NoneAnswered: none of 2 answered\n"
        "   ├─ c: ServerError: c is down\n"
        "   └─ d: AuthError: no"
    )


def test_an_event_that_tells_of_a_failure_is_that_failure() -> None:
    detail = lm15.ErrorDetail("rate_limit", "slow", http_response={"retry_after": 2})
    with pytest.raises(lm15.RateLimitError, match="slow") as raised:
        Progress().saw(lm15.StreamErrorEvent(detail))
    assert raised.value.retry_after == 2.0
