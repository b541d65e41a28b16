"""A request to an engine as text: what DSPy's adapters made of a signature, demos and inputs."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from functools import lru_cache

from dspy.lm15 import Message, Request

from .response import Turn

__all__ = ["Asked"]

_FIELD = re.compile(r"^\d+\. `(\w+)`", re.MULTILINE)
_OUTPUTS = "Your output fields are:"
_KEPT = 512  # system texts kept read
_TEXTS: dict[int, tuple[Message, str]] = {}
_MOST_TEXTS = 4096


@dataclass(frozen=True, slots=True)
class Asked:
    """The texts of a request, the fields its system text lists, a key of it all and its length."""

    system: str
    turns: tuple[Turn, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    key: str = field(repr=False)
    length: int

    @classmethod
    def of(cls, request: Request) -> Asked:
        system = request.system
        if not isinstance(system, str):
            system = "".join(getattr(part, "text", "") for part in system or ())
        turns = tuple((message.role, _text(message)) for message in request.messages)
        told = "\n\0".join([system, *(text for _, text in turns)])
        key = hashlib.blake2b(told.encode(), digest_size=12).hexdigest()
        return cls(system, turns, *_fields(system), key, len(told))


def _text(message: Message) -> str:
    """The text of a message; demonstrations come as the same objects, call after call."""
    known = _TEXTS.get(id(message))
    if known is None or known[0] is not message:
        if len(_TEXTS) >= _MOST_TEXTS:
            _TEXTS.clear()
        known = _TEXTS[id(message)] = message, message.text or ""
    return known[1]


@lru_cache(maxsize=_KEPT)
def _fields(system: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the input and output fields that a system text of DSPy's adapters lists."""
    before, _, after = system.partition(_OUTPUTS)
    listed = after.partition("All interactions")[0]
    return tuple(_FIELD.findall(before)), tuple(_FIELD.findall(listed))
