"""Blocks of short lines, as on a card or at the head of a letter: lines that nothing else knows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from .finding import Finding

__all__ = ["blocks"]

_LINE = re.compile(r"[ \t>*|]{0,8}(?P<said>[^\n]{0,80})")
_SHORT = re.compile(r"[^\W\d_][^\n?!:;]{1,60}")
_TOLD = frozenset({"ADDRESS", "PHONE", "NAME", "EMAIL", "PLACE", "ORGANIZATION"})


def blocks(text: str, findings: Iterable[Finding]) -> Iterator[Finding]:
    """Lines of one to five words between lines that say who and where.

    >>> text = "Ada Quill\\nBluewater\\n14 Mill Lane\\nFairview"
    >>> sure = [Finding(0, 9, "NAME", 0.9), Finding(20, 32, "ADDRESS", 0.9)]
    >>> [text[each.start : each.end] for each in blocks(text, sure)]
    ['Bluewater']
    """
    if text.count("\n") < 2:
        return
    sure = sorted(
        (each for each in findings if each.kind in _TOLD and each.score >= 0.5),
        key=lambda each: each.start,
    )
    if not any(each.kind == "ADDRESS" for each in sure):
        return
    block: list[tuple[int, int, frozenset[str]]] = []
    for start, end, kinds in _lines(text, sure):
        if end - start <= 80:
            block.append((start, end, kinds))
        else:
            yield from _unknown(text, block)
            block = []
    yield from _unknown(text, block)


def _lines(text: str, sure: list[Finding]) -> Iterator[tuple[int, int, frozenset[str]]]:
    """Start and end of each line that is not empty, and the kinds of what was found in it."""
    place = begin = 0
    for line in text.split("\n"):
        end = begin + len(line)
        while place < len(sure) and sure[place].end <= begin:
            place += 1
        kinds = []
        for each in sure[place : place + 8]:
            if each.start < end:
                kinds.append(each.kind)
        if line.strip():
            yield begin, end, frozenset(kinds)
        begin = end + 1


def _unknown(text: str, block: list[tuple[int, int, frozenset[str]]]) -> Iterator[Finding]:
    """The short lines of a block that are not known, before the last that is."""
    known = [place for place, (_, _, kinds) in enumerate(block) if kinds]
    held = frozenset[str]().union(*(kinds for _, _, kinds in block)) if block else frozenset()
    if len(block) < 3 or len(known) < 2 or "ADDRESS" not in held:
        return
    for start, end, kinds in block[: known[-1]]:
        found = _LINE.match(text, start, end)
        said = found["said"].rstrip(" ,\\") if found else ""
        if not kinds and found and _SHORT.fullmatch(said) and len(said.split()) <= 5:
            begin = found.start("said")
            yield Finding(begin, begin + len(said), "ORGANIZATION", 0.55, "line")
