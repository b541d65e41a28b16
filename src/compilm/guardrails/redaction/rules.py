"""The detector by rules: everything that finds, a threshold, and the kinds that are wanted."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from ...errors import UsageError
from .addresses import addresses
from .blocks import blocks
from .dates import dates
from .finding import Detector, Finding, settled
from .firms import firms
from .marks import marks
from .near import again, beside
from .proper import proper
from .seen import Seen

__all__ = ["KINDS", "LEVELS", "Rules", "threshold_of"]

KINDS = (
    "NAME", "PLACE", "ORGANIZATION", "ADDRESS", "DATE", "AGE", "PHONE", "EMAIL", "URL",
    "IP_ADDRESS", "SSN", "RECORD_NUMBER", "MEMBER_NUMBER", "CLAIM_NUMBER", "ACCOUNT_NUMBER",
    "LICENSE_NUMBER", "DEVICE_NUMBER", "ID_NUMBER", "CARD", "IBAN",
)  # fmt: skip
"""What the rules can find, as it stands in placeholders."""

LEVELS = {"loose": 0.8, "usual": 0.5, "strict": 0.3}
"""Thresholds by name: only what is sure; what the page measures; whatever could identify."""

_FINDERS: tuple[Callable[[str], Iterable[Finding]], ...] = (marks, dates, addresses, firms, proper)
_PLACEHOLDER = re.compile(r"\[[A-Z][A-Z_]*_\d+\]")


# Written differently and read the same: dashes and spaces of typography; nothing to see at all.
_SAME = {ord(each): "-" for each in "\u2010\u2011\u2012\u2013\u2212\ufe63\uff0d"}
_SAME |= {ord(each): " " for each in "\u00a0\u2002\u2003\u2007\u2009\u200a\u202f\u3000"}
_UNSEEN = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")


def _plain(text: str) -> tuple[str, list[int] | None]:
    """The text as it is read, and where each of its characters stands if some were left out."""
    shown = text.translate(_SAME)
    if not _UNSEEN.search(shown):
        return shown, None
    places = [place for place, each in enumerate(shown) if not _UNSEEN.match(each)]
    return "".join(shown[place] for place in places), places


def threshold_of(level: str | float) -> float:
    """The threshold that a level or number stands for; `UsageError` for another.

    >>> threshold_of("usual"), threshold_of(0.4)
    (0.5, 0.4)
    """
    if isinstance(level, str) and level in LEVELS:
        return LEVELS[level]
    if isinstance(level, (int, float)) and 0.0 < level <= 1.0:
        return float(level)
    raise UsageError(f"a level is {', '.join(LEVELS)} or a number above 0 and up to 1: {level!r}")


@dataclass(frozen=True, slots=True)
class Rules:
    """Finds identifiers without a model: the settled findings of a text at a level.

    Args:
        level: `loose`, `usual`, `strict`, or a threshold from 0 to 1 for the scores of findings.
        kinds: what is looked for; all of `KINDS` by default.
        others: detectors beside the rules, such as `presidio()`.
        keep: words and phrases that are never hidden, whatever a rule says.

    >>> text = "Ana Pratt (MRN 445-12) was seen on 3/4/2021"
    >>> [(each.kind, text[each.start : each.end]) for each in Rules()(text)]
    [('NAME', 'Ana Pratt'), ('RECORD_NUMBER', '445-12'), ('DATE', '3/4/2021')]
    """

    level: str | float = "usual"
    kinds: tuple[str, ...] = KINDS
    others: tuple[Detector, ...] = ()
    keep: frozenset[str] = frozenset()
    _seen: Seen = field(default_factory=Seen, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        threshold_of(self.level)
        unknown = [kind for kind in self.kinds if kind not in KINDS]
        if unknown and not self.others:
            raise UsageError(f"no rule finds {unknown[0]!r}; kinds are {', '.join(KINDS)}")

    def __call__(self, text: str) -> tuple[Finding, ...]:
        """The findings at or above the threshold, in the order of the text, none overlapping."""
        # What others' detectors find may change: a list that grows, a service that was down.
        return self._find(text) if self.others else self._seen.found(text, self._find)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.level, self.kinds, self.others, self.keep)

    def __deepcopy__(self, memo: dict[int, Any]) -> Rules:
        return self

    def _find(self, text: str) -> tuple[Finding, ...]:
        least = threshold_of(self.level)
        plain, places = _plain(text)
        found = [each for each in self._all(plain) if each.score >= least - 1e-9]
        if places is not None:
            found = [
                replace(each, start=places[each.start], end=places[each.end - 1] + 1)
                for each in found
            ]
        held = [match.span() for match in _PLACEHOLDER.finditer(text)]
        return tuple(part for each in settled(found) for part in _outside(each, held))

    def _all(self, text: str) -> Iterator[Finding]:
        found = [each for finder in _FINDERS for each in finder(text)]
        found += [*beside(text, found), *again(text, found)]
        found += blocks(text, found)
        for each in found:
            if each.kind in self.kinds and text[each.start : each.end].casefold() not in self.keep:
                yield each
        for detector in self.others:
            yield from (each for each in detector(text) if each.kind in self.kinds)


def _outside(finding: Finding, held: list[tuple[int, int]]) -> Iterator[Finding]:
    """The parts of a finding that are no placeholder."""
    start = finding.start
    for low, high in held:
        if low < finding.end and high > start:
            if low > start:
                yield replace(finding, start=start, end=low)
            start = max(start, high)
    if start < finding.end:
        yield replace(finding, start=start)
