"""Firms whose names are plain words: known by what is said of them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .finding import Finding
from .lists import known

__all__ = ["firms"]

_WORD = r"[A-ZÀ-Þ][\w&'’-]{1,30}"
_NAME = rf"(?P<name>(?:{_WORD} (?:(?:and|of|&) )?){{1,5}}{_WORD})"
_TRADE = r"(?:agency|company|firm|corporation|start-?up|business|brand|retailer|maker)"
_SAID = (
    rf"(?:office|headquarters|employees?|ceo|founders?|shareholders?|{_TRADE}"
    r"|hired|fired|launched|acquired|was founded|was acquired|employs|sells|makes"
    rf"|is an? (?:\w{{1,20}} ){{0,3}}{_TRADE})\b"
)
_FORMS = (
    re.compile(rf"(?<![\w-])(?:The )?{_NAME} {_SAID}"),
    re.compile(r"\b(?:works?|worked|working) (?:for|at) (?:the )?" + _NAME),
    re.compile(rf"(?i:\b(?:ceo|founders?|employees?|head|owner|director) of (?:the )?){_NAME}"),
    re.compile(rf"(?i:\b(?:{_TRADE} (?:called|named)|employer is) ){_NAME}"),
)


def firms(text: str) -> Iterator[Finding]:
    """Two or more words with capitals of which something is said that is said of firms.

    >>> text = "The Clear Water Works office is closed. I work for Better Days."
    >>> [text[each.start : each.end] for each in firms(text)]
    ['Clear Water Works', 'Better Days']
    """
    for form in _FORMS:
        for match in form.finditer(text):
            if match["name"].split(" ")[0].casefold() not in known("function"):
                yield Finding(*match.span("name"), "ORGANIZATION", 0.6, "firm")
