"""Documents cut into passages that know where they stand."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Literal, TypeAlias

from ..errors import UsageError
from .passages import Document, Passage

__all__ = ["By", "Span", "chunked", "chunks", "sentence_spans"]

By: TypeAlias = Literal["sentences", "words"]
Span: TypeAlias = tuple[int, int]

_WORD = re.compile(r"\S+")
# A line that is left empty ends a sentence without a point: headings, items of lists.
_END = re.compile(r"""(?<![.!?…])[.!?…]++["'”’)\]]*+(?=\s)|[。！？]|\n\s*\n""")
_SHORT = re.compile(
    r"(?:\b(?:mr|mrs|ms|dr|prof|st|jr|sr|no|nos|vs|etc|fig|sec|art|approx|inc|ltd|co|corp|dept"
    r"|jan|feb|mar|apr|jun|jul|aug|sep|sept|oct|nov|dec)|\b[a-z]|\be\.g|\bi\.e|\bu\.s)\.$",
    re.IGNORECASE,
)


def sentence_spans(text: str) -> list[Span]:
    """Where the sentences of `text` start and end, without the space around them.

    A point after an English short form, an initial, or before a small letter ends nothing.

    >>> text = "Dr. Bo fell.  He is fine!"
    >>> [text[start:end] for start, end in sentence_spans(text)]
    ['Dr. Bo fell.', 'He is fine!']
    """
    found: list[Span] = []
    start = 0
    for match in _END.finditer(text):
        end = match.end()
        if match[0].startswith(".") and not _ends(text, match):
            continue
        _keep(found, text, start, end)
        start = end
    _keep(found, text, start, len(text))
    return found


def _ends(text: str, match: re.Match[str]) -> bool:
    after = text[match.end() : match.end() + 40].lstrip()
    before = text[max(0, match.start() - 8) : match.start() + 1]
    return not (after[:1].islower() or (match[0] == "." and _SHORT.search(before)))


def _keep(found: list[Span], text: str, start: int, end: int) -> None:
    part = text[start:end]
    if part.strip():
        left = len(part) - len(part.lstrip())
        found.append((start + left, start + len(part.rstrip())))


def chunks(
    document: Document, *, words: int = 120, overlap: int = 20, by: By = "sentences"
) -> list[Passage]:
    """The document as passages of at most `words` words; each has the ends of the one before.

    Passages are runs of whole sentences, and share about `overlap` words, in whole sentences too:
    none, where the last sentence is longer than that. A sentence longer than `words` is cut by
    words; with `by="words"` everything is. Ids are `<document>#<number>`, the metadata is the
    document's. Words are what stands between spaces: for scripts without spaces, cut by other
    means. Every word of the document is in a passage.

    Raises:
        UsageError: fewer than 1 word, or an overlap of half of them or more.

    >>> text = "Call us first. Then fax the form. We answer in 30 days."
    >>> one, other = chunks(Document("guide", text), words=9, overlap=4)
    >>> one.text, other.text
    ('Call us first. Then fax the form.', 'Then fax the form. We answer in 30 days.')
    >>> other.id, text[other.start : other.end] == other.text
    ('guide#1', True)
    """
    if words < 1 or not 0 <= overlap <= words / 2:
        raise UsageError(
            f"passages of {words} words that share {overlap}: give 1 word or more, and an overlap "
            "of half of that at most"
        )
    units = list(_units(document.text, words, by))
    return [
        Passage(
            id=f"{document.id}#{number}",
            text=document.text[start:end],
            metadata=document.metadata,
            document=document.id,
            start=start,
            end=end,
        )
        for number, (start, end) in enumerate(_runs(units, words, overlap))
    ]


def chunked(
    documents: Iterable[Document], *, words: int = 120, overlap: int = 20, by: By = "sentences"
) -> list[Passage]:
    """The passages of many documents, in order; see `chunks`.

    >>> [each.id for each in chunked([Document("a", "One."), Document("b", "Two.")])]
    ['a#0', 'b#0']
    """
    if isinstance(documents, Document):
        documents = [documents]
    return [
        passage
        for document in documents
        for passage in chunks(document, words=words, overlap=overlap, by=by)
    ]


class _Unit:
    """What is not cut: a sentence, or a word, with its place and how many words it has."""

    __slots__ = ("count", "end", "start")

    def __init__(self, start: int, end: int, count: int) -> None:
        self.start, self.end, self.count = start, end, count


def _units(text: str, most: int, by: By) -> Iterator[_Unit]:
    sentences = sentence_spans(text) if by == "sentences" else [(0, len(text))]
    for start, end in sentences:
        spans = [match.span() for match in _WORD.finditer(text, start, end)]
        if by == "sentences" and len(spans) <= most:
            yield _Unit(start, end, len(spans))
        else:
            yield from (_Unit(first, last, 1) for first, last in spans)


def _runs(units: list[_Unit], most: int, overlap: int) -> Iterator[Span]:
    """Runs of units of at most `most` words, each beginning with at most `overlap` of the last."""
    first = 0
    while first < len(units):
        last, count = first, 0
        while last < len(units) and count + units[last].count <= most:
            count += units[last].count
            last += 1
        yield units[first].start, units[last - 1].end
        if last == len(units):
            return
        first = _shared(units, first, last, min(overlap, most - units[last].count))


def _shared(units: list[_Unit], first: int, last: int, overlap: int) -> int:
    """Where the next run begins: so far back that it shares at most `overlap` words."""
    start, count = last, 0
    while start - 1 > first and count + units[start - 1].count <= overlap:
        start -= 1
        count += units[start].count
    return start
