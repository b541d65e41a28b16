"""A demonstration as it was when it was rendered, and whether it still is that."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from itertools import chain
from operator import attrgetter, is_
from typing import Any
from uuid import UUID

import dspy
from pydantic import BaseModel

__all__ = ["Snapshot", "Snapshots"]

# What cannot change in place.
_FIXED = frozenset(
    {str, int, float, bool, type(None), bytes, date, datetime, time, timedelta, Decimal, UUID}
)
_RECORDS = frozenset({dspy.Example, dspy.Prediction})
_END = object()
_DEEPEST = 12
_STORE = attrgetter("_store")


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


class Snapshots:
    """A whole list of records whose values are all texts, compared in one step.

    >>> demos = [dspy.Example(question="Why?"), dspy.Example(question="How?")]
    >>> snapshots = Snapshots.of(demos)
    >>> demos[1].question = "When?"
    >>> snapshots.hold(demos)
    False
    """

    __slots__ = ("_demos", "_stores")

    def __init__(self, demos: list[Any]) -> None:
        self._demos, self._stores = demos, [dict(demo._store) for demo in demos]

    @classmethod
    def of(cls, demos: list[Any]) -> Snapshots | None:
        """The snapshot of these; `None` where one is no record or holds anything but texts.

        >>> print(Snapshots.of([dspy.Example(tags=[])]))
        None
        """
        if any(type(demo) not in _RECORDS or type(demo._store) is not dict for demo in demos):
            return None
        found = cls(list(demos))
        values = chain.from_iterable(map(dict.values, found._stores))
        return found if all(type(value) is str for value in values) else None

    def hold(self, demos: Sequence[Any]) -> bool:
        """Whether these are the same records with the same texts: to a text only a text is equal.

        The demos are the same objects, so they are all records.
        """
        if len(demos) != len(self._demos) or not all(map(is_, demos, self._demos)):
            return False
        return list(map(_STORE, demos)) == self._stores


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
