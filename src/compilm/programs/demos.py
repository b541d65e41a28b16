"""Demonstrations as plain JSON that renders to the same prompt, and back.

DSPy renders a demo's value through its JSON form, so that form is what is kept. Objects have no
order in an artifact: on the way back a value with a declared class gets that class's order of
fields again; the keys of a free-form `dict` come in alphabetical order.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import dspy
from dspy.adapters.utils import format_field_value
from pydantic import TypeAdapter
from pydantic.fields import FieldInfo

from .. import canonical
from ..artifact.form import checked
from ..errors import ProgramError

__all__ = ["as_declared", "plain_demo"]

# Set by DSPy's bootstrapping, read by its other optimizers.
AUGMENTED = "augmented"

_SCALARS = (str, int, float, bool, type(None))


def plain_demo(
    demo: dspy.Example | Mapping[str, Any], signature: type[dspy.Signature], path: str
) -> dict[str, Any]:
    """The values of a demo for the fields of this signature, as plain JSON.

    Raises:
        ProgramError: for a value without a JSON form; it names predictor and field.

    >>> signature = dspy.Signature("question -> answer")
    >>> plain_demo(dspy.Example(question="Why?", answer="So.", id=7), signature, "self")
    {'question': 'Why?', 'answer': 'So.'}
    """
    plain: dict[str, Any] = {}
    for name, info in signature.fields.items():
        if name in demo:
            try:
                plain[name] = _plain(info, demo[name])
            except (TypeError, ValueError) as error:
                raise ProgramError(
                    f"predictor {path!r}: the demo's value for {name!r} "
                    f"({type(demo[name]).__name__}) cannot be written down as JSON that renders "
                    f"to the same prompt: {error}. Give text, numbers, lists, dicts or pydantic "
                    "models"
                ) from error
    if AUGMENTED in demo:
        plain[AUGMENTED] = bool(demo[AUGMENTED])
    return plain


def as_declared(demo: Mapping[str, Any], signature: type[dspy.Signature]) -> dict[str, Any]:
    """A copy of a plain demo in which objects have their fields in the order they were declared."""
    return {
        name: _ordered(signature.fields[name].annotation, value)
        if isinstance(value, dict | list) and name in signature.fields  # fields take long to give
        else value
        for name, value in demo.items()
    }


def _plain(info: FieldInfo, value: Any) -> Any:
    """The JSON form of `value`; a `TypeError` or `ValueError` if there is none."""
    if type(value) in _SCALARS:
        return checked(value)
    rendered = format_field_value(info, value)
    form = _dumped(value)
    if format_field_value(info, form) != rendered:
        if info.annotation is not str:
            raise TypeError("its JSON form reads otherwise")
        form = rendered
    return canonical.loads(canonical.dumps(checked(form)))


def _dumped(value: Any) -> Any:
    try:
        return TypeAdapter(type(value)).dump_python(value, mode="json")
    except Exception:  # border: pydantic raises errors of many kinds for classes it does not know
        return canonical.plain(value)


def _ordered(annotation: Any, value: Any) -> Any:
    try:
        adapter = TypeAdapter(annotation)
        ordered = adapter.dump_python(adapter.validate_python(value), mode="json")
        same = canonical.dumps(ordered) == canonical.dumps(value)
    except Exception:  # border: validators are the user's code, and a demo need not be valid
        same = False
    return ordered if same else copy.deepcopy(value)
