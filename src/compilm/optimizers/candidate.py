"""A candidate: texts and demonstrations for every predictor, and where it came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from .. import canonical
from ..artifact import Nearest, Predictor
from ..programs.roles import DEFAULT_ROLE

__all__ = ["BASELINE", "Candidate", "Proposal"]

BASELINE = "c0"


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a proposer hands in: new states for some predictors, the move's name, and a note.

    `shown` are the validation examples that the proposer was shown: they say nothing about what
    it wrote.
    """

    move: str
    changes: Mapping[str, Predictor]
    note: str = ""
    shown: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Candidate:
    """States for every predictor of the program, in the program's order. `c0` is the baseline.

    `shown` are the validation examples that a proposer was shown on the way to it; `digest` is
    equal for candidates that put the same words into the prompts.
    """

    number: int
    predictors: tuple[Predictor, ...]
    move: str = "baseline"
    parent: str | None = None
    note: str = ""
    shown: frozenset[str] = frozenset()
    # Kept, because every look at a cell asks for it and a pool is long.
    digest: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", canonical.digest([_words(p) for p in self.predictors]))

    @property
    def id(self) -> str:
        """`c` and the number in this run."""
        return f"c{self.number}"

    @property
    def by_path(self) -> dict[str, Predictor]:
        """The states by predictor path."""
        return {predictor.path: predictor for predictor in self.predictors}

    @property
    def size(self) -> int:
        """Characters of instructions and demonstrations: what every call carries along.

        Of demonstrations that are chosen per call those of average length count.
        """
        return sum(
            len(p.instructions) + _length(p.demos) + _shown(p.nearest) for p in self.predictors
        )

    def child(self, number: int, proposal: Proposal) -> Candidate:
        """This candidate with the proposal's changes."""
        predictors = tuple(proposal.changes.get(p.path, p) for p in self.predictors)
        return replace(
            self,
            number=number,
            predictors=predictors,
            move=proposal.move,
            parent=self.id,
            note=proposal.note,
            shown=self.shown | proposal.shown,
        )

    def to_json(self) -> dict[str, Any]:
        """The body of a `candidate` record. A pool is named by size and digest, not repeated."""
        return {
            "id": self.id,
            "number": self.number,
            "digest": self.digest,
            "parent": self.parent,
            "move": self.move,
            "note": self.note,
            "shown": sorted(self.shown),
            "predictors": {p.path: _recorded(p) for p in self.predictors},
        }


def _words(predictor: Predictor) -> list[Any]:
    words: list[Any] = [predictor.path, predictor.instructions]
    words.append([dict(demo) for demo in predictor.demos])
    words += [] if predictor.nearest is None else [_named(predictor.nearest)]
    return words if predictor.role == DEFAULT_ROLE else [*words, predictor.role]


def _recorded(predictor: Predictor) -> dict[str, Any]:
    body: dict[str, Any] = {
        "instructions": predictor.instructions,
        "demos": [dict(demo) for demo in predictor.demos],
    }
    if predictor.nearest is not None:
        body["nearest"] = _named(predictor.nearest)
    return body if predictor.role == DEFAULT_ROLE else {**body, "role": predictor.role}


def _named(nearest: Nearest) -> dict[str, Any]:
    return {
        "k": nearest.k,
        "embedder": nearest.embedder,
        "size": len(nearest.pool),
        "digest": nearest.pool_digest,
    }


def _length(demos: Sequence[Mapping[str, Any]]) -> int:
    return sum(len(canonical.dumps(dict(demo))) for demo in demos)


def _shown(nearest: Nearest | None) -> int:
    if nearest is None or not nearest.pool:
        return 0
    count = min(nearest.k, len(nearest.pool))
    return round(count * _length(nearest.pool) / len(nearest.pool))
