"""The check for identifiers that nobody gave: an answer must not name whom the inputs do not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import UsageError
from .check import Check, Verdict
from .redaction.finding import Detector
from .redaction.rules import Rules
from .redaction.values import mapped, texts_of

__all__ = ["NoIdentifiers"]


class NoIdentifiers(Check):
    """No identifier stands in these outputs, but for those that the inputs `given_in` hold.

    Args:
        fields: outputs that are looked at.
        given_in: inputs whose identifiers may be repeated; none by default.
        detector: what finds identifiers; `Rules()` by default.
        mask: put the kind in its place (`[NAME]`) and go on, instead of failing.

    >>> check = NoIdentifiers(["answer"], mask=True)
    >>> check(answer="Call Ana Pratt at 555-123-4567.").answer
    'Call [NAME] at [PHONE].'
    """

    name = "identifiers"

    def __init__(
        self, fields: Iterable[str], *, given_in: Iterable[str] = (),
        detector: Detector | None = None, mask: bool = False, name: str = "identifiers",
    ) -> None:  # fmt: skip
        super().__init__()
        if isinstance(fields, str) or isinstance(given_in, str):
            raise UsageError("fields and given_in are lists of names")
        self.name, self._fields, self._given_in = name, tuple(fields), tuple(given_in)
        self._detector, self._mask = detector or Rules(), mask

    def examine(self, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> Verdict:
        """Whether the outputs hold identifiers of their own."""
        given = " ".join(text for name in self._given_in for text in texts_of(inputs.get(name)))
        counts: Counter[str] = Counter()
        changes = {}
        for name in self._fields:
            value = outputs.get(name, inputs.get(name))
            for text in texts_of(value):
                counts.update(kind for _, _, kind in self._found(text, given))
            changes[name] = mapped(value, lambda text: self._masked(text, given))
        if not counts:
            return Verdict(self.name, True, fields=self._fields)
        told = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
        if self._mask:
            return Verdict(self.name, True, 0.0, f"masked: {told}", changes=changes)
        return Verdict(
            self.name, False, 0.0, f"identifiers that were not given: {told}", fields=self._fields,
            advice=f"name no person, place, date or number that was not given ({told})",
        )  # fmt: skip

    def _found(self, text: str, given: str) -> list[tuple[int, int, str]]:
        found = [(each.start, each.end, each.kind) for each in self._detector(text)]
        return [each for each in found if text[each[0] : each[1]] not in given]

    def _masked(self, text: str, given: str) -> str:
        for start, end, kind in reversed(self._found(text, given)):
            text = f"{text[:start]}[{kind}]{text[end:]}"
        return text
