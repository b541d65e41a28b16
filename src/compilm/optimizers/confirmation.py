"""The comparison on held-out examples, which no step of the search has seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

from ..metrics.stats import Estimate, mean_interval, paired_gain
from .candidate import Candidate
from .evidence import Evidence
from .power import least_proven
from .rollout import Rollout
from .verdict import UNSEEN, HeldOut, Verdict, judge

__all__ = ["Confirmation", "confirm"]

_RELATED = 2.0  # what the search's variance counts: its cells are not independent
_PRIOR_SD = 0.25  # of a score's difference, where there is one pair only


@dataclass(frozen=True, slots=True)
class Confirmation:
    """The held-out comparison and what it says together with the search.

    `held_out` is the paired gain on held-out examples alone, which nothing was chosen by. `gain`
    is the estimate to report, that one drawn to 0 by the chance that there is none: after a gate
    the raw held-out mean is too high, for only lucky ones pass. `p_better` is the chance of a gain
    by the search and the held-out examples together. `minimum_detectable`: the true gain that this
    sample would have proven four times in five or more often (`power.py`).
    """

    baseline: Estimate
    compiled: Estimate
    gain: Estimate
    held_out: Estimate
    p_better: float
    verdict: Verdict
    minimum_detectable: float


def confirm(
    baseline: Sequence[Rollout],
    compiled: Sequence[Rollout],
    *,
    winner: Candidate,
    evidence: Evidence,
    groups: Sequence[str] | None,
    seed: int,
) -> Confirmation:
    """The verdict (`verdict.py`) over paired held-out rollouts of the baseline and of `winner`.

    What the search knows is of `winner` as it raced, before its pools were enlarged.
    """
    ours = [rollout.score.value for rollout in compiled]
    theirs = [rollout.score.value for rollout in baseline]
    held = paired_gain(theirs, ours, groups=groups, seed=seed)
    differences = [a - b for a, b in zip(ours, theirs, strict=True) if not math.isnan(a - b)]
    mean, variance = _moments(differences)
    if groups is not None:
        variance *= _design_effect(held, paired_gain(theirs, ours, seed=seed))
    seen = HeldOut(mean, variance, held.low, held.high, held.n)
    found = judge(_selected(winner, evidence), seen)
    return Confirmation(
        mean_interval(theirs),
        mean_interval(ours),
        found.gain,
        held,
        found.p_better,
        found.verdict,
        _least(held, differences),
    )


def _selected(winner: Candidate, evidence: Evidence) -> tuple[float, float]:
    """What the search says of the winner's gain, its variance doubled.

    The winner's relatives answer an example as it does, with the same luck; the model takes their
    cells for separate evidence.
    """
    found = evidence.fitted()
    if found is None or not found.counts.get(winner.id) or not found.gain(winner.id).sd:
        return UNSEEN
    mean, sd, _ = found.gain(winner.id)
    return mean, _RELATED * sd**2


def _least(held: Estimate, differences: Sequence[float]) -> float:
    """The gain that these examples would have proven, with the spread that their interval tells.

    0/1 scores that hardly differ have no spread of their own; with a gain of g they would have
    one of at least √(g(1-g)).
    """
    sd = (held.high - held.low) / 2 / NormalDist().inv_cdf(0.975) * math.sqrt(held.n)
    least = least_proven(held.n, sd=sd)
    if not {*differences} <= {-1.0, 0.0, 1.0}:
        return least
    for _ in range(8):  # each is larger than the one before
        least = least_proven(held.n, sd=max(sd, math.sqrt(least * (1 - least))))
    return least


def _design_effect(grouped: Estimate, single: Estimate) -> float:
    """How much less n examples say where those of one group say the same again and again."""
    width = (grouped.high - grouped.low) / max(1e-9, single.high - single.low)
    return max(1.0, width**2)


def _moments(differences: Sequence[float]) -> tuple[float, float]:
    """Mean of the differences and variance of that mean, never 0."""
    n = len(differences)
    mean = math.fsum(differences) / n if n else 0.0
    spread = math.fsum((d - mean) ** 2 for d in differences) / (n - 1) if n > 1 else _PRIOR_SD**2
    return mean, max(spread, 1e-4) / max(n, 1)
