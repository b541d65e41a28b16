"""The texts inside values: of fields, lists, mappings, pydantic models, examples, predictions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import dspy

__all__ = ["mapped", "texts_of"]


def texts_of(value: Any) -> Iterator[str]:
    """Every text in a value, keys of mappings left out.

    >>> list(texts_of({"a": ["x", ("y", 3)]}))
    ['x', 'y']
    """
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item in value:
            yield from texts_of(item)
    elif isinstance(value, (Mapping, dspy.Example)):
        for _, item in value.items():
            yield from texts_of(item)
    elif hasattr(value, "model_dump"):
        for name in type(value).model_fields:
            yield from texts_of(getattr(value, name))


def mapped(value: Any, change: Callable[[str], str]) -> Any:
    """The value with `change` done to every text in it; the value itself where none changed.

    >>> mapped({"a": ["x", 3]}, str.upper)
    {'a': ['X', 3]}
    """
    if isinstance(value, str):
        return change(value)
    if isinstance(value, (list, tuple, set, frozenset)):
        items = [mapped(item, change) for item in value]
        if all(new is old for new, old in zip(items, value)):
            return value
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    if isinstance(value, dspy.Example):
        return value.copy(**{name: mapped(item, change) for name, item in value.items()})
    if isinstance(value, Mapping):
        return {name: mapped(item, change) for name, item in value.items()}
    if hasattr(value, "model_dump"):
        return _model(value, change)
    return value


def _model(value: Any, change: Callable[[str], str]) -> Any:
    old = {name: getattr(value, name) for name in type(value).model_fields}
    new = {name: mapped(item, change) for name, item in old.items()}
    changed = {name: item for name, item in new.items() if item is not old[name]}
    return value.model_copy(update=changed) if changed else value
