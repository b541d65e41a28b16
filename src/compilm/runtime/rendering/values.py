"""DSPy's own reading and writing of values, over type adapters that are made once.

DSPy makes a pydantic `TypeAdapter` for every value of every field of every call, which is most of
what a call costs. Here its very functions run, with that one name meaning another: nothing of
them is written anew, and nothing in DSPy is changed.
"""

from __future__ import annotations

import inspect
import sys
from types import FunctionType
from typing import Any

import dspy
from dspy.adapters import utils
from pydantic import TypeAdapter

__all__ = ["formatted", "parsers", "type_adapter"]

_MOST = 1024  # types that are remembered; programs have a few, and some make them on the way
_adapters: dict[int, tuple[Any, TypeAdapter[Any]]] = {}


def type_adapter(annotation: Any) -> TypeAdapter[Any]:
    """The pydantic adapter of a type, made once.

    Found by identity: `int | str` and `str | int` are equal and read values differently.

    >>> type_adapter(int) is type_adapter(int), type_adapter(int).validate_python("4")
    (True, 4)
    """
    found = _adapters.get(id(annotation))
    if found is None:
        if len(_adapters) >= _MOST:
            _adapters.clear()
        # Kept with its type, whose id is then never another's.
        found = _adapters[id(annotation)] = annotation, TypeAdapter(annotation)
    return found[1]


def _over(function: Any, **names: Any) -> Any:
    """The function itself, with these names meaning something else to it alone."""
    plain = inspect.unwrap(function)
    if plain.__code__.co_freevars:  # it would lose what it closes over: slower, and right
        return plain
    around = {**vars(sys.modules[plain.__module__]), "TypeAdapter": type_adapter, **names}
    made = FunctionType(plain.__code__, around, plain.__name__, plain.__defaults__)
    made.__kwdefaults__ = plain.__kwdefaults__
    return made


_serialized = _over(utils.serialize_for_json)
_formatted = _over(utils.format_field_value, serialize_for_json=_serialized)
_parsed = _over(utils.parse_value)

parsers: dict[type[Any], Any] = {
    kind: _over(kind.parse, parse_value=_parsed)
    for kind in (dspy.ChatAdapter, dspy.JSONAdapter, dspy.XMLAdapter)
}
"""`parse(adapter, signature, completion)` of each adapter that is rendered, without callbacks."""


def formatted(info: Any, value: Any) -> str:
    """The text of an input's value as it stands in a prompt: DSPy's `format_field_value`.

    >>> formatted(dspy.Signature("q: list[int] -> a").input_fields["q"], [1, 2])
    '[1, 2]'
    """
    return value if type(value) is str else str(_formatted(info, value))
