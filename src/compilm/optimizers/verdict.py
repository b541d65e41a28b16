"""The claim: is the winner better on examples that no step of the search has seen?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Literal

from ..metrics.stats import (
    Estimate,
    Posterior,
    mean_interval,
    minimum_detectable,
    paired_gain,
    posterior_gain,
)
from .candidate import Candidate
from .evidence import Evidence
from .rollout import Rollout

__all__ = ["Confirmation", "Verdict", "confirm"]

Verdict = Literal["proven", "likely", "unproven", "no-headroom"]

_LIKELY = 0.9  # by all the evidence together
_ALONE = 0.8  # by the held-out examples alone
_FEWEST = 10  # pairs: 3 wins of 3 already put the interval above 0
_RELATED = 2.0  # what the search's variance counts: its cells are not independent
_TASK_SD = 0.15  # of the gains of tasks that have any
_PRIOR_SD = 0.25  # of a score's difference, where there is one pair only


@dataclass(frozen=True, slots=True)
class Confirmation:
    """The held-out comparison and what it says together with the search.

    `held_out` is the paired gain on held-out examples alone, which nothing was chosen by. `gain`
    is the estimate to report, by what the search knows and the held-out examples together: after
    a gate the raw held-out mean is too high, for only lucky ones pass. `p_better` is the chance of
    a gain by both together. `minimum_detectable`: the true gain that this sample would have proven
    with a power of 80 %.
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
    if groups is not None:
        variance *= _design_effect(held, paired_gain(theirs, ours, seed=seed))
    p_alone = NormalDist().cdf(mean / math.sqrt(variance))
    found = posterior_gain(_selected(winner, evidence), (mean, variance))
    gain = replace(_reported(found), n=held.n)
    verdict: Verdict = "unproven"
    if held.low > 0 and gain.low > 0 and held.n >= _FEWEST:
        verdict = "proven"
    elif found.probability >= _LIKELY and p_alone >= _ALONE:
        verdict = "likely"
    detectable = minimum_detectable(len(differences), sd=math.sqrt(variance * len(differences)))
    return Confirmation(
        mean_interval(theirs),
        mean_interval(ours),
        gain,
        held,
        found.probability,
        verdict,
        detectable,
    )


def _selected(winner: Candidate, evidence: Evidence) -> tuple[float, float]:
    """What the search says of the winner's gain, its variance doubled.

    The winner's relatives answer an example as it does, with the same luck; the model takes their
    cells for separate evidence.
    """
    found = evidence.fitted()
    if found is None or not found.counts.get(winner.id) or not found.gain(winner.id).sd:
        return 0.0, _PRIOR_SD**2
    mean, sd, _ = found.gain(winner.id)
    return mean, _RELATED * sd**2


def _reported(found: Posterior) -> Estimate:
    """The gain to report: drawn to 0 by the chance that there was nothing to gain at all.

    Half of all tasks have nothing that prompts can change (49 % of 72 runs ended below their
    zero-shot score, arXiv 2604.14585): a prior of one half at exactly 0, the other half a gain
    with a standard deviation of 0.15. The value is the mean under both; the interval's lower end
    goes down with it.
    """
    spread, square = _TASK_SD**2, found.sd**2
    rate = math.sqrt(square / (square + spread))
    evidence = (found.mean / found.sd) ** 2 / 2 * spread / (square + spread)
    real = 1 / (1 + math.exp(-min(50.0, math.log(rate) + evidence)))
    value, half = found.mean * real, NormalDist().inv_cdf(0.975) * found.sd
    drawn = abs(found.mean - value)
    low, high = found.mean - half, found.mean + half
    return Estimate(value, low - drawn if value > 0 else low, high, 0)


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
