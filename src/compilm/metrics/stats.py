"""Intervals and tests for scores and for paired gains, deterministic with their seed.

Scores that are missing (None, NaN, an unscored `Score`) are dropped, in pairs where there are
pairs, and `n` says how many were left.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Final, NamedTuple, SupportsFloat, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from ..randomness import rng
from .distributions import binomial_count, t_quantile
from .posterior import (
    PRIOR_COUNT,
    Posterior,
    minimum_detectable,
    posterior_gain,
    present,
    probability_better,
)

__all__ = [
    "Estimate",
    "Posterior",
    "mcnemar",
    "mean_interval",
    "minimum_detectable",
    "paired_gain",
    "paired_permutation",
    "posterior_gain",
    "probability_better",
]

Scores: TypeAlias = Sequence[SupportsFloat | None] | NDArray[Any]
Floats: TypeAlias = NDArray[np.float64]

_FEW_PAIRS: Final = 100
_FEW_DISCORDANT: Final = 20
_EXACT_UP_TO: Final = 20
_FLOOR_SD: Final = 0.5  # no score in 0..1 can spread more (Popoviciu 1935)
_CHUNK: Final = 2_000_000  # numbers drawn at a time: 16 MB, whatever the sample


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number, the interval that covers the true one at `level`, and the sample's size.

    `str` shows it as a gain, with its sign; any float format shows all three numbers so.

    >>> str(Estimate(0.084, 0.021, 0.147, 144))
    '+0.084 [+0.021, +0.147] (n=144)'
    >>> f"{Estimate(0.64, 0.55, 0.72, 100):.0%}"
    '64% [55%, 72%] (n=100)'
    """

    value: float
    low: float
    high: float
    n: int
    level: float = 0.95

    def __str__(self) -> str:
        return format(self, "+.3f")

    def __format__(self, spec: str) -> str:
        value, low, high = (format(one, spec or "+.3f") for one in self._numbers())
        return f"{value} [{low}, {high}] (n={self.n})"

    def __float__(self) -> float:
        return self.value

    def _numbers(self) -> tuple[float, float, float]:
        return self.value, self.low, self.high


class _Clusters(NamedTuple):
    """What is resampled: each group's sum of values and its number of values."""

    sums: Floats
    counts: Floats

    @property
    def mean(self) -> float:
        return float(self.sums.sum() / self.counts.sum())


def mean_interval(
    scores: Scores,
    *,
    groups: Sequence[Hashable] | None = None,
    seed: int = 0,
    samples: int = 10_000,
    level: float = 0.95,
) -> Estimate:
    """The mean of `scores` with its interval.

    0/1 scores: Wilson's, (p + z²/2n ± z√(p(1-p)/n + z²/4n²)) / (1 + z²/n) (Wilson 1927, JASA 22,
    209). Graded scores, and any where `groups` puts several examples of one source together: the
    bootstrap of `paired_gain`.

    >>> f"{mean_interval([1, 1, 1, 0]):.3f}"
    '0.750 [0.301, 0.954] (n=4)'
    """
    _check(samples, level)
    values = np.array(present(scores))
    clusters = _clusters(values, _kept(groups, scores))
    if len(clusters.sums) == len(values) and _is_binary(values):
        return _wilson(values, level)
    return _bootstrap(clusters, "mean_interval", seed, samples, level)


def paired_gain(
    baseline: Scores,
    candidate: Scores,
    *,
    groups: Sequence[Hashable] | None = None,
    seed: int = 0,
    samples: int = 10_000,
    level: float = 0.95,
) -> Estimate:
    """The mean of candidate - baseline over the same examples, with its interval.

    0/1 scores with n < 100 or fewer than 20 discordant pairs: Agresti and Min (2005, Statistics
    in Medicine 24, 729): with ½ added to each of the four cells, w and l the discordant ones,
    (w - l)/(n + 2) ± z√((w + l)/(n + 2) - ((w - l)/(n + 2))²)/√(n + 2).

    Otherwise the BCa bootstrap of the pairs (Efron 1987, JASA 82, 171), of whole groups where
    `groups` (one label a pair) puts several pairs of one source together; its tails are widened
    for small samples to Φ(-√(m/(m-1))·t_{m-1}) (Hesterberg 2015, American Statistician 69, 371).
    Where fewer than 20 groups differ from the commonest value, resampling sees too little of the
    tails (at 10 % of 30 pairs differing it covers 89 %, not 95 %), and Student's t is used, with
    3 pseudo-groups of standard deviation 0.5 so that no tiny sample without spread proves a gain.

    `value` is always the plain mean difference and always lies inside the interval.

    >>> gain = paired_gain([0, 0, 1, 0, 1, 0], [1, 1, 1, 0, 1, 0])
    >>> str(gain)
    '+0.333 [-0.137, +0.637] (n=6)'
    """
    _check(samples, level)
    before, after, labels = _pairs(baseline, candidate, groups)
    differences = after - before
    clusters = _clusters(differences, labels)
    few = len(differences) < _FEW_PAIRS or np.count_nonzero(differences) < _FEW_DISCORDANT
    if few and len(clusters.sums) == len(differences) and _is_binary(before, after):
        return _agresti_min(differences, level)
    return _bootstrap(clusters, "paired_gain", seed, samples, level)


def paired_permutation(
    baseline: Scores,
    candidate: Scores,
    *,
    groups: Sequence[Hashable] | None = None,
    seed: int = 0,
    samples: int = 10_000,
) -> float:
    """The two-sided p value of no difference, by flipping the signs of paired differences.

    Exact over all 2^k flips where k <= 20 differences (of groups: sums) are not 0; otherwise
    (1 + hits)/(1 + samples) over seeded ones, which is never 0 (Phipson and Smyth 2010, SAGMB 9).

    >>> paired_permutation([0.2, 0.4, 0.1, 0.5], [0.3, 0.6, 0.4, 0.9])
    0.125
    """
    _check(samples, 0.95)
    before, after, labels = _pairs(baseline, candidate, groups)
    sums = _clusters(after - before, labels).sums
    flipped = sums[np.abs(sums) > 1e-12]
    seen = abs(flipped.sum()) * (1 - 1e-9)  # equal sums may differ in the last bits
    if len(flipped) <= _EXACT_UP_TO:
        totals = np.zeros(1)
        for one in flipped:
            totals = np.concatenate([totals + one, totals - one])
        return float(np.mean(np.abs(totals) >= seen))
    generator, hits = _generator(seed, "paired_permutation"), 0
    for size in _chunks(samples, len(flipped)):
        signs = 2.0 * generator.integers(0, 2, size=(size, len(flipped))) - 1
        hits += int(np.count_nonzero(np.abs(signs @ flipped) >= seen))
    return (1 + hits) / (1 + samples)


def mcnemar(baseline: Scores, candidate: Scores) -> float:
    """The two-sided mid-p value of McNemar's test: no difference between paired 0/1 scores.

    2·(P(X < m) + ½·P(X = m)) for X ~ Binomial(wins + losses, ½) and m the smaller of both; 1 where
    no pair differs (Fagerland et al. 2013, BMC Medical Research Methodology 13, 91).

    >>> mcnemar([0, 0, 0, 0, 1], [1, 1, 1, 1, 1])
    0.0625
    """
    before, after, _ = _pairs(baseline, candidate, None)
    if not _is_binary(before, after):
        raise UsageError("mcnemar compares 0/1 scores: use paired_permutation for graded ones")
    wins, losses = int((after > before).sum()), int((after < before).sum())
    discordant, least = wins + losses, min(wins, losses)
    below = binomial_count(discordant, least - 1) if least else 0
    return float((2 * below + math.comb(discordant, least)) / (1 << discordant))


def _wilson(values: Floats, level: float) -> Estimate:
    n, mean, z = len(values), float(values.mean()), NormalDist().inv_cdf((1 + level) / 2)
    middle = (mean + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(mean * (1 - mean) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    low, high = max(0.0, middle - half), min(1.0, middle + half)
    return Estimate(mean, min(low, mean), max(high, mean), n, level)


def _agresti_min(differences: Floats, level: float) -> Estimate:
    n, value = len(differences), float(differences.mean())
    z = NormalDist().inv_cdf((1 + level) / 2)
    middle = float(differences.sum()) / (n + 2)
    discordant = (np.count_nonzero(differences) + 1) / (n + 2)
    half = z * math.sqrt((discordant - middle**2) / (n + 2))
    low, high = max(-1.0, middle - half), min(1.0, middle + half)
    return Estimate(value, min(low, value), max(high, value), n, level)


def _bootstrap(clusters: _Clusters, label: str, seed: int, samples: int, level: float) -> Estimate:
    """The BCa interval of a mean of clusters; Student's t where there is little to resample."""
    value, n = clusters.mean, int(clusters.counts.sum())
    _, counts = np.unique(clusters.sums / clusters.counts, return_counts=True)
    commonest = int(np.max(counts))
    if len(clusters.sums) - commonest < _FEW_DISCORDANT:
        low, high = _floored_t(clusters, level)
    else:
        means = _resampled(clusters, _generator(seed, label), samples)
        low, high = (float(one) for one in np.quantile(means, _tails(clusters, means, level)))
    return Estimate(value, min(low, value), max(high, value), n, level)


def _resampled(clusters: _Clusters, generator: np.random.Generator, samples: int) -> Floats:
    size = len(clusters.sums)
    means = []
    for rows in _chunks(samples, size):
        drawn = generator.integers(0, size, size=(rows, size))
        means.append(clusters.sums[drawn].sum(axis=1) / clusters.counts[drawn].sum(axis=1))
    return np.concatenate(means)


def _tails(clusters: _Clusters, means: Floats, level: float) -> list[float]:
    """The two probabilities at which BCa reads the resampled means (Efron 1987, eq. 2.3)."""
    normal, m, value = NormalDist(), len(clusters.sums), clusters.mean
    ties = np.abs(means - value) < 1e-12
    below = float(np.mean((means < value) & ~ties) + np.mean(ties) / 2)
    bias = normal.inv_cdf(min(max(below, 1 / len(means)), 1 - 1 / len(means)))
    left_out = (clusters.sums.sum() - clusters.sums) / (clusters.counts.sum() - clusters.counts)
    pull = left_out.mean() - left_out
    acceleration = float((pull**3).sum() / (6 * (pull**2).sum() ** 1.5))
    wide = math.sqrt(m / (m - 1)) * t_quantile((1 + level) / 2, m - 1)
    shifts = [(bias + z) / max(1e-9, 1 - acceleration * (bias + z)) for z in (-wide, wide)]
    return [normal.cdf(bias + shift) for shift in shifts]


def _floored_t(clusters: _Clusters, level: float) -> tuple[float, float]:
    """Student's t interval whose variance holds PRIOR_COUNT pseudo-groups of _FLOOR_SD."""
    m, value = len(clusters.sums), clusters.mean
    freedom = m - 1 + PRIOR_COUNT
    residuals = (clusters.sums - value * clusters.counts) / clusters.counts.mean()
    variance = (float((residuals**2).sum()) + PRIOR_COUNT * _FLOOR_SD**2) / freedom
    half = t_quantile((1 + level) / 2, freedom) * math.sqrt(variance / m)
    return value - half, value + half


def _pairs(
    baseline: Scores, candidate: Scores, groups: Sequence[Hashable] | None
) -> tuple[Floats, Floats, list[Hashable] | None]:
    """Both scores of each example that has both, and its group."""
    if len(baseline) != len(candidate):
        raise UsageError(
            f"{len(baseline)} baseline scores and {len(candidate)} of the candidate: give both "
            "for the same examples in the same order"
        )
    rows = [[math.nan if one is None else float(one) for one in pair]
            for pair in zip(baseline, candidate, strict=True)]  # fmt: skip
    both = [math.nan if any(map(math.isnan, row)) else row[0] for row in rows]
    before = np.array(present(both))
    after = np.array(present([row[1] for row, one in zip(rows, both, strict=True)
                              if not math.isnan(one)]))  # fmt: skip
    return before, after, _kept(groups, both)


def _kept(groups: Sequence[Hashable] | None, scores: Scores) -> list[Hashable] | None:
    """The groups of the scores that are there."""
    if groups is None:
        return None
    if len(groups) != len(scores):
        raise UsageError(f"{len(groups)} groups for {len(scores)} scores: give one for each")
    pairs = zip(groups, scores, strict=True)
    return [group for group, one in pairs if one is not None and not math.isnan(float(one))]


def _clusters(values: Floats, groups: list[Hashable] | None) -> _Clusters:
    if groups is None:
        return _Clusters(values, np.ones(len(values)))
    numbers = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    places = np.array([numbers[group] for group in groups])
    counts = np.bincount(places).astype(np.float64)
    return _Clusters(np.bincount(places, weights=values).astype(np.float64), counts)


def _is_binary(*scores: Floats) -> bool:
    return all(bool(np.isin(one, (0.0, 1.0)).all()) for one in scores)


def _generator(seed: int, label: str) -> np.random.Generator:
    """Philox under a key of seed and label: the same numbers on every machine."""
    return np.random.Generator(np.random.Philox(key=rng(seed, "stats", label).getrandbits(128)))


def _chunks(samples: int, width: int) -> Iterator[int]:
    rows = max(1, _CHUNK // width)
    yield from (min(rows, samples - start) for start in range(0, samples, rows))


def _check(samples: int, level: float) -> None:
    if samples < 100 or not 0 < level < 1:
        raise UsageError(
            f"samples={samples!r}, level={level!r}: samples is 100 or more, level between 0 and 1"
        )
