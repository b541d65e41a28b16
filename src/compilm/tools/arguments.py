"""Arguments as a model gave them, checked and turned into what the tool takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from .failures import BadArguments
from .schema import Parameters

__all__ = ["reader_of"]


def reader_of(parameters: Parameters) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """A function that gives the arguments as the tool takes them, or raises `BadArguments`.

    Where Python's types are known they decide ("3" is an `int`, a table is the model it fits);
    else the JSON schemas do.

    >>> from compilm.tools.signature import described
    >>> def add(a: int, b: int = 1) -> int: ...
    >>> reader_of(described(add).parameters)({"a": "3"})
    {'a': 3}
    """
    typed = parameters.types
    read = _by_schema(parameters) if typed is None else _by_type(typed)

    def reader(given: Mapping[str, Any]) -> dict[str, Any]:
        parameters.check_names(given)
        return {name: read(name, value) for name, value in given.items()}

    return reader


def _by_type(types: Mapping[str, Any]) -> Callable[[str, Any], Any]:
    adapters = {name: TypeAdapter(kind) for name, kind in types.items() if kind is not Any}

    def read(name: str, value: Any) -> Any:
        adapter = adapters.get(name)
        if adapter is None:
            return value
        try:
            return adapter.validate_python(value)
        except ValidationError as error:
            raise BadArguments(_told(name, error)) from error

    return read


def _told(name: str, error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False)[0]
    place = ".".join(str(part) for part in (name, *first["loc"]))
    shown = repr(first["input"])
    given = shown if len(shown) <= 80 else f"{shown[:80]}…"
    return f"argument {place!r}: {first['msg']} (given: {given})"


def _by_schema(parameters: Parameters) -> Callable[[str, Any], Any]:
    validators: dict[str, Any] = {}

    def read(name: str, value: Any) -> Any:
        schema = parameters.args.get(name)
        if not schema:
            return value
        validator = validators.get(name)
        if validator is None:
            from jsonschema import Draft202012Validator  # comes with dspy and mcp; 40 ms

            validator = validators[name] = Draft202012Validator(dict(schema))
        wrong = next(validator.iter_errors(value), None)
        if wrong is not None:
            place = ".".join(str(part) for part in (name, *wrong.absolute_path))
            raise BadArguments(f"argument {place!r}: {wrong.message[:200]}")
        return value

    return read
