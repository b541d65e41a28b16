"""A field's type as a short text that is the same on every machine and says when the type changed.

`str`, `list[int]`, `Literal['a', 'b']`, `int | None`; a class with fields of its own is its name
and a digest over them: `Claim#1f0c2a77b3d9`. The module is left out, so that a program is the
same whether it is run as a script or imported.
"""

from __future__ import annotations

import dataclasses
import enum
import re
import types
import typing
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from .. import canonical

__all__ = ["choices", "type_text"]


def type_text(annotation: Any) -> str:
    """The text of a type.

    >>> type_text(list[int] | None), type_text(typing.Literal["a", "b"])
    ('list[int] | None', "Literal['a', 'b']")
    """
    return _text(annotation, frozenset())


def choices(annotation: Any) -> tuple[Any, ...]:
    """The values that a type allows where they can be counted; none where they cannot.

    >>> choices(typing.Literal["a", "b"] | None), choices(bool), choices(str)
    (('a', 'b', None), (True, False), ())
    """
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is typing.Literal:
        return tuple(each.value if isinstance(each, enum.Enum) else each for each in args)
    if origin is typing.Annotated:
        return choices(args[0])
    if origin in (typing.Union, types.UnionType):
        parts = [choices(each) for each in args]
        return tuple(each for part in parts for each in part) if all(parts) else ()
    if annotation is bool:
        return (True, False)
    if annotation in (None, type(None)):
        return (None,)
    known = isinstance(annotation, type) and issubclass(annotation, enum.Enum)
    return tuple(each.value for each in annotation) if known else ()


def _text(annotation: Any, above: frozenset[type]) -> str:
    if annotation is None or annotation is type(None):
        return "None"
    if annotation is ...:
        return "..."
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is typing.Literal:
        return f"Literal[{', '.join(_literal(each) for each in args)}]"
    if origin is typing.Annotated:
        return _text(args[0], above)
    if origin in (typing.Union, types.UnionType):
        return " | ".join(_text(each, above) for each in args)
    if origin is not None:
        inner = ", ".join(_text(each, above) for each in args)
        return f"{_text(origin, above)}[{inner}]" if args else _text(origin, above)
    if isinstance(annotation, list):  # the parameters of a Callable
        return f"[{', '.join(_text(each, above) for each in annotation)}]"
    if isinstance(annotation, type):
        return _class_text(annotation, above)
    return re.sub(r" at 0x[0-9a-fA-F]+", "", str(annotation)).removeprefix("typing.")


def _literal(value: Any) -> str:
    return str(value) if isinstance(value, enum.Enum) else repr(value)


def _class_text(cls: type, above: frozenset[type]) -> str:
    if cls.__module__.partition(".")[0] == "dspy":
        return f"dspy.{cls.__qualname__}"
    members = None if cls in above else _members(cls, above | {cls})
    if members is None:
        return cls.__qualname__
    return f"{cls.__qualname__}#{canonical.short(canonical.digest(members))}"


def _members(cls: type, above: frozenset[type]) -> list[list[str]] | None:
    """What a class is made of, where that is known: names with types, or names with values."""
    if issubclass(cls, enum.Enum):
        return [[each.name, repr(each.value)] for each in cls]
    if issubclass(cls, BaseModel):
        return [[name, _text(info.annotation, above)] for name, info in cls.model_fields.items()]
    if dataclasses.is_dataclass(cls) or typing.is_typeddict(cls) or hasattr(cls, "_fields"):
        return [[name, _text(hint, above)] for name, hint in _hints(cls).items()]
    return None


def _hints(cls: type) -> dict[str, Any]:
    try:
        return typing.get_type_hints(cls)
    except NameError:  # a type that was defined inside a function: its name as it is written
        return dict(cls.__annotations__)
