"""Which passages may be found: conditions on their metadata, as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from ..errors import UsageError

__all__ = ["Where", "checked_where", "fits"]

Scalar: TypeAlias = "str | int | float | bool"
Where: TypeAlias = "Mapping[str, Scalar | Sequence[Scalar]]"
"""By key of the metadata the value it must have, or a list of values of which it must have one.

All conditions must hold. A key that is missing fits nothing; `True` is not 1, and 1 is 1.0.
"""


def checked_where(where: Where | None) -> dict[str, list[Scalar]]:
    """The conditions with every value as a list; `UsageError` for what is no condition.

    >>> checked_where({"plan": "gold", "year": (2025, 2026)})
    {'plan': ['gold'], 'year': [2025, 2026]}
    """
    found: dict[str, list[Scalar]] = {}
    for key, value in (where or {}).items():
        choices = [value] if isinstance(value, str | int | float) else value
        if not isinstance(key, str) or not isinstance(choices, list | tuple | set | frozenset):
            raise _wrong(key, value)
        if not all(isinstance(each, str | int | float) for each in choices):
            raise _wrong(key, value)
        found[key] = list(choices)
    return found


def _wrong(key: object, value: object) -> UsageError:
    return UsageError(
        f"where[{key!r}] is {value!r}: give a text, a number, a boolean, or a list of them"
    )


def fits(metadata: Mapping[str, Any], where: Mapping[str, Sequence[Scalar]]) -> bool:
    """Whether metadata keeps every condition of `checked_where`.

    >>> fits({"plan": "gold", "year": 2026}, {"plan": ["gold"], "year": [2025, 2026]})
    True
    >>> fits({"year": True}, {"year": [1]})
    False
    """
    return all(
        key in metadata and any(_same(metadata[key], one) for one in choices)
        for key, choices in where.items()
    )


def _same(value: Any, other: Scalar) -> bool:
    if isinstance(value, bool) or isinstance(other, bool):
        return value is other
    return bool(value == other)
