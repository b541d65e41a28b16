"""What a step wants and what it writes, as far as its signature or its parameters tell."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from typing import Any, NamedTuple

import dspy

from ..confidence import Escalate
from ..errors import ProgramError
from ..guardrails.guard import Guard
from ..guardrails.redaction.redacted import Redacted
from .nodes import Function

__all__ = ["FAILURE", "GIVEN", "KEY", "Wants", "wants_of", "writes_of"]

KEY = "idempotency_key"
FAILURE = "failure"
GIVEN = frozenset({KEY, FAILURE})  # arguments that the graph gives by itself


class Wants(NamedTuple):
    """The keys a step reads. `anything` means that it takes whatever there is.

    `key` says that it declares the argument `idempotency_key`.
    """

    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    anything: bool = False
    key: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """All of them."""
        return self.required + self.optional


def wants_of(name: str, step: dspy.Module) -> Wants:
    """What the step at node `name` reads.

    >>> wants_of("draft", dspy.ChainOfThought("question, context -> answer")).required
    ('question', 'context')
    >>> wants_of("add", Function(lambda a, b=1: {"sum": a + b}))
    Wants(required=('a',), optional=('b',), anything=False, key=False)
    """
    declared = getattr(step, "wants", None)
    if isinstance(declared, Wants):
        return declared
    if isinstance(step, Escalate):  # what its steps read, and what a person may answer
        wants = wants_of(name, next(iter(step.steps.values())))
        return wants._replace(optional=(*wants.optional, *step.answers))
    if isinstance(step, Redacted | Guard):
        return wants_of(name, step.program)
    signature = _signature(step)
    if signature is not None:
        fields = signature.input_fields.items()
        optional = tuple(key for key, info in fields if not info.is_required())
        required = tuple(key for key, _ in fields if key not in optional)
        return Wants(required, optional)
    return _parameters(name, _called(step), skip=not isinstance(step, Function))


def writes_of(step: dspy.Module) -> tuple[str, ...] | None:
    """The keys the step writes, or `None` where nothing tells.

    A function tells by being annotated with a `TypedDict`.

    >>> writes_of(dspy.Predict("question -> answer"))
    ('answer',)
    """
    declared = getattr(step, "writes", None)
    if isinstance(declared, tuple):
        return declared
    if isinstance(step, Escalate):
        written = writes_of(next(iter(step.steps.values())))
        return None if written is None else (*written, "escalation")
    if isinstance(step, Redacted):
        return writes_of(step.program)
    if isinstance(step, Guard):
        written = writes_of(step.program)
        return None if written is None else (*written, "guard")
    if isinstance(step, dspy.Predict):
        return tuple(step.signature.output_fields)
    if isinstance(step, dspy.ChainOfThought):
        return tuple(step.predict.signature.output_fields)
    try:
        given = typing.get_type_hints(_called(step)).get("return")
    except (NameError, TypeError):  # names that only a type checker sees
        return None
    return tuple(given.__annotations__) if typing.is_typeddict(given) else None


def _signature(step: dspy.Module) -> Any:
    """The signature of a module of DSPy's own, whose `forward` takes anything."""
    if not type(step).__module__.startswith("dspy."):
        return step.signature if isinstance(step, dspy.Predict) else None
    found = getattr(step, "signature", None)
    return found or getattr(getattr(step, "predict", None), "signature", None)


def _called(step: dspy.Module) -> Callable[..., Any]:
    if isinstance(step, Function):
        return step.function
    kind = type(step)
    found: Callable[..., Any] | None = getattr(kind, "forward", None)
    found = found or getattr(kind, "aforward", None)
    if found is None:
        raise ProgramError(f"{kind.__name__} has no forward: there is nothing to call")
    return found


def _parameters(name: str, called: Callable[..., Any], *, skip: bool) -> Wants:
    try:
        found = list(inspect.signature(called).parameters.values())[1 if skip else 0 :]
    except (TypeError, ValueError):
        return Wants(anything=True)
    if hidden := [each.name for each in found if each.kind is each.POSITIONAL_ONLY]:
        raise ProgramError(
            f"node {name!r} takes {hidden[0]!r} by position only: a graph passes what is in its "
            "state by name"
        )
    named = [each for each in found if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)]
    own = [each for each in named if each.name != KEY]
    return Wants(
        tuple(each.name for each in own if each.default is each.empty),
        tuple(each.name for each in own if each.default is not each.empty),
        any(each.kind is each.VAR_KEYWORD for each in found),
        len(own) < len(named),
    )
