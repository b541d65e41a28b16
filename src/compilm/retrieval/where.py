"""Which passages may be found: conditions on their metadata, as data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from ..errors import UsageError

__all__ = ["Where", "checked_where", "fitting"]

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
    if where is not None and not isinstance(where, Mapping):
        raise UsageError(f"where is {where!r}: give conditions by key, {{'plan': 'gold'}}")
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


def fitting(where: Where | None) -> Callable[[Mapping[str, Any]], bool]:
    """Whether metadata keeps every condition; raises as `checked_where` does.

    >>> fits = fitting({"plan": "gold", "year": [2025, 2026]})
    >>> fits({"plan": "gold", "year": 2026}), fits({"plan": "gold", "year": True})
    (True, False)
    """
    wanted = {key: frozenset(map(_marked, one)) for key, one in checked_where(where).items()}

    def fits(metadata: Mapping[str, Any]) -> bool:
        return all(
            isinstance(metadata.get(key), str | int | float) and _marked(metadata[key]) in choices
            for key, choices in wanted.items()
        )

    return fits


def _marked(value: Scalar) -> tuple[bool, Scalar]:
    """Equal for equal values, but for `True` and 1."""
    return isinstance(value, bool), value
