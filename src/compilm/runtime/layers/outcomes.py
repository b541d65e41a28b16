"""What an error means to every policy, said once, and the errors that the policies raise.

Providers speak `dspy.lm15`, an LM taken as an engine speaks `dspy.LM…Error`; both are read. What
is raised here is of our tree for our callers and of lm15's for DSPy, which projects it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import dspy
from dspy import lm15

from ... import errors
from ...policies import circuit

__all__ = [
    "Kind",
    "asked",
    "budget_exceeded",
    "circuit_open",
    "deadline_exceeded",
    "kind_of",
    "left_alone",
    "limit_reached",
    "none_answered",
    "retry_after_of",
    "timed_out",
    "unpriced_tools",
]

Kind: TypeAlias = Literal["refused", "limited", "failed", "garbled", "elsewhere", "account", "own"]
_REFUSED = (errors.Refused,)
_LIMITED = (lm15.RateLimitError, dspy.LMRateLimitError)
_FAILED = (
    lm15.TimeoutError, lm15.ServerError, lm15.TransportError, lm15.LockTimeoutError,
    dspy.LMTimeoutError, dspy.LMServerError, dspy.LMTransportError, dspy.LMLockTimeoutError,
)  # fmt: skip
_ELSEWHERE = (
    lm15.ContextLengthError, lm15.UnsupportedModelError, lm15.CapabilityError,
    dspy.ContextWindowExceededError, dspy.LMUnsupportedModelError, dspy.LMUnsupportedFeatureError,
)  # fmt: skip
_ACCOUNT = (
    lm15.AuthError, lm15.BillingError, lm15.ConfigurationError,
    dspy.LMAuthError, dspy.LMBillingError, dspy.LMConfigurationError,
)  # fmt: skip
_OWN = (lm15.InvalidRequestError, dspy.LMInvalidRequestError)
_GARBLED = (
    lm15.StreamAssemblyError, lm15.ProviderError,
    dspy.LMStreamAssemblyError, dspy.LMProviderError,
)  # fmt: skip
# The first that fits counts: special cases stand before what they are cases of.
_TABLE: tuple[tuple[Kind, tuple[type[Exception], ...]], ...] = (
    ("own", (errors.BudgetExceeded,)),  # a limit of the caller, whichever provider is asked
    ("refused", _REFUSED),
    ("limited", _LIMITED),
    ("failed", _FAILED),
    ("elsewhere", _ELSEWHERE),
    ("account", _ACCOUNT),
    ("own", _OWN),
    ("garbled", _GARBLED),
)


def kind_of(error: BaseException) -> Kind:
    """What an error means to the policies; the table is in design/runtime.md.

    >>> kind_of(lm15.RateLimitError("slow")), kind_of(lm15.ContextLengthError("long"))
    ('limited', 'elsewhere')
    >>> kind_of(lm15.ProviderError("not JSON")), kind_of(KeyError("a bug"))
    ('garbled', 'own')
    """
    if isinstance(error, errors.NoneAnswered):
        return _kind_of_all([kind_of(each) for _, each in error.failures])
    for kind, classes in _TABLE:
        if isinstance(error, classes):
            status = getattr(error, "status", None)
            return "own" if kind == "garbled" and status and 400 <= status < 500 else kind
    return "own"


def _kind_of_all(kinds: Sequence[Kind]) -> Kind:
    """A chain may be asked again if one of its members may."""
    ranked: tuple[Kind, ...] = ("failed", "garbled", "limited", "refused", "account", "elsewhere")
    return next((kind for kind in ranked if kind in kinds), "own")


def asked(error: BaseException) -> float:
    """The share of the providers that were asked: 0 for a refusal of ours, else 1; of a chain, its.

    >>> refused, failed = circuit_open("a", "it failed", 1.0), lm15.ServerError("down")
    >>> asked(refused), asked(failed), asked(none_answered([("a", refused), ("b", failed)]))
    (0.0, 1.0, 0.5)
    """
    if isinstance(error, errors.NoneAnswered) and error.failures:
        return sum(asked(each) for _, each in error.failures) / len(error.failures)
    return 0.0 if isinstance(error, errors.Refused) else 1.0


def retry_after_of(error: BaseException) -> float | None:
    """Seconds after which the provider wants to be asked again, where it said so.

    Of a chain: the shortest, if all its members said so; else one may be asked before.

    >>> retry_after_of(lm15.RateLimitError("slow", retry_after=3))
    3.0
    """
    if isinstance(error, errors.NoneAnswered):
        hints = [retry_after_of(each) for _, each in error.failures]
        known = [hint for hint in hints if hint is not None]
        return min(known) if len(known) == len(hints) else None
    hint = getattr(error, "retry_after", None)
    return float(hint) if isinstance(hint, (int, float)) and hint >= 0 else None


def timed_out(seconds: float) -> Exception:
    """The error of an attempt that took too long."""
    error: Exception = lm15.TimeoutError(
        f"no answer within {seconds:g} s, the timeout of one attempt"
    )
    return error


class _Plain(errors.CompilmError):
    def __str__(self) -> str:
        return str(self.args[0])  # lm15 would add its advice to ours


class DeadlineExceeded(_Plain, errors.DeadlineExceeded, lm15.TimeoutError):
    __doc__ = errors.DeadlineExceeded.__doc__


class CircuitOpen(_Plain, errors.CircuitOpen, lm15.ServerError):
    __doc__ = errors.CircuitOpen.__doc__


class LimitReached(_Plain, errors.LimitReached, lm15.RateLimitError):
    __doc__ = errors.LimitReached.__doc__


class BudgetExceeded(_Plain, errors.BudgetExceeded, lm15.BillingError):
    __doc__ = errors.BudgetExceeded.__doc__


class NoneAnswered(_Plain, errors.NoneAnswered, lm15.ProviderError):
    __doc__ = errors.NoneAnswered.__doc__


def deadline_exceeded(what: str) -> errors.DeadlineExceeded:
    """The error of a call whose deadline passed; `what` says during what."""
    return DeadlineExceeded(f"the deadline passed {what}; allow more seconds, or less work")


def circuit_open(name: str, why: str, retry_after: float) -> errors.CircuitOpen:
    """The error of a call that was not made because the provider is failing."""
    return CircuitOpen(circuit.told(name, why, retry_after), retry_after=retry_after)


def left_alone(name: str, wait: float) -> errors.LimitReached:
    """The error of a call for which another provider may be asked, as this one wants a pause."""
    return LimitReached(f"{name} asked to be left alone for {wait:.1f} s more", retry_after=wait)


def limit_reached(name: str, wait: float, left: float) -> errors.LimitReached:
    """The error of a call that would start only after its deadline."""
    told = (
        f"{name} could be asked in {wait:.1f} s, and the deadline is in {max(left, 0.0):.1f} s: "
        "raise the limit, allow more seconds, or ask less at once"
    )
    return LimitReached(told, retry_after=wait)


def budget_exceeded(
    limit: str, tenant: str, retry_after: float | None, *, is_held: bool = False
) -> errors.BudgetExceeded:
    """The error of a call that a budget has no room for; without `retry_after` it never has."""
    whose = f" of tenant {tenant!r}" if tenant else ""
    if retry_after is None:
        told = f"this call would take more than its budget of {limit}: ask for less, or raise it"
    elif is_held:
        told = (
            f"calls in flight hold the rest of the budget of {limit}{whose}: ask again when they "
            "are over, and set max_tokens, by which it is held"
        )
    else:
        hours = retry_after / 3600
        told = (
            f"the budget of {limit}{whose} is used up: what is left does not cover this call; a "
            f"new day begins in {hours:.1f} h (UTC)"
        )
    return BudgetExceeded(told, retry_after=retry_after)


def unpriced_tools() -> errors.BudgetExceeded:
    """The error of a call with tools of the provider, under a budget in money."""
    return BudgetExceeded(
        "there is a budget in usd, and what the tools cost that the provider runs is not known: "
        "leave them out, or give a budget in tokens"
    )


def none_answered(failures: Sequence[tuple[str, Exception]]) -> errors.NoneAnswered:
    """The error of a chain in which every member failed."""
    return NoneAnswered(failures)
