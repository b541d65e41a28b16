"""Answers that are too long are cut, and say so."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from typing import Any, NamedTuple

from pydantic import BaseModel

__all__ = ["Capped", "capped"]

_SHORT = (int, float, bool, type(None))


class Capped(NamedTuple):
    """A value, and how many characters of it were left out."""

    value: Any
    left_out: int


def capped(value: Any, most: int) -> Capped:
    """`value` if it has at most `most` characters (as JSON where it is no text), else a text of it.

    What is neither text nor JSON (a picture, a table) passes as it is.

    >>> capped("a" * 12, 10).value
    'aaaaaaaaaa\\n[cut: 2 of 12 characters left out]'
    >>> capped({"rows": 3}, 20)
    Capped(value={'rows': 3}, left_out=0)
    """
    if isinstance(value, _SHORT):
        return Capped(value, 0)
    text = value if isinstance(value, str) else _json(value)
    if text is None or len(text) <= most:
        return Capped(value, 0)
    left_out = len(text) - most
    note = f"\n[cut: {left_out:,} of {len(text):,} characters left out]"
    return Capped(text[:most] + note, left_out)


def _json(value: Any) -> str | None:
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json") if not hasattr(value, "format") else None
    elif is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if not isinstance(value, (Mapping, list, tuple, set, frozenset)):
        return None
    items = list(value) if isinstance(value, (set, frozenset)) else value
    return json.dumps(items, ensure_ascii=False, default=str)
