"""Texts that a served program is not given: what would reach a model as something else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import dspy
from dspy.adapters.types.base_type import CUSTOM_TYPE_START_IDENTIFIER as MARKER
from pydantic import BaseModel

from ..errors import ProgramError

__all__ = ["check_texts"]


def check_texts(name: str, value: Any) -> None:
    """Nothing, or a `ProgramError` that names the input; every text inside a value is looked at.

    >>> check_texts("question", ["Why?", {"tone": "short"}])
    """
    for text in _texts(value, set()):
        _check(name, text)


def _check(name: str, text: str) -> None:
    if MARKER in text:
        raise ProgramError(
            f"input {name!r} holds DSPy's marker for content parts ({MARKER}): a text with "
            "it could pose as an image or file. Take it out, or pass a dspy.Image"
        )
    try:
        text.encode()
    except UnicodeEncodeError as error:
        half = text[error.start]
        raise ProgramError(
            f"input {name!r} holds half of a character ({half!a}), which no model can be sent: "
            "repair the text, as text.encode('utf-8', 'replace').decode() does"
        ) from None


def _texts(value: Any, seen: set[int]) -> Iterator[str]:
    """Every text in a value, each container looked into once."""
    if isinstance(value, str):
        yield value
    elif id(value) not in seen:
        seen.add(id(value))
        for part in _contents(value):
            yield from _texts(part, seen)


def _contents(value: Any) -> Iterable[Any]:
    if isinstance(value, Mapping):
        return [*value.keys(), *value.values()]
    if isinstance(value, list | tuple | set | frozenset):
        return value
    if isinstance(value, dspy.Example):
        return list(value.toDict().values())
    if isinstance(value, BaseModel):
        return vars(value).values()
    return ()
