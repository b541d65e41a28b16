"""A demonstration as it was when it was rendered, and whether it still is that."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from operator import is_
from typing import Any
from uuid import UUID

import dspy
from pydantic import BaseModel

__all__ = ["Snapshot"]

# What cannot change in place.
_FIXED = frozenset(
    {str, int, float, bool, type(None), bytes, date, datetime, time, timedelta, Decimal, UUID}
)
_RECORDS = frozenset({dspy.Example, dspy.Prediction})
_END = object()
_DEEPEST = 12


class Snapshot:
    """The objects that a demonstration consisted of, down to those that cannot change.

    >>> demo = dspy.Example(question="Why?", tags=["a"])
    >>> snapshot = Snapshot.of(demo)
    >>> snapshot.holds(demo)
    True
    >>> demo.tags.append("b")
    >>> snapshot.holds(demo)
    False
    """

    __slots__ = ("_deep", "_names", "_values")

    def __init__(self, store: dict[str, Any], deep: list[Any] | None) -> None:
        self._names, self._values, self._deep = list(store), list(store.values()), deep

    @classmethod
    def of(cls, demo: Any) -> Snapshot | None:
        """The snapshot of a demo; `None` where it could change unseen.

        >>> print(Snapshot.of({"question": object()}))
        None
        """
        store = _store(demo)
        if store is None:
            return None
        if all(type(value) in _FIXED for value in store.values()):
            return cls(store, None)
        deep = _walked(store)
        return None if deep is None else cls(store, deep)

    def holds(self, demo: Any) -> bool:
        """Whether the demo consists of the same objects still."""
        store = _store(demo)
        if store is None or len(store) != len(self._names):
            return False
        if not (all(map(is_, store, self._names)) and all(map(is_, store.values(), self._values))):
            return False
        if self._deep is None:
            return True
        now = _walked(store)
        return now is not None and len(now) == len(self._deep) and all(map(is_, now, self._deep))


def _store(demo: Any) -> dict[str, Any] | None:
    """Where the demo keeps its values, for the kinds of demos that are known."""
    if type(demo) in _RECORDS:
        return demo._store if type(demo._store) is dict else None
    return demo if type(demo) is dict else None


def _walked(store: dict[str, Any]) -> list[Any] | None:
    found: list[Any] = []
    return found if _walk(store, found, 0) else None


def _walk(value: Any, found: list[Any], depth: int) -> bool:
    """Append every object in `value`; False where one is of a kind that is not known."""
    kind = type(value)
    found.append(value)
    if kind in _FIXED or isinstance(value, Enum | type):
        return True
    if depth > _DEEPEST:
        return False
    if kind is dict:
        parts = [*value, *value.values()]
    elif kind in (list, tuple, set, frozenset):
        parts = list(value)
    elif isinstance(value, BaseModel) and _is_written_by_fields(kind):
        parts = [*vars(value).values(), *(value.model_extra or {}).values()]
    else:
        return False
    known = all(_walk(part, found, depth + 1) for part in parts)
    found.append(_END)
    return known


def _is_written_by_fields(kind: type[BaseModel]) -> bool:
    """Whether what such an object looks like in a prompt depends on its fields alone."""
    own = kind.__pydantic_decorators__
    if kind.model_computed_fields or own.field_serializers:
        return False
    return not own.model_serializers or kind.__module__.startswith("dspy.")
