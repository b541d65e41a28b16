"""Values as plain JSON, taken at one instant: what the program does to them later is not told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ... import canonical

__all__ = ["UNREADABLE", "snapshot", "snapshots"]

UNREADABLE = "compilm_unreadable"
"""The key under which stands the type of a value that has no JSON form."""


def snapshot(value: Any) -> Any:
    """The value as plain JSON; a prediction or example by its fields.

    >>> snapshot({"a": (1, "b")}), snapshot(object())
    ({'a': [1, 'b']}, {'compilm_unreadable': 'object'})
    """
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if hasattr(value, "toDict"):
        return snapshots(dict(value.items()))
    if isinstance(value, dict):
        return snapshots(value)
    if isinstance(value, (list, tuple)):
        return [snapshot(item) for item in value]
    try:
        return canonical.plain(value)
    except Exception:  # border: a value's own conversion may fail in any way
        return {UNREADABLE: type(value).__name__}


def snapshots(values: Mapping[str, Any]) -> dict[str, Any]:
    """Each value by its name.

    >>> snapshots({"question": "2+2?", "n": 3})
    {'question': '2+2?', 'n': 3}
    """
    return {str(name): snapshot(value) for name, value in values.items()}
