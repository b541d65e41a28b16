"""The claim: is the winner better on examples that no step of the search has seen?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Literal

from ..metrics.mixed import Cell
from ..metrics.stats import Estimate, mean_interval, minimum_detectable, paired_gain
from .candidate import Candidate
from .evidence import Evidence
from .rollout import Rollout

__all__ = ["Confirmation", "Verdict", "confirm"]

Verdict = Literal["proven", "likely", "unproven", "no-headroom"]

_LIKELY = 0.9  # by all the evidence together
_ALONE = 0.8  # by the held-out examples alone
_FEWEST = 10  # pairs: 3 wins of 3 already put the interval above 0
_PRIOR_SD = 0.25  # of a score's difference, where there is one pair only


@dataclass(frozen=True, slots=True)
class Confirmation:
    """The held-out comparison and what it says together with the search.

    `held_out` is the paired gain on held-out examples alone, which nothing was chosen by. `gain`
    is the estimate to report: the mixed model over selection and held-out cells. After a gate the
    raw held-out mean is too high (only lucky ones pass); the model draws it in. `p_better` is the
    model's chance of a gain. `minimum_detectable`: the true gain that this sample would have
    proven with a power of 80 %.
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
    """The verdict over paired held-out rollouts of the baseline and of `winner`.

    `proven`: the 95 % interval of the held-out gain lies above 0, over 10 pairs or more, and so
    does that of the reported one. `likely`: the chance of a gain is at least 0.9 by all evidence
    and 0.8 by the held-out examples alone, so that no optimistic search carries a verdict.
    `unproven`: else.
    """
    ours = [rollout.score.value for rollout in compiled]
    theirs = [rollout.score.value for rollout in baseline]
    held = paired_gain(theirs, ours, groups=groups, seed=seed)
    differences = [a - b for a, b in zip(ours, theirs, strict=True) if not math.isnan(a - b)]
    mean, variance = _moments(differences)
    p_alone = NormalDist().cdf(mean / math.sqrt(variance))
    gain, p_better = _together(baseline, compiled, winner, evidence, held)
    if groups is not None:
        gain = _widened(gain, held, paired_gain(theirs, ours, seed=seed))
    verdict: Verdict = "unproven"
    if held.low > 0 and gain.low > 0 and held.n >= _FEWEST:
        verdict = "proven"
    elif p_better >= _LIKELY and p_alone >= _ALONE:
        verdict = "likely"
    detectable = minimum_detectable(len(differences), sd=math.sqrt(variance * len(differences)))
    return Confirmation(
        mean_interval(theirs), mean_interval(ours), gain, held, p_better, verdict, detectable
    )


def _together(
    baseline: Sequence[Rollout],
    compiled: Sequence[Rollout],
    winner: Candidate,
    evidence: Evidence,
    held: Estimate,
) -> tuple[Estimate, float]:
    """The winner's gain and its chance by all cells; n counts the held-out pairs."""
    cells = [
        Cell(who.id, f"held out {rollout.example}", rollout.score.value)
        for who, rollouts in ((evidence.baseline, baseline), (winner, compiled))
        for rollout in rollouts
        if not rollout.score.is_missing
    ]
    found = evidence.fitted(cells)
    assert found is not None  # there are at least two held-out pairs
    return replace(found.gained(winner.id), n=held.n), found.gain(winner.id).probability


def _widened(gain: Estimate, grouped: Estimate, single: Estimate) -> Estimate:
    """The interval made wider as examples of one group say the same again and again."""
    factor = max(1.0, (grouped.high - grouped.low) / max(1e-9, single.high - single.low))
    low, high = (gain.value + factor * (at - gain.value) for at in (gain.low, gain.high))
    return replace(gain, low=low, high=high)


def _moments(differences: Sequence[float]) -> tuple[float, float]:
    """Mean of the differences and variance of that mean, never 0."""
    n = len(differences)
    mean = math.fsum(differences) / n if n else 0.0
    spread = math.fsum((d - mean) ** 2 for d in differences) / (n - 1) if n > 1 else _PRIOR_SD**2
    return mean, max(spread, 1e-4) / max(n, 1)
