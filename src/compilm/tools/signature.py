"""The parameters of a Python function: types, defaults and docstring as schemas."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, get_type_hints

from pydantic import PydanticSchemaGenerationError, TypeAdapter
from pydantic.errors import PydanticInvalidForJsonSchema
from pydantic_core import to_jsonable_python

from ..errors import ProgramError
from .docstrings import told_by
from .schema import Parameters, normalized

__all__ = ["Described", "described"]

_OPEN = inspect.Parameter.VAR_KEYWORD
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class Described(NamedTuple):
    """A function as a tool: its name, what it does, what it takes."""

    name: str
    description: str
    parameters: Parameters


def described(func: Callable[..., Any]) -> Described:
    """Read a function, a method, a callable object, or a `functools.partial` of one.

    What a partial has bound is not shown to the model. Raises `ProgramError` for arguments that
    cannot be given by name or have no JSON form.

    >>> def lookup(claim: int, full: bool = False) -> str:
    ...     "Find a claim."
    >>> described(lookup).parameters.schema()["properties"]
    {'claim': {'type': 'integer'}, 'full': {'type': 'boolean', 'default': False}}
    """
    inner, bound = _unwrapped(func)
    home = inner if inspect.isroutine(inner) else type(inner).__call__
    name = getattr(inner, "__name__", type(inner).__name__)
    docstring = inspect.getdoc(inner if inspect.isroutine(inner) else type(inner))
    told = told_by(docstring)
    hints = _hints(home, name)
    args: dict[str, dict[str, Any]] = {}
    types: dict[str, Any] = {}
    required: list[str] = []
    signature = inspect.signature(inner)
    for each in signature.parameters.values():
        if each.name in bound or each.kind is _OPEN:
            continue
        if each.kind not in _NAMED:
            raise ProgramError(
                f"{name}: {each} cannot be given by name, as a model gives it: name each argument"
            )
        types[each.name] = hints.get(each.name, Any)
        args[each.name] = _argument(name, each, types[each.name], told.arguments)
        if each.default is inspect.Parameter.empty:
            required.append(each.name)
    is_open = any(each.kind is _OPEN for each in signature.parameters.values())
    return Described(name, told.summary, Parameters(args, tuple(required), is_open, types))


def _unwrapped(func: Callable[..., Any]) -> tuple[Callable[..., Any], frozenset[str]]:
    bound: set[str] = set()
    while isinstance(func, functools.partial):
        if func.args:
            names = list(inspect.signature(func.func).parameters)[: len(func.args)]
            bound |= set(names)
        bound |= set(func.keywords)
        func = func.func
    return func, frozenset(bound)


def _hints(home: Any, name: str) -> dict[str, Any]:
    try:
        return get_type_hints(home, include_extras=True)
    except NameError as error:
        raise ProgramError(
            f"{name}: a type of its signature is not known where it is defined ({error}): import "
            "it there, not under TYPE_CHECKING"
        ) from error


def _argument(
    tool: str, each: inspect.Parameter, kind: Any, texts: Mapping[str, str]
) -> dict[str, Any]:
    try:
        schema = normalized(TypeAdapter(kind).json_schema())
    except (PydanticSchemaGenerationError, PydanticInvalidForJsonSchema) as error:
        raise ProgramError(
            f"{tool}: argument {each.name!r} is a {kind!r}, which has no form in JSON: bind it "
            "with functools.partial, or take a type that has one"
        ) from error
    if each.default is not inspect.Parameter.empty:
        schema["default"] = to_jsonable_python(each.default, fallback=repr)
    if each.name in texts:
        schema.setdefault("description", texts[each.name])
    return schema
