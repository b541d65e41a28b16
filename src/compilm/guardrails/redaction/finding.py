"""A finding: a stretch of a text that may identify somebody, and how sure its rule is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

__all__ = ["Detector", "Finding", "settled"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Characters `start` to `end` of a text are a `kind` of identifier, with a `score` of 0 to 1.

    `rule` names what found it. A score is an order of trust and no probability.
    """

    start: int
    end: int
    kind: str
    score: float
    rule: str = ""

    def __len__(self) -> int:
        return self.end - self.start


class Detector(Protocol):
    """What finds identifiers in a text; a function will do."""

    def __call__(self, text: str) -> Iterable[Finding]:
        """What it found, in any order; findings may overlap."""


def settled(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Findings in the order of the text; what overlaps is one, of the kind that is surest.

    No character that was found is let go: half an identifier may still identify.

    >>> settled([Finding(0, 4, "NAME", 0.5), Finding(2, 9, "EMAIL", 0.9)])
    (Finding(start=0, end=9, kind='EMAIL', score=0.9, rule=''),)
    """
    return tuple(_merged(sorted(findings, key=lambda each: (each.start, -each.end))))


def _merged(ordered: list[Finding]) -> Iterator[Finding]:
    last: Finding | None = None
    for each in ordered:
        if last is None or each.start >= last.end:
            if last is not None:
                yield last
            last = each
        else:
            best = max(last, each, key=lambda one: (one.score, len(one)))
            last = replace(best, start=last.start, end=max(last.end, each.end))
    if last is not None:
        yield last
