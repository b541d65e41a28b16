"""Checks of form: JSON, patterns, lengths, a set of values. What is wrong is told to the model."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from ..errors import UsageError
from .check import Check, Verdict
from .sentences import sentences

__all__ = ["Length", "Matches", "OneOf", "ValidJson"]

_UNITS = ("characters", "words", "sentences")


class _Form(Check):
    """A check of one output: `_wrong` says what is wrong with its text, or nothing."""

    def __init__(self, field: str, name: str) -> None:
        super().__init__()
        self.name, self._field = name, field

    def examine(self, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> Verdict:
        """Whether the output has the form."""
        value = outputs.get(self._field, inputs.get(self._field))
        reason, advice = ("is missing", "") if value is None else self._wrong(value)
        if not reason:
            return Verdict(self.name, True, fields=(self._field,))
        told = f"`{self._field}` {advice or reason}"
        return Verdict(
            self.name, False, 0.0, f"{self._field} {reason}", advice=told, fields=(self._field,)
        )

    def _wrong(self, value: Any) -> tuple[str, str]:
        """What is wrong: without a word of the value, and, for the model, with."""
        raise NotImplementedError


class ValidJson(_Form):
    """The output is JSON and, with a type, of that type.

    Args:
        field: the output, a text, or a value that is JSON already.
        type: what `pydantic` can validate: a model, `list[int]`, a `TypedDict`.

    >>> check = ValidJson("answer", list[int])
    >>> check(answer="[1, 2]").passed, check(answer='["a"]').reason
    (True, 'answer does not fit list[int]: 0: int_parsing')
    """

    def __init__(self, field: str, type: Any = None, *, name: str = "json") -> None:
        super().__init__(field, name)
        self._type = type

    def _wrong(self, value: Any) -> tuple[str, str]:
        text = value if isinstance(value, str) else _as_json(value)
        try:
            json.loads(text)
        except ValueError as error:
            place = f"line {getattr(error, 'lineno', 1)}, column {getattr(error, 'colno', 1)}"
            return (
                f"is no JSON at {place}",
                f"is no JSON: {error}. Write JSON alone, without fences",
            )
        if self._type is None:
            return "", ""
        try:
            TypeAdapter(self._type).validate_json(text)
        except ValidationError as error:
            wrong = [(".".join(map(str, one["loc"])) or "it", one) for one in error.errors()[:5]]
            told = "; ".join(f"{place}: {one['type']}" for place, one in wrong)
            said = "; ".join(f"{place}: {one['msg']}" for place, one in wrong)
            return f"does not fit {_named(self._type)}: {told}", f"is not as it should be: {said}"
        return "", ""


def _as_json(value: Any) -> str:
    if isinstance(value, BaseModel):
        return value.model_dump_json()
    try:
        return json.dumps(value)
    except (TypeError, ValueError):
        return ""


def _named(type: Any) -> str:
    return str(type) if hasattr(type, "__args__") else getattr(type, "__name__", str(type))


class Matches(_Form):
    """All of the output matches a regular expression; with `inside`, a part of it is enough.

    >>> Matches("code", r"[A-Z]\\d{3}")(code="A12").reason
    'code does not match its pattern'
    """

    def __init__(
        self, field: str, pattern: str, *, inside: bool = False, name: str = "pattern"
    ) -> None:
        super().__init__(field, name)
        try:
            self._pattern = re.compile(pattern)
        except re.error as error:
            raise UsageError(f"{pattern!r} is no regular expression: {error}") from error
        self._inside = inside

    def _wrong(self, value: Any) -> tuple[str, str]:
        look = self._pattern.search if self._inside else self._pattern.fullmatch
        if look(str(value)):
            return "", ""
        what = "has no part that matches" if self._inside else "does not match"
        return f"{what} its pattern", f"{what} the regular expression {self._pattern.pattern}"


class Length(_Form):
    """The output is neither too short nor too long, in `characters`, `words` or `sentences`.

    >>> Length("answer", most=2, unit="sentences")(answer="One. Two. Three.").reason
    'answer has 3 sentences, at most 2'
    """

    def __init__(
        self, field: str, *, least: int = 0, most: int | None = None, unit: str = "words",
        name: str = "length",
    ) -> None:  # fmt: skip
        super().__init__(field, name)
        if unit not in _UNITS:
            raise UsageError(f"a length is counted in {', '.join(_UNITS)}, not {unit!r}")
        if least < 0 or (most is not None and most < least):
            raise UsageError(f"no text has at least {least} and at most {most} {unit}")
        self._least, self._most, self._unit = least, most, unit

    def _wrong(self, value: Any) -> tuple[str, str]:
        count = _count(str(value), self._unit)
        if count < self._least:
            return f"has {count} {self._unit}, at least {self._least}", ""
        if self._most is not None and count > self._most:
            return f"has {count} {self._unit}, at most {self._most}", ""
        return "", ""


def _count(text: str, unit: str) -> int:
    if unit == "sentences":
        return len(sentences(text))
    return len(text) if unit == "characters" else len(text.split())


class OneOf(_Form):
    """The output is one of these values.

    >>> OneOf("team", ["cards", "loans"])(team="Cards").passed
    False
    """

    def __init__(self, field: str, values: Sequence[Any], *, name: str = "value") -> None:
        super().__init__(field, name)
        if isinstance(values, str) or not values:
            raise UsageError(f"OneOf takes the values that are allowed, as a list: {values!r}")
        self._values = list(values)

    def _wrong(self, value: Any) -> tuple[str, str]:
        if value in self._values:
            return "", ""
        allowed = ", ".join(map(str, self._values))
        return "is none of the allowed values", f"must be one of: {allowed}"
