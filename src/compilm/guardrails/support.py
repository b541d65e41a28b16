"""Whether a sentence is supported by a text: its numbers, names, negations and words are there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from typing import Any

from .redaction.lists import is_common, known
from .redaction.values import texts_of
from .sentences import sentences

__all__ = ["Support", "cited", "sources_of", "supported", "without_citations"]


class Support(Enum):
    """What a text says of a sentence; the value is how that is told."""

    FULL = "is supported"
    NUMBER = "a number that its source does not have"
    NAME = "a name that its source does not have"
    DENIED = "a negation that its source does not have, or lacks"
    LITTLE = "words that its source does not have"


_CITATION = re.compile(  # a placeholder of the vault, `[NAME_1]`, is none
    r"\[(?![A-Z][A-Z_]*_\d+\])\s*([\w.:#-]{1,40}(?:\s*[,;]\s*[\w.:#-]{1,40})*)\s*\]"
)
_NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:[.,]\d+)*(?:st|nd|rd|th)?\b|(?<!\w)\d+(?=[%€$£a-z])")
_MONTH = (
    r"(jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?"
    r"|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
)
_MONTH_AND_DAY = re.compile(rf"\b{_MONTH}\.?,?\s+\d{{1,4}}|\d(?:st|nd|rd|th)?\s+{_MONTH}\b", re.I)
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_NOT = known("negations")
_STOP = known("function")
_MONTH_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_SPELLED = {
    "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8",
    "nine": "9", "ten": "10", "eleven": "11", "twelve": "12", "thirteen": "13", "fourteen": "14",
    "fifteen": "15", "sixteen": "16", "seventeen": "17", "eighteen": "18", "nineteen": "19",
    "twenty": "20", "thirty": "30", "forty": "40", "fifty": "50", "sixty": "60", "hundred": "100",
    "thousand": "1000",
}  # fmt: skip
_MONTHS = {month: place for place, month in enumerate(_MONTH_NAMES, start=1)}


def cited(sentence: str) -> tuple[str, ...]:
    """The ids that a sentence cites, in order.

    >>> cited("It rained on [DATE_1] [1, 3]. [doc-7]")
    ('1', '3', 'doc-7')
    """
    return tuple(
        each.strip()
        for match in _CITATION.finditer(sentence)
        for each in re.split("[,;]", match[1])
    )


def without_citations(sentence: str) -> str:
    """The sentence alone.

    >>> without_citations("It rained [1].")
    'It rained.'
    """
    return re.sub(r"\s+([.!?,;])", r"\1", _CITATION.sub("", sentence)).strip()


def sources_of(value: Any) -> dict[str, str]:
    """The texts that can be cited, by id: their place from 1, their own `id`, or their key.

    >>> sources_of([{"id": "p7", "text": "It rained."}])
    {'1': 'id: p7\\ntext: It rained.', 'p7': 'id: p7\\ntext: It rained.'}
    """
    if isinstance(value, Mapping) and not ("id" in value and "text" in value):
        return {str(name): "\n".join(_texts(item)) for name, item in value.items()}
    items = value if isinstance(value, (list, tuple)) else [] if value is None else [value]
    found: dict[str, str] = {}
    for place, item in enumerate(items, start=1):
        text = "\n".join(_texts(item))
        found[str(place)] = text
        own = item.get("id") if isinstance(item, Mapping) else getattr(item, "id", None)
        if own is not None:
            found[str(own)] = text
    return found


def _texts(value: Any) -> list[str]:
    """Texts of a record, and its numbers, which a sentence may repeat."""
    if isinstance(value, (bool, int, float)):
        return [str(value)]
    if isinstance(value, Mapping):
        return [f"{key}: {text}" for key, item in value.items() for text in _texts(item)]
    if isinstance(value, (list, tuple)):
        return [text for item in value for text in _texts(item)]
    return list(texts_of(value))


def supported(sentence: str, source: str, share: float) -> Support:
    """Whether the source supports the sentence, and if not, what is missing; in that order:
    numbers and dates, names, negations, words.

    >>> supported("The fee is not 3 euros.", "The fee is 3 euros.", 0.6)
    <Support.DENIED: 'a negation that its source does not have, or lacks'>
    """
    if not numbers(sentence) <= numbers(source):
        return Support.NUMBER
    if not _names(sentence) <= _stems(source):
        return Support.NAME
    own = _stems(sentence)
    nearest = _nearest(own, source)
    if _negations(sentence) % 2 != _negations(nearest) % 2 and own & _stems(nearest):
        return Support.DENIED
    held = len(own & _stems(source)) / len(own) if own else 1.0
    return Support.FULL if held >= share else Support.LITTLE


def numbers(text: str) -> set[str]:
    """The numbers of a text in one form: digits, spelled ones, months of dates.

    >>> sorted(numbers("three of 1,000 on 4 May 2021"))
    ['1000', '2021', '3', '4', '5/']
    """
    found = {_plain(match[0]) for match in _NUMBER.finditer(text)}
    words = [match[0].casefold() for match in _WORD.finditer(text)]
    found |= {_SPELLED[word] for word in words if word in _SPELLED}
    for match in _MONTH_AND_DAY.finditer(text):
        found.add(f"{_MONTHS[(match[1] or match[2])[:3].casefold()]}/")
    return found


def _plain(number: str) -> str:
    bare = re.sub(r"(?:st|nd|rd|th)$", "", number).lstrip("+")
    bare = re.sub(r",(?=\d{3}(?!\d))", "", bare).replace(",", ".")
    if re.fullmatch(r"-?\d+\.0*", bare):
        bare = bare.partition(".")[0]
    return re.sub(r"(\.\d*?)0+$", r"\1", bare).rstrip(".") if "." in bare else bare


def _stems(text: str) -> set[str]:
    return {_stem(match[0]) for match in _WORD.finditer(text)} - {_stem(word) for word in _STOP}


def _stem(word: str) -> str:
    low = re.sub(r"['’]s$|n['’]t$", "", word.casefold())
    for end in ("ing", "edly", "ed", "ies", "es", "s", "ly"):
        if low.endswith(end) and len(low) - len(end) >= 3:
            return low[: -len(end)].rstrip("e")
    return low.rstrip("e") if len(low) > 3 else low


def _names(sentence: str) -> set[str]:
    """Words with a capital where none was needed; the first only if it is known for a name."""
    found = set()
    for place, match in enumerate(_WORD.finditer(sentence)):
        word = match[0]
        low = word.casefold()
        if not place and not any(low in known(each) for each in ("given", "family", "places")):
            continue
        if (
            word[0].isupper()
            and low not in _STOP | _MONTHS.keys()
            and (place or not is_common(low))
        ):
            found.add(_stem(word))
    return found


def _negations(text: str) -> int:
    words = [match[0].casefold().replace("’", "'") for match in _WORD.finditer(text)]
    return sum(word in _NOT or word.endswith("n't") for word in words)


def _nearest(own: set[str], source: str) -> str:
    """The sentence of the source that shares most words with these."""
    return max(sentences(source) or [source], key=lambda each: len(own & _stems(each)))
