"""What a proposed text must pass before a single call is spent on it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from ..artifact import Predictor
from ..datasets import DataSet
from .candidate import Candidate, Proposal

__all__ = ["TextChecks"]

_LONGEST = 6000  # characters of an instruction that compiles write; a longer given one may stay
_GRAM = 8  # words in a row that only a copy has in common
_MOST_EXAMPLES = 20_000  # validation and test examples whose words are remembered
_PLACEHOLDER = re.compile(r"\{[A-Za-z_]\w*\}")
_FIELD = re.compile(r"`(\w+)`")
_WORD = re.compile(r"\w+")
_BARE = "Given the fields `"  # DSPy's own text for a signature without one: nobody's wish
_OURS = ("proposed_instruction", "proposed_rules", "current_instruction", "[[ ##")


@dataclass(slots=True)
class TextChecks:
    """Refuses proposals by reading them; remembers the texts that were tried.

    `held` are the validation and test examples: words of theirs in an instruction are a leak, for
    no proposer was shown them, or was, and should have written rules and not copies. What they
    share with `free` ones, which anybody may quote, is no leak.
    """

    held: Iterable[DataSet]
    free: Iterable[DataSet] = ()
    _grams: set[int] = field(default_factory=set)
    _tried: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        left = _MOST_EXAMPLES
        for data in self.held:
            for text in data.input_texts()[:left]:
                self._grams.update(_grams(text))
            left = max(0, left - len(data))
        for data in self.free:
            for text in data.input_texts():
                self._grams.difference_update(_grams(text))

    def learn(self, candidate: Candidate) -> None:
        """A candidate that is raced: the same words beside the same demos are no new idea."""
        self._tried.add(_said(candidate.predictors))

    def refusal(self, incumbent: Candidate, proposal: Proposal) -> str:
        """Why this proposal may not be tried, or an empty text.

        A change of demonstrations alone passes. A rewritten instruction keeps the placeholders and
        the fields that the old one names, is not too long, copies no validation or test example,
        carries nothing of the request to the proposer, and differs in words from what was tried
        with the same demonstrations.
        """
        rewritten = False
        for own in incumbent.predictors:
            state = proposal.changes.get(own.path, own)
            if state.instructions == own.instructions:
                continue
            rewritten = True
            wrong = self._wrong(state, own)
            if wrong:
                return f"{own.path}: {wrong}"
        states = [proposal.changes.get(own.path, own) for own in incumbent.predictors]
        if rewritten and _said(states) in self._tried:
            return "these words were tried before"
        return ""

    def _wrong(self, new: Predictor, old: Predictor) -> str:
        text, before = new.instructions, old.instructions
        lost = sorted(set(_PLACEHOLDER.findall(before)) - set(_PLACEHOLDER.findall(text)))
        names = {f.name for f in (*old.inputs, *old.outputs)}
        named = set() if before.startswith(_BARE) else names & set(_FIELD.findall(before))
        gone = sorted(named - set(_WORD.findall(text)))
        if lost or gone:
            return f"lost {', '.join([*lost, *gone])}"
        if len(text) > max(_LONGEST, len(before)):
            return f"{len(text)} characters, at most {_LONGEST}"
        ours = next((mark for mark in _OURS if mark in text and mark not in before), None)
        if ours is not None:
            return f"holds {ours!r} of the request for a proposal"
        copied = self._grams.intersection(_grams(text)).difference(_grams(before))
        return "copies a validation or test example" if copied else ""


def _grams(text: str) -> Iterator[int]:
    words = _WORD.findall(text.lower())
    for start in range(len(words) - _GRAM + 1):
        yield hash(tuple(words[start : start + _GRAM]))


def _said(predictors: Iterable[Predictor]) -> str:
    """A digest of all that a candidate says, with its instructions squeezed."""
    squeezed = (replace(p, instructions=_squeezed(p.instructions)) for p in predictors)
    return Candidate(0, tuple(squeezed)).digest


def _squeezed(text: str) -> str:
    """The words of each line, lines in order of the alphabet: what a reader takes from it."""
    lines = (" ".join(_WORD.findall(line.lower())) for line in text.splitlines())
    return "\n".join(sorted(line for line in lines if line))
