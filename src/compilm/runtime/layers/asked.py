"""What of a request may be near another, and what must be equal: its texts and its frame."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, NamedTuple

from dspy import lm15

from ... import canonical
from ..near.reading import LONGEST, Reading, read
from .keys import digest_of

__all__ = ["Asked", "asked_of"]

# How DSPy's adapters set the inputs apart, and what they say after the last: the same each time.
_FORM = re.compile(r"(^\[\[ ## \w+ ## \]\]$|^</?\w+>$|\n\nRespond with [^\n]*\Z)", re.MULTILINE)


class Asked(NamedTuple):
    """A request in two: the digest of what must be equal, and the texts that may be near."""

    frame: str
    texts: tuple[str, ...]
    readings: tuple[Reading, ...]

    @property
    def key(self) -> str:
        """The digest of the question: nothing of it can be read there."""
        return canonical.digest([self.frame, *self.texts])


def asked_of(request: Any, *whose: Any) -> Asked | None:
    """The request in two; `None` where nothing of it may be near.

    Near may be the inputs of the last message, if they are English texts of at most 1,000
    characters; all else must be equal, other inputs too. With tools, pictures, sounds or files
    nothing is near.

    >>> from compilm.testing.layer_kit import request
    >>> form = "[[ ## question ## ]]\\n{}\\n\\n[[ ## code ## ]]\\nA-1\\n\\nRespond with {}."
    >>> one = asked_of(request(form.format("What is it?", "a field")))
    >>> one.texts
    ('What is it?',)
    >>> one.frame == asked_of(request(form.format("Who are you?", "a field"))).frame
    True
    >>> one.frame == asked_of(request(form.format("What is it?", "JSON"))).frame
    False
    >>> print(asked_of(request("Was ist das?")))
    None
    """
    if request.tools or not _is_text(request):
        return None
    last = request.messages[-1]
    pieces = [piece for part in last.parts for piece in [*_FORM.split(part.text), ""]]
    values = {place: piece for place, piece in enumerate(pieces) if place % 2 == 0}
    readings = {place: read(text) for place, text in values.items() if len(text) <= LONGEST}
    known = {place: found for place, found in readings.items() if found.is_known}
    if not known:
        return None
    form = ["" if place in known else piece for place, piece in enumerate(pieces)]
    rest = replace(request, messages=(*request.messages[:-1], lm15.Message.user("")))
    texts = tuple(pieces[place].strip() for place in known)
    return Asked(digest_of(rest, form, list(known), *whose), texts, tuple(known.values()))


def _is_text(request: Any) -> bool:
    """Whether it is text alone, and the last message is what a user asks."""
    parts = [part for message in request.messages for part in message.parts]
    if isinstance(request.system, tuple):
        parts += request.system
    is_plain = all(type(part) is lm15.TextPart and not part.continuation for part in parts)
    is_own = not any(message.continuation for message in request.messages)
    return is_plain and is_own and request.messages[-1].role == "user"
