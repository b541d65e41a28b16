"""The grounding check: every sentence of an answer cites a source, and is supported by it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import dspy

from .check import Check, Verdict
from .judge import Judge
from .sentences import sentences
from .support import Support, cited, sources_of, supported, without_citations

__all__ = ["Grounded"]


@dataclass(frozen=True, slots=True)
class _Fault:
    """What is wrong with one sentence: its place from 1, and what."""

    place: int
    what: str


class Grounded(Check):
    """Every sentence of `field` is supported by the passages or records in `sources`.

    A sentence cites with `[1]` or `[id]`: passages of a list are numbered from 1, and go by their
    own `id` where they have one; the keys of a mapping are ids. It is supported where the cited
    text holds every number, date and name it has, where the share of its words that the text holds
    is at least `share`, and where what it says is not denied there (a negation on one side only).

    Args:
        field: the output that is checked.
        sources: the input or output that holds passages: texts, mappings, models.
        cite: whether each sentence must cite; without, all sources together may support it.
        share: the least share of a sentence's words that its source has, 0 to 1.
        judge: for a sentence whose numbers, names and negations agree and whose words do not: a
            module from `criterion` and `text` to `keeps`; `True` for the built-in one. Without
            one such a sentence is not supported.
        exempt: sentences that need no support, as they stand ("I do not know.").

    >>> check = Grounded("answer", "passages")
    >>> said = "The fee is 3 euros [1]. It is 5 euros [1]."
    >>> told = check(passages=["The fee is 3 euros."], answer=said)
    >>> told.passed, told.reason
    (False, 'sentence 2: a number that its source does not have')
    """

    name = "grounding"

    def __init__(
        self,
        field: str = "answer",
        sources: str = "passages",
        *,
        cite: bool = True,
        share: float = 0.6,
        judge: dspy.Module | bool = False,
        exempt: tuple[str, ...] = (),
        name: str = "grounding",
    ) -> None:
        super().__init__()
        self.name, self._field, self._sources = name, field, sources
        self._cite, self._share = cite, share
        self._exempt = frozenset(text.strip().casefold() for text in exempt)
        predict = judge if isinstance(judge, dspy.Module) else None
        self.judge = (
            Judge("The claim follows from the source alone.", ["claim"], predict=predict)
            if judge
            else None
        )

    def examine(self, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> Verdict:
        """Whether each sentence is supported."""
        faults, count, doubts = self._looked(inputs, outputs)
        for place, text in doubts:
            if self.judge is None or not self.judge.examine({"claim": text}, {}).passed:
                faults.append(_Fault(place, _LITTLE))
        return self._verdict(faults, count)

    async def aexamine(self, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> Verdict:
        """As `examine`, awaited."""
        faults, count, doubts = self._looked(inputs, outputs)
        for place, text in doubts:
            if self.judge is None or not (await self.judge.aexamine({"claim": text}, {})).passed:
                faults.append(_Fault(place, _LITTLE))
        return self._verdict(faults, count)

    def _looked(
        self, inputs: Mapping[str, Any], outputs: Mapping[str, Any]
    ) -> tuple[list[_Fault], int, list[tuple[int, str]]]:
        """What is wrong by rule, how many sentences there are, and what a judge may look at."""
        sources = sources_of(outputs.get(self._sources, inputs.get(self._sources)))
        told = sentences(str(outputs.get(self._field, inputs.get(self._field)) or ""))
        faults, doubts = [], []
        for place, sentence in enumerate(told, start=1):
            bare = without_citations(sentence)
            if bare.strip().casefold() in self._exempt:
                continue
            ids = cited(sentence)
            gone = [each for each in ids if each not in sources]
            if gone:
                faults.append(_Fault(place, "cites what was not given"))
            elif self._cite and not ids:
                faults.append(_Fault(place, "cites nothing"))
            else:
                source = "\n".join(sources[each] for each in ids or sources)
                what = supported(bare, source, self._share)
                if what is Support.LITTLE:
                    doubts.append((place, f"Claim: {bare}\nSource: {source}"))
                elif what is not Support.FULL:
                    faults.append(_Fault(place, what.value))
        return faults, len(told), doubts

    def _verdict(self, faults: list[_Fault], count: int) -> Verdict:
        if not faults:
            return Verdict(self.name, True, fields=(self._field,))
        faults = sorted(faults, key=lambda each: each.place)
        told = "; ".join(f"sentence {each.place}: {each.what}" for each in faults)
        wrong = len({each.place for each in faults})
        rule = " End each sentence with the source it is from, as [1]." if self._cite else ""
        return Verdict(
            self.name, False, round(1 - wrong / max(count, 1), 3), told, fields=(self._field,),
            advice=f"{told}. Say only what the given sources say.{rule}",
        )  # fmt: skip


_LITTLE = Support.LITTLE.value
