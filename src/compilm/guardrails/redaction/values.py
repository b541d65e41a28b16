"""The texts inside values: of fields, lists, mappings, pydantic models, examples, predictions."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import dspy

__all__ = ["mapped", "texts_of"]


def texts_of(value: Any) -> Iterator[str]:
    """Every text in a value, keys of mappings too; pictures and sound have none.

    >>> list(texts_of({"a": ["x", ("y", 3)]}))
    ['a', 'x', 'y']
    """
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item in value:
            yield from texts_of(item)
    elif isinstance(value, dspy.Example):
        for _, item in value.items():
            yield from texts_of(item)
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from texts_of(name)
            yield from texts_of(item)
    else:
        for item in _parts(value).values():
            yield from texts_of(item)


def mapped(value: Any, change: Callable[[str], str]) -> Any:
    """The value with `change` done to every text in it; the value itself where none changed.

    >>> mapped({"a": ["x", 3]}, str.upper)
    {'A': ['X', 3]}
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
        return {mapped(name, change): mapped(item, change) for name, item in value.items()}
    old = _parts(value)
    new = {name: mapped(item, change) for name, item in old.items()}
    changed = {name: item for name, item in new.items() if item is not old[name]}
    return _changed(value, changed) if changed else value


def _parts(value: Any) -> dict[str, Any]:
    """The fields of a pydantic model, with those that it only allows, or of a dataclass."""
    if isinstance(value, (dspy.Image, dspy.Audio)):
        return {}
    if hasattr(value, "model_dump"):
        fields = {name: getattr(value, name) for name in type(value).model_fields}
        return {**fields, **(getattr(value, "model_extra", None) or {})}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
    return {}


def _changed(value: Any, changed: dict[str, Any]) -> Any:
    if hasattr(value, "model_copy"):
        return value.model_copy(update=changed)
    made = copy.copy(value)  # no `replace`: a check at construction may not know placeholders
    for name, item in changed.items():
        object.__setattr__(made, name, item)
    return made
