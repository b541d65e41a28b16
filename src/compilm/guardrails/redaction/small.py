"""Names and places in texts without any capitals."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .finding import Finding
from .lists import is_common, is_medicine, known
from .runs import Word

__all__ = ["TOLD", "small"]

_SMALL = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_SAID_OF = re.compile(r"\b(?:of|by|about|called)\s$")
TOLD = re.compile(
    r"\b(?:my name is|named|mr\.?|mrs\.?|ms\.?|dr\.?|i['’]m|change it to|call me)\s+$"
)


def small(text: str) -> Iterator[Finding]:
    """Names and places in a text without any capitals: by lists and by what introduces them."""
    words = [Word(match[0], *match.span()) for match in _SMALL.finditer(text)]
    end = 0
    for place, word in enumerate(words):
        if word.start < end or is_common(word.text):
            continue
        told = TOLD.search(text[max(0, word.start - 40) : word.start]) is not None
        if word.low in known("given") or told:
            last = _surname(text, words, place)
            end = last.end
            yield Finding(word.start, last.end, "NAME", 0.7 if told else 0.55, "small")
        elif _is_said_of(text, word):
            yield Finding(word.start, word.end, "NAME", 0.5, "small")
        elif word.low in known("places") and not is_medicine(word.text):
            yield Finding(word.start, word.end, "PLACE", 0.55, "small")


def _is_said_of(text: str, word: Word) -> bool:
    """Whether a longer word that no list has stands after `of`, `by` or `about`."""
    listed = is_medicine(word.text) or word.low in known("places")
    return (
        len(word.text) > 4
        and not listed
        and _SAID_OF.search(text[max(0, word.start - 12) : word.start]) is not None
    )


def _surname(text: str, words: list[Word], place: int) -> Word:
    """The last word of the name that begins at `place`."""
    last = words[place]
    for word in words[place + 1 : place + 4]:
        gap = text[last.end : word.start]
        short = len(word.text) == 1
        if gap not in (" ", ". ") or (is_common(word.text) and not short):
            break
        if word.text.endswith(("'s", "’s")):
            return Word(word.text[:-2], word.start, word.end - 2)
        last = word
    return last
