"""A trace run again, offline: its recorded calls answer, and nothing else does."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

import dspy
from dspy import lm15

from ... import canonical
from ...errors import UsageError
from ...programs.models import response_from_json, role_lm
from ...programs.veils import REPLAY
from ..engines.recording import Answers, answering
from .origin import asked_as
from .span import Span, Trace
from .values import UNREADABLE, snapshots

__all__ = ["Replay"]


class Replay:
    """What a program needs to be called as it was: the inputs, and models that give the answers.

    `roles` has a model for each role. A request that is not in the trace gets an
    `lm15.InvalidRequestError`, a call that failed fails with an error of the same kind, and nothing
    is sent anywhere. Raises `UsageError` for a trace that does not hold what this takes.

    >>> root = Span(0, None, "program", "Desk", 0.0, 0.5)
    >>> Replay(Trace("3f2a" * 8, "Desk", "sha256:ab", "numbers", (root,)))
    Traceback (most recent call last):
    compilm.errors.UsageError: trace 3f2a3f2a3f2a keeps numbers alone ...
    """

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.inputs = _inputs(trace)
        self._answers = Answers(f"trace {trace.id[:12]}", _pairs(trace))
        pair = answering(self._answers)
        self._lock = threading.Lock()  # protects the next two
        self._tools, self._unknown = _tools(trace), 0
        self.roles: dict[str, dspy.LM] = {
            role: role_lm(pair, asked_as(told)) for role, told in trace.about.items()
        }

    def offline(self) -> AbstractContextManager[Any]:
        """A block in which tools are answered from the trace, and none is called."""
        found: AbstractContextManager[Any] = dspy.context(**{REPLAY: self})
        return found

    def tool(self, name: str, given: Mapping[str, Any]) -> tuple[Any, str | None]:
        """What a tool told the program, and the kind of its error if it was one.

        Equal calls are answered in the order in which they were made. One that is not in the
        trace is refused, and counted as missing.
        """
        with self._lock:
            left = self._tools.get(_call_of(name, snapshots(given)), [])
            if left:
                return left.pop(0) if len(left) > 1 else left[0]
            self._unknown += 1
        return {"message": "this call is not in the trace, and nothing is called"}, "refused"

    @property
    def missing(self) -> int:
        """How many requests and calls of tools were not in the trace."""
        return self._answers.missing + self._unknown

    @property
    def outputs(self) -> dict[str, Any] | None:
        """What the program gave when it was recorded, by field; `None` where it gave nothing."""
        found = self.trace.root.texts.get("outputs")
        if found is None or isinstance(found, dict):
            return found
        return {"answer": found}


def _inputs(trace: Trace) -> dict[str, Any]:
    if trace.keeps != "texts":
        raise UsageError(
            f"trace {trace.id[:12]} keeps numbers alone and cannot be replayed: set "
            'runtime.trace = "texts" for calls that shall be'
        )
    inputs = dict(trace.root.texts.get("inputs", {}))
    for name, value in inputs.items():
        if kind := _unreadable(value):
            raise UsageError(
                f"trace {trace.id[:12]} cannot be replayed: input {name!r} held a value of type "
                f"{kind}, which has no JSON form"
            )
    return inputs


def _pairs(trace: Trace) -> Iterator[tuple[str, Any]]:
    """The digest of each recorded request, with its answer or the error it ended in."""
    for call in trace.calls:
        if "request" in call.texts:
            yield canonical.digest(call.texts["request"]), _ending(call)


def _tools(trace: Trace) -> dict[str, list[tuple[Any, str | None]]]:
    """What tools and retrievers told, by the call."""
    found: dict[str, list[tuple[Any, str | None]]] = {}
    for span in trace.spans:
        if span.kind in ("tool", "retrieval") and "outputs" in span.texts:
            told = span.texts["outputs"], span.error
            found.setdefault(_call_of(span.name, span.texts["inputs"]), []).append(told)
    return found


def _call_of(name: str, given: Any) -> str:
    return canonical.digest([name, given])


def _ending(call: Span) -> Any:
    if "response" in call.texts:
        return response_from_json(call.texts["response"])
    kind = _ERRORS.get(call.error or "", lm15.ProviderError)
    return kind(f"this call ended in {call.error or 'nothing'} when it was recorded")


def _unreadable(value: Any) -> str | None:
    """The type of the first value in here that was not written down."""
    if isinstance(value, Mapping):
        found = value.get(UNREADABLE) if set(value) == {UNREADABLE} else None
        return found or next(filter(None, map(_unreadable, value.values())), None)
    if isinstance(value, list):
        return next(filter(None, map(_unreadable, value)), None)
    return None


# What lm15 calls by these names, and what ours and DSPy's stand for it.
_KINDS = (
    lm15.AuthError, lm15.BillingError, lm15.CapabilityError, lm15.ConfigurationError,
    lm15.ContextLengthError, lm15.InvalidRequestError, lm15.LockTimeoutError, lm15.ProviderError,
    lm15.RateLimitError, lm15.ServerError, lm15.StreamAssemblyError, lm15.TimeoutError,
    lm15.TransportError, lm15.UnsupportedFeatureError, lm15.UnsupportedModelError,
)  # fmt: skip
_ERRORS: dict[str, type[Exception]] = {
    **{kind.__name__: kind for kind in _KINDS},
    **{f"LM{kind.__name__}": kind for kind in _KINDS},
    "BudgetExceeded": lm15.BillingError,
    "CircuitOpen": lm15.ServerError,
    "ContextWindowExceededError": lm15.ContextLengthError,
    "DeadlineExceeded": lm15.TimeoutError,
    "LimitReached": lm15.RateLimitError,
    "NoneAnswered": lm15.ProviderError,
}
