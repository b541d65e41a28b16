"""State as plain JSON and back: what a paused or durable run keeps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dspy

from .. import canonical
from ..errors import ProgramError

__all__ = ["from_plain", "plain_values"]

_HISTORY = "dspy.History"  # the one type that comes back as what it was


def plain_values(values: Mapping[str, Any], place: str) -> dict[str, Any]:
    """`values` as plain JSON; what has none is an error that names the key and the place.

    Pydantic values become objects; a `dspy.History` stays one through `from_plain`.

    >>> plain_values({"a": (1, 2)}, "the state")
    {'a': [1, 2]}
    """
    plain = {}
    for key, value in values.items():
        try:
            plain[key] = _plain(value)
        except TypeError as error:
            raise ProgramError(
                f"{key!r} in {place} cannot be kept ({error}): a run that is paused or durable "
                "keeps plain data; keep connections and clients in the node, not in the state"
            ) from error
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, dspy.History):
        return {_HISTORY: canonical.plain(value.messages)}
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return canonical.plain(value)


def from_plain(value: Any) -> Any:
    """What `plain_values` made, with each `dspy.History` as one again.

    >>> past = dspy.History(messages=[{"question": "Why?", "answer": "So."}])
    >>> from_plain(plain_values({"past": past}, "the state"))["past"] == past
    True
    """
    if isinstance(value, dict):
        if set(value) == {_HISTORY}:
            return dspy.History(messages=value[_HISTORY])
        return {key: from_plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [from_plain(one) for one in value]
    return value
