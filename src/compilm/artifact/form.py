"""Forms of JSON as functions: each takes a value and its path, and raises where it departs.

`record(x=number, y=number)` is a function; called with `({"x": 1, "y": "2"}, "here")` it says
"here.y: expected a number, found '2'".
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

__all__ = [
    "Departure",
    "Form",
    "anything",
    "checked",
    "count",
    "integer",
    "list_of",
    "mapping_of",
    "name",
    "number",
    "or_null",
    "record",
    "text",
]

# Values here are JSON of any form until a form has passed them, hence `Any`.
Form: TypeAlias = Callable[[Any, str], None]

MAX_DEPTH = 64
MAX_BITS = 4096


class Departure(ValueError):
    """Where a value leaves its form: `path: what is wrong`."""


def checked(value: Any, at: str = "", depth: int = 0) -> Any:
    """A deep copy of `value` made of plain JSON types only; else a `Departure`.

    >>> checked({"a": (1, 2)})
    {'a': [1, 2]}
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _checked_text(value, at)
    if isinstance(value, int) and value.bit_length() <= MAX_BITS:
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    if depth >= MAX_DEPTH:
        raise Departure(f"{at[:80]}...: nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, list | tuple):
        return [checked(item, f"{at}[{i}]", depth + 1) for i, item in enumerate(value)]
    if isinstance(value, Mapping):
        return {
            _checked_key(key, at): checked(item, _below(at, key), depth + 1)
            for key, item in value.items()
        }
    shown = repr(value) if isinstance(value, float) else f"a value of type {type(value).__name__}"
    raise Departure(f"{at}: {shown} has no JSON form")


def _checked_text(value: str, at: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Departure(f"{at}: a text with half a surrogate pair is not UTF-8") from None
    return str.__str__(value)


def _checked_key(key: Any, at: str) -> str:
    if not isinstance(key, str):
        raise Departure(f"{at}: the key {key!r} is not a text")
    return _checked_text(key, at)


def _below(at: str, key: Any) -> str:
    return f"{at}.{key}" if at else str(key)


def _expected(what: str, value: Any, at: str) -> Departure:
    return Departure(f"{at}: expected {what}, found {reprlib.repr(value)}")


def anything(value: Any, at: str) -> None:
    """Every JSON value."""


def text(value: Any, at: str) -> None:
    """A text, perhaps empty."""
    if not isinstance(value, str):
        raise _expected("a text", value, at)


def name(value: Any, at: str) -> None:
    """A text of at least one character."""
    text(value, at)
    if not value:
        raise _expected("a name", value, at)


def number(value: Any, at: str) -> None:
    """An integer or a float; not a boolean."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _expected("a number", value, at)


def integer(value: Any, at: str) -> None:
    """A whole number; not a boolean."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise _expected("a whole number", value, at)


def count(value: Any, at: str) -> None:
    """A whole number from 0 up."""
    integer(value, at)
    if value < 0:
        raise _expected("a count", value, at)


def or_null(form: Form) -> Form:
    """The form that allows null as well."""

    def check(value: Any, at: str) -> None:
        if value is not None:
            form(value, at)

    return check


def list_of(form: Form) -> Form:
    """The form of a list whose every item keeps `form`."""

    def check(value: Any, at: str) -> None:
        if not isinstance(value, list):
            raise _expected("a list", value, at)
        for index, item in enumerate(value):
            form(item, f"{at}[{index}]")

    return check


def mapping_of(form: Form) -> Form:
    """The form of an object with any keys whose every value keeps `form`."""

    def check(value: Any, at: str) -> None:
        if not isinstance(value, dict):
            raise _expected("an object", value, at)
        for key, item in value.items():
            form(item, _below(at, key))

    return check


def record(*, optional: str = "", **forms: Form) -> Form:
    """The form of an object with exactly these keys; those named in `optional` may be absent.

    >>> record(x=number)({"x": 1, "z": 2}, "point")
    Traceback (most recent call last):
    compilm.artifact.form.Departure: point.z: unknown key; known are x
    """
    required = forms.keys() - set(optional.split())

    def check(value: Any, at: str) -> None:
        if not isinstance(value, dict):
            raise _expected("an object", value, at)
        for key in sorted(value.keys() - forms.keys()):
            raise Departure(f"{_below(at, key)}: unknown key; known are {', '.join(forms)}")
        for key in sorted(required - value.keys()):
            raise Departure(f"{_below(at, key)}: missing")
        for key, item in value.items():
            forms[key](item, _below(at, key))

    return check
