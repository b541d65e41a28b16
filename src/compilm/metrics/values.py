"""The value a field has in an example or a prediction, and the words for a wrong one."""

from __future__ import annotations

import reprlib
from enum import Enum
from typing import Any, Final

from .. import canonical
from ..errors import MetricError

__all__ = ["ABSENT", "comparable", "field_name", "gold_value", "shown", "value_of", "wrong"]

ABSENT: Final = object()


def field_name(name: object) -> str:
    """`name`, checked to be usable as a field's name.

    >>> field_name("answer")
    'answer'
    """
    if not isinstance(name, str) or not name.isidentifier():
        raise MetricError(f"{name!r} is not the name of a field: give one like 'answer'")
    return name


def value_of(record: Any, field: str) -> Any:
    """The value of `field` in a mapping, a `dspy.Example` or any object; else `ABSENT`.

    >>> value_of({"answer": 42}, "answer")
    42
    """
    if hasattr(record, "keys"):
        return record[field] if field in record else ABSENT  # noqa: SIM401 (Example is no dict)
    return getattr(record, field, ABSENT)


def gold_value(example: Any, field: str) -> Any:
    """The value to compare with; an example without it is the data's fault: `MetricError`.

    >>> gold_value({"answer": 42}, "answer")
    42
    """
    value = value_of(example, field)
    if value is ABSENT:
        known = sorted(example.keys()) if hasattr(example, "keys") else []
        raise MetricError(
            f"the example has no field {field!r} to compare with (it has {known!r}): "
            "add the field to the data, or name another one in the metric"
        )
    return value


def comparable(value: Any) -> Any:
    """`value` as plain data where it has such a form, so that a model equals its JSON.

    >>> comparable((1, {"a": 2}))
    [1, {'a': 2}]
    """
    if isinstance(value, Enum):
        return value.value
    try:
        return canonical.plain(value)
    except TypeError:  # no JSON form: its own equality decides
        return value


def wrong(field: str, gold: Any, got: Any) -> str:
    """The words for a wrong value.

    >>> wrong("answer", "Paris", "Rome")
    "`answer` should be 'Paris', got 'Rome'"
    """
    if got is ABSENT:
        return f"`{field}` is missing; it should be {shown(gold)}"
    return f"`{field}` should be {shown(gold)}, got {shown(got)}"


def shown(value: Any, length: int = 400) -> str:
    """The repr of `value`, shortened in the middle; never raises.

    >>> shown("a" * 100, length=11)
    "'aaa...aaa'"
    """
    shortener = reprlib.Repr()
    shortener.maxstring = shortener.maxother = shortener.maxlong = length
    shortener.maxlist = shortener.maxtuple = shortener.maxset = shortener.maxdict = 20
    return shortener.repr(value)
