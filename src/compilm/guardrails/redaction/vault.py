"""The vault: what was hidden in one run, by placeholder. It lives and dies with the run."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .finding import Detector, Finding, settled
from .lists import is_common
from .values import mapped, texts_of

__all__ = ["PLACEHOLDER", "Vault"]

PLACEHOLDER = re.compile(r"\[[A-Z][A-Z_]{0,30}_\d{1,9}\]")
"""How a placeholder looks: `[NAME_1]`."""

_LITERAL = "TEXT"  # the kind of what looks like a placeholder of ours and was in the text


class Vault:
    """Hides identifiers behind placeholders, and puts them back.

    The same value has the same placeholder for as long as the vault lives, and two values never
    have one. A placeholder that stands in a text already is never taken for a value of ours.
    `repr` and pickling tell nothing of what is inside. Safe under threads.

    >>> from compilm.guardrails.redaction.rules import Rules
    >>> vault = Vault(Rules())
    >>> vault.hide("Ask Ana Pratt, or Ana Pratt's son")
    "Ask [NAME_1], or [NAME_1]'s son"
    >>> vault.restore("[NAME_1] is well")
    'Ana Pratt is well'
    """

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._lock = threading.Lock()  # protects what follows
        self._names: dict[str, str] = {}  # placeholder by value
        self._values: dict[str, str] = {}  # value by placeholder
        self._taken: set[str] = set()  # placeholders that stood in texts
        self._last: Counter[str] = Counter()  # the last number of each kind

    def __repr__(self) -> str:
        return f"Vault({sum(self.counts.values())} hidden)"

    def __reduce__(self) -> Any:
        raise TypeError("a vault is not written down: it holds what was to be hidden")

    def __deepcopy__(self, memo: dict[int, Any]) -> Vault:
        return self

    @property
    def counts(self) -> Mapping[str, int]:
        """How many values were hidden, by kind."""
        with self._lock:
            return dict(self._last)

    def hide(self, value: Any) -> Any:
        """The value with what identifies hidden in every text of it: in lists, mappings, models.

        What one of its texts gave away is hidden in the others as well.
        """
        texts = tuple(texts_of(value))
        found = {text: settled(self._detector(text)) for text in dict.fromkeys(texts)}
        with self._lock:
            self._reserve(texts)
            for text, findings in found.items():
                for each in findings:
                    for part in _outside(text, each):
                        self._name(text[part.start : part.end], part.kind)
            known = self._known()
            hidden = {text: self._hidden(text, found[text], known) for text in found}
        return mapped(value, lambda text: hidden[text])

    def restore(self, value: Any) -> Any:
        """The value with every placeholder of this vault replaced by what it stands for."""
        with self._lock:
            values = dict(self._values)
        return mapped(
            value, lambda text: PLACEHOLDER.sub(lambda each: values.get(each[0], each[0]), text)
        )

    def _reserve(self, texts: Iterable[str]) -> None:
        """Placeholders in the texts keep their names, unless we gave the name away before."""
        for text in texts:
            for match in PLACEHOLDER.finditer(text):
                if match[0] in self._values:
                    self._name(match[0], _LITERAL)
                else:
                    self._taken.add(match[0])

    def _name(self, value: str, kind: str) -> None:
        if not value.strip() or value in self._names:
            return
        while True:
            self._last[kind] += 1
            name = f"[{kind}_{self._last[kind]}]"
            if name not in self._taken:
                break
        self._names[value], self._values[name] = name, value

    def _known(self) -> re.Pattern[str] | None:
        """What finds the values of this vault again, the longest first."""
        kept = [value for value in self._names if _is_telling(value)]
        if not kept:
            return None
        form = "|".join(re.escape(value) for value in sorted(kept, key=len, reverse=True))
        return re.compile(rf"(?<![\w\[])(?:{form})(?!\w)|(?:{PLACEHOLDER.pattern})")

    def _hidden(self, text: str, findings: Iterable[Finding], known: re.Pattern[str] | None) -> str:
        spans = [(part.start, part.end) for each in findings for part in _outside(text, each)]
        pieces, end = [], 0
        for start, stop in [*sorted(spans), (len(text), len(text))]:
            between = text[end:start]
            pieces.append(known.sub(self._renamed, between) if known else between)
            value = text[start:stop]
            pieces.append(self._names.get(value, value))
            end = stop
        return "".join(pieces)

    def _renamed(self, match: re.Match[str]) -> str:
        return self._names.get(match[0], match[0])


def _is_telling(value: str) -> bool:
    """Whether a value, met again, is the same thing: not `May`, and not `12`."""
    return PLACEHOLDER.fullmatch(value) is not None or (
        len(value) >= 4 and not value.isspace() and not is_common(value)
    )


def _outside(text: str, finding: Finding) -> Iterator[Finding]:
    """The parts of a finding that are no placeholder, without spaces around."""
    start = finding.start
    for match in PLACEHOLDER.finditer(text, max(0, start - 42)):
        if match.start() >= finding.end:
            break
        if match.end() > start:
            yield from _stripped(text, start, match.start(), finding)
            start = match.end()
    yield from _stripped(text, start, finding.end, finding)


def _stripped(text: str, start: int, end: int, finding: Finding) -> Iterator[Finding]:
    part = text[start:end]
    if part.strip():
        left = start + len(part) - len(part.lstrip())
        right = end - (len(part) - len(part.rstrip()))
        yield Finding(left, right, finding.kind, finding.score, finding.rule)
