"""Names of fields that a guard is told, held against those that its program has."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

import dspy

from ..errors import UsageError

__all__ = ["checked_names", "inputs_of", "outputs_of"]


def inputs_of(program: Any) -> tuple[str, ...] | None:
    """The inputs a program takes, or `None` where it takes anything and nothing tells.

    >>> inputs_of(dspy.ChainOfThought("question, passages -> answer"))
    ('question', 'passages')
    """
    signature = _signature(program)
    if signature is not None:
        return tuple(signature.input_fields)
    kind = type(program)
    forward = getattr(kind, "forward", None) or getattr(kind, "aforward", None)
    if forward is None or kind.__module__.startswith("dspy."):
        return None
    found = list(inspect.signature(forward).parameters.values())[1:]
    if any(each.kind in (each.VAR_KEYWORD, each.VAR_POSITIONAL) for each in found):
        return None
    return tuple(each.name for each in found)


def outputs_of(program: Any) -> tuple[str, ...] | None:
    """The outputs a program gives, or `None` where nothing tells.

    >>> outputs_of(dspy.ChainOfThought("question -> answer"))
    ('reasoning', 'answer')
    """
    signature = _signature(program)
    return None if signature is None else tuple(signature.output_fields)


def checked_names(names: Iterable[str], known: tuple[str, ...] | None, what: str) -> None:
    """`UsageError` for a name that the program does not have: it would be passed over silently.

    >>> checked_names(["passage"], ("question", "passages"), "injection looks at")
    Traceback (most recent call last):
    compilm.errors.UsageError: injection looks at 'passage' (is 'passages' meant?), ...
    """
    if known is None:
        return
    for name in names:
        if name not in known:
            close = get_close_matches(name, known, n=1)
            guess = f" (is {close[0]!r} meant?)" if close else ""
            raise UsageError(f"{what} {name!r}{guess}, and the program has {', '.join(known)}")


def _signature(program: Any) -> Any:
    """The signature of a predictor; of what is around one, that of the inner."""
    if isinstance(program, dspy.Predict):
        return program.signature
    if isinstance(program, dspy.ChainOfThought):
        return program.predict.signature
    return None
