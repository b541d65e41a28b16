"""Merging: instructions and demonstrations of several candidates, put together anew.

A candidate can lose as a whole and still hold the best state of one part. What each part adds is
read off all candidates that had it, and the mixture that promises most is tried.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from ... import canonical
from ...artifact import Predictor
from ...metrics.attribution import Part, attributed
from ..candidate import Candidate, Proposal
from .base import Scene

__all__ = ["Merge"]

_FEWEST = 3  # candidates before anything can be read off them


@dataclass(frozen=True, slots=True)
class Merge:
    """A move: the incumbent with those parts of other candidates that promise more than its own.

    Parts are the instructions and the demonstrations of each predictor; interactions between them
    explain little of a score (at most 2.2 % of its variance in arXiv 2604.14585). What a part adds
    is drawn from its posterior, so that one seen in few candidates gets its chance.
    """

    asks: ClassVar[bool] = False

    @property
    def name(self) -> str:
        return "merged"

    def __call__(self, scene: Scene) -> Proposal | None:
        known = [scene.incumbent, *scene.others]
        if len(known) < _FEWEST:
            return None
        parts = attributed(
            [scene.gains.get(one.id, 0.0) for one in known], [_parts(one) for one in known]
        )
        drawn = {name: _drawn(part, scene) for name, part in parts.items()}
        changes, sources = {}, []
        for own in scene.tunable:
            text = max(known, key=lambda one: drawn[_text(one.by_path[own.path])])
            demos = max(known, key=lambda one: drawn[_demos(one.by_path[own.path])])
            there = demos.by_path[own.path]
            mixed = replace(there, instructions=text.by_path[own.path].instructions)
            if mixed != own:
                changes[own.path] = mixed
                sources += [text, demos]
        said = sorted({one.id for one in sources if one is not scene.incumbent})
        shown = _shown(sources)
        return Proposal(self.name, changes, f"of {', '.join(said)}", shown) if changes else None


def _shown(sources: Sequence[Candidate]) -> frozenset[str]:
    return frozenset(id for one in sources for id in one.shown)


def _drawn(part: Part, scene: Scene) -> float:
    return scene.rng.gauss(part.value, part.sd)


def _parts(candidate: Candidate) -> set[str]:
    return {name for p in candidate.predictors for name in (_text(p), _demos(p))}


def _text(predictor: Predictor) -> str:
    return f"{predictor.path} text {canonical.digest(predictor.instructions)}"


def _demos(predictor: Predictor) -> str:
    near = predictor.nearest
    chosen = [near.k, near.embedder, near.pool_digest] if near else []
    return (
        f"{predictor.path} demos {canonical.digest([[dict(d) for d in predictor.demos], chosen])}"
    )
