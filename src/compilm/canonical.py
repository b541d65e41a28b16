"""One canonical JSON and one digest, under every key, fingerprint and artifact.

Canonical means: keys sorted, no spaces, UTF-8 as it is, numbers as Python's shortest repr, no NaN
and no infinities. Equal values give equal bytes on every machine and Python version.
"""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any, TypeAlias

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

__all__ = ["Json", "digest", "dumps", "loads", "plain", "short", "text_digest"]


_ENCODER = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
)


def dumps(value: Any) -> str:
    """The canonical JSON text of `value`.

    >>> dumps({"b": 1, "a": [True, None, "é"]})
    '{"a":[true,null,"é"],"b":1}'
    """
    return _ENCODER.encode(value)


def loads(text: str | bytes) -> Any:
    """JSON read strictly: a repeated key, NaN or an infinity is a `ValueError`.

    >>> loads('{"a":1,"a":2}')
    Traceback (most recent call last):
    ValueError: key 'a' stands twice in one object
    """
    return json.loads(
        text,
        object_pairs_hook=_no_repeats,
        parse_constant=_no_constant,
        parse_float=_finite,
    )


def digest(value: Any) -> str:
    """`sha256:` and 64 hex digits over the canonical JSON of `value`.

    >>> digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    True
    """
    return text_digest(dumps(value))


def text_digest(text: str) -> str:
    """`sha256:` and 64 hex digits over `text` in UTF-8 (lone surrogates kept apart).

    >>> text_digest("")[:19]
    'sha256:e3b0c44298fc'
    """
    return "sha256:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def short(full: str, length: int = 12) -> str:
    """The first hex digits of a digest, for people to read.

    >>> short("sha256:e3b0c44298fc1c149afb")
    'e3b0c44298fc'
    """
    return full.removeprefix("sha256:")[:length]


def plain(value: Any) -> Any:
    """`value` as plain JSON data: pydantic models dumped, tuples listed, keys as text.

    What has no JSON form raises `TypeError` naming its type; NaN and infinities too.

    >>> plain({"a": (1, 2)})
    {'a': [1, 2]}
    """
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise TypeError(f"{value!r} has no JSON form")
        return value
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted((plain(item) for item in value), key=dumps)
    return _unwrapped(value)


def _unwrapped(value: Any) -> Any:
    """The plain form of values that carry one: pydantic, dspy, numpy scalars, dates."""
    if hasattr(value, "model_dump"):
        return plain(value.model_dump(mode="json"))
    if hasattr(value, "toDict"):
        return plain(value.toDict())
    if hasattr(value, "item") and not hasattr(value, "__len__"):
        return plain(value.item())
    if hasattr(value, "isoformat"):
        return value.isoformat()
    raise TypeError(f"a {type(value).__name__} has no JSON form")


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"key {key!r} stands twice in one object")
        found[key] = value
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is too large a number")
    return number
