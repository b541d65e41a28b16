"""The claim: is the winner better on examples that no step of the search has seen?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

from ..metrics.stats import (
    Estimate,
    mean_interval,
    minimum_detectable,
    paired_gain,
    posterior_gain,
)
from .evaluate import Rollout

__all__ = ["Confirmation", "Verdict", "confirm"]

Verdict = Literal["proven", "likely", "unproven", "no-headroom"]

LIKELY = 0.9
_FEWEST = 10  # pairs: 3 wins of 3 already put the interval above 0
_PRIOR_SD = 0.25  # of a score's difference, where selection data say nothing


@dataclass(frozen=True, slots=True)
class Confirmation:
    """The held-out comparison: scores of both, the paired gain with its interval, the verdict.

    `p_better` joins what selection said with what the held-out examples say;
    `minimum_detectable` is the true gain that this sample would have proven with a power of 80 %.
    """

    baseline: Estimate
    compiled: Estimate
    gain: Estimate
    p_better: float
    verdict: Verdict
    minimum_detectable: float


def confirm(
    baseline: Sequence[Rollout],
    compiled: Sequence[Rollout],
    *,
    selection: Sequence[float],
    groups: Sequence[str] | None,
    seed: int,
) -> Confirmation:
    """The verdict over paired held-out rollouts.

    `proven`: the 95 % interval of the gain lies above 0, over 10 pairs or more. `likely`: the
    chance of a gain is at least 0.9 by the held-out differences alone, and also when the
    differences seen in selection (pulled to 0 by half) are their prior. `unproven`: else. An
    optimistic selection can therefore never carry a verdict alone.
    """
    ours = [rollout.score.value for rollout in compiled]
    theirs = [rollout.score.value for rollout in baseline]
    gain = paired_gain(theirs, ours, groups=groups, seed=seed)
    differences = [a - b for a, b in zip(ours, theirs, strict=True) if not math.isnan(a - b)]
    mean, variance = _moments(differences)
    _, _, p_better = posterior_gain(_shrunk(selection), (mean, variance))
    p_alone = NormalDist().cdf(mean / math.sqrt(variance))
    verdict: Verdict = "unproven"
    if gain.low > 0 and gain.n >= _FEWEST:
        verdict = "proven"
    elif p_better >= LIKELY and p_alone >= LIKELY:
        verdict = "likely"
    detectable = minimum_detectable(len(differences), sd=math.sqrt(variance * len(differences)))
    return Confirmation(
        mean_interval(theirs), mean_interval(ours), gain, p_better, verdict, detectable
    )


def _moments(differences: Sequence[float]) -> tuple[float, float]:
    """Mean of the differences and variance of that mean, never 0."""
    n = len(differences)
    mean = math.fsum(differences) / n if n else 0.0
    spread = math.fsum((d - mean) ** 2 for d in differences) / (n - 1) if n > 1 else _PRIOR_SD**2
    return mean, max(spread, 1e-4) / max(n, 1)


def _shrunk(selection: Sequence[float]) -> tuple[float, float]:
    """The prior from selection: its mean pulled to 0 by half, for it is the best of several."""
    if len(selection) < 2:
        return 0.0, _PRIOR_SD**2
    mean, variance = _moments(selection)
    return mean / 2, variance + (mean / 2) ** 2
