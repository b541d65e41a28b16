"""What is found by another finding: a surname beside a name, a part of a name that comes again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from .finding import Finding
from .lists import is_common, known

__all__ = ["again", "beside"]

_BEFORE_NAME = re.compile(r"(?<!\w)(?P<name>[A-ZÀ-Þ][a-zß-ÿ]{2,20})(?: and | & )$")
_AFTER_NAME = re.compile(
    r"(?:, | and |, and | & )(?P<name>[A-ZÀ-Þ][a-zß-ÿ]{2,20})(?!\w)(?:['’]s)?\s?(?P<next>\w*)"
)
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_REACH = 40


def beside(text: str, findings: Iterable[Finding]) -> Iterator[Finding]:
    """Surnames that are words as well, beside a name that was found.

    >>> text = "Ada Quill and Brown came"
    >>> [text[each.start : each.end] for each in beside(text, [Finding(0, 9, "NAME", 0.9)])]
    ['Brown']
    """
    for each in findings:
        if each.kind != "NAME" or each.score < 0.5:
            continue
        begin = max(0, each.start - _REACH)
        before = _BEFORE_NAME.search(text[begin : each.start])
        after = _AFTER_NAME.match(text[each.end : each.end + _REACH])
        for found, offset in ((before, begin), (after, each.end)):
            if found is not None and _is_surname(found):
                start, end = found.span("name")
                yield Finding(offset + start, offset + end, "NAME", 0.6, "beside")


def _is_surname(found: re.Match[str]) -> bool:
    follows = found.groupdict().get("next", "")
    return found["name"].casefold() in known("family") and follows not in known("followers")


def again(text: str, findings: Iterable[Finding], most: float = 0.6) -> Iterator[Finding]:
    """Other places where a part of a name that was found stands alone, with its capital.

    >>> text = "Ada Quill came. Later Quill left."
    >>> [text[each.start : each.end] for each in again(text, [Finding(0, 9, "NAME", 0.9)])]
    ['Ada', 'Quill', 'Quill']
    """
    parts: dict[str, float] = {}
    for each in findings:
        if each.kind == "NAME":
            for match in _WORD.finditer(text[each.start : each.end]):
                word = match[0]
                if len(word) > 2 and word[0].isupper() and not is_common(word):
                    parts[word] = max(parts.get(word, 0.0), min(most, each.score - 0.05))
    if parts:
        form = "|".join(re.escape(word) for word in sorted(parts, key=len, reverse=True))
        for match in re.finditer(rf"(?<!\w)(?:{form})(?!\w)", text):
            yield Finding(*match.span(), "NAME", parts[match[0]], "again")
