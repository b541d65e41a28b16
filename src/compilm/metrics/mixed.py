"""The estimate of every candidate's score: one mixed model over all cells, not a mean each.

The best of many noisy means is too high (the winner's curse), and a race leaves every candidate
with other cells. One model of all of them answers both: y = level + gain of the candidate +
difficulty of the example + noise, where the step from a parent to its child is drawn from a normal
distribution, so that a step far from the others, seen on few examples, is drawn in.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from ..randomness import rng
from .stats import Estimate, Posterior

__all__ = ["Cell", "Fit", "fit"]

_ROUNDS: Final = 60
_CLOSE: Final = 1e-5
_PSEUDO: Final = 1.0  # observations that each variance's prior is worth
_SD_EXAMPLE, _SD_NOISE = 0.3, 0.3
_SD_STEP, _SD_MEAN = 0.05, 0.08  # of a step around its kind's mean; of that mean around 0
_TAILS: Final = 8.0  # degrees of freedom of steps: now and then one is far from the others

Floats = NDArray[np.float64]


class Cell(NamedTuple):
    """One candidate's score on one example."""

    candidate: str
    example: str
    value: float


@dataclass(frozen=True, slots=True)
class Fit:
    """The fitted model: gains over the baseline, levels, and how sure of them one may be."""

    names: tuple[str, ...]
    counts: Mapping[str, int]
    bounds: tuple[float, float]
    _rows: Floats = field(repr=False)
    _means: Floats = field(repr=False)
    _covariance: Floats = field(repr=False)

    def gain(self, name: str) -> Posterior:
        """The posterior of a candidate's gain over the baseline (mean, sd, P(gain > 0)).

        The baseline's own is exactly 0 and known.
        """
        row = self._row(name).copy()
        row[0] = 0.0
        return self._posterior(row)

    def difference(self, one: str, other: str) -> Posterior:
        """The posterior of how much better `one` is than `other`."""
        return self._posterior(self._row(one) - self._row(other))

    def level(self, name: str, *, level: float = 0.95) -> Estimate:
        """The candidate's score on new examples, with its interval, kept to the scores' range."""
        mean, sd, _ = self._posterior(self._row(name))
        return self._estimate(mean, sd, self.counts.get(name, 0), level, self.bounds)

    def gained(self, name: str, *, level: float = 0.95) -> Estimate:
        """`gain` as an estimate with its interval; n counts the candidate's cells."""
        mean, sd, _ = self.gain(name)
        width = self.bounds[1] - self.bounds[0]
        return self._estimate(mean, sd, self.counts.get(name, 0), level, (-width, width))

    def best_chances(self, *, seed: int = 0, samples: int = 2000) -> dict[str, float]:
        """For each candidate the chance that none has a higher gain."""
        gains = self._drawn(seed, samples)
        best = np.bincount(gains.argmax(axis=1), minlength=len(self.names)) / samples
        return dict(zip(self.names, map(float, best), strict=True))

    def chance_of(self, least: float, *, seed: int = 0, samples: int = 2000) -> float:
        """The chance that some candidate gains more than `least`."""
        return float(np.mean(self._drawn(seed, samples).max(axis=1) > least))

    def _drawn(self, seed: int, samples: int) -> Floats:
        rows = self._rows.copy()
        rows[:, 0] = 0.0
        key = rng(seed, "mixed model").getrandbits(128)
        generator = np.random.Generator(np.random.Philox(key=key))
        covariance = rows @ self._covariance @ rows.T
        found: Floats = generator.multivariate_normal(
            rows @ self._means, covariance, size=samples, method="eigh"
        )
        return found

    def _row(self, name: str) -> Floats:
        row: Floats = self._rows[self.names.index(name)]
        return row

    def _posterior(self, row: Floats) -> Posterior:
        mean = float(row @ self._means)
        sd = math.sqrt(max(0.0, float(row @ self._covariance @ row)))
        if sd == 0:
            return Posterior(mean, 0.0, float(mean > 0))
        return Posterior(mean, sd, 1 - NormalDist(mean, sd).cdf(0))

    @staticmethod
    def _estimate(
        mean: float, sd: float, n: int, level: float, bounds: tuple[float, float]
    ) -> Estimate:
        half = NormalDist().inv_cdf((1 + level) / 2) * sd
        low, high = (min(max(at, bounds[0]), bounds[1]) for at in (mean - half, mean + half))
        return Estimate(min(max(mean, low), high), low, high, n, level)


def fit(
    cells: Sequence[Cell],
    parents: Mapping[str, str | None],
    kinds: Mapping[str, str] | None = None,
) -> Fit:
    """The mixed model of `cells`; `parents` gives each candidate's parent, `None` the baseline's.

    y_ci = mu + sum of the steps from the baseline to c + e_i + noise. A step is drawn from a
    Student t around the mean of its kind (`kinds`, and whether it starts at the baseline), that
    mean from a normal around 0, e_i from a normal. Solved by Henderson's mixed-model equations
    (Henderson 1975, Biometrics 31, 423) with the examples absorbed; the variances, and each
    step's own as the t demands it, by EM under weak scaled-inverse-chi-square priors (Searle,
    Casella and McCulloch 1992, Variance Components, ch. 8; Lange, Little and Taylor 1989, JASA
    84, 881). Being a likelihood, it may be used on what races leave: which cells are missing was
    decided by scores that are in it.

    Raises `UsageError` where a candidate of a cell has no place in `parents`.

    >>> even = [Cell("c0", str(i), i % 2) for i in range(40)]
    >>> better = [Cell("c1", str(i), 1 if i % 4 else 0) for i in range(40)]
    >>> found = fit(even + better, {"c0": None, "c1": "c0"})
    >>> found.gain("c1").probability > 0.9, found.gain("c0").mean
    (True, 0.0)
    """
    names = tuple(parents)
    for cell in cells:
        if cell.candidate not in parents:
            raise UsageError(f"candidate {cell.candidate!r} has cells and no entry in parents")
    if not cells:
        raise UsageError("there is no cell to fit a model to")
    rows, groups = _design(names, parents, kinds or {})
    means, covariance = _Model(cells, names, rows, groups).solved()
    values = [cell.value for cell in cells]
    counts = Counter(cell.candidate for cell in cells)
    bounds = min(0.0, *values), max(1.0, *values)
    return Fit(names, counts, bounds, rows, means, covariance)


class _Groups(NamedTuple):
    """Where in the model's unknowns the mean of each kind of step stands, and its steps."""

    means: tuple[int, ...]
    steps: tuple[NDArray[np.intp], ...]


def _design(
    names: Sequence[str], parents: Mapping[str, str | None], kinds: Mapping[str, str]
) -> tuple[Floats, _Groups]:
    """A row a candidate: the level, how many steps of each kind, and which steps."""
    roots = {name for name in names if parents[name] is None}
    children = [name for name in names if name not in roots]
    kind = [kinds.get(name, "") if parents[name] in roots else None for name in children]
    groups = {one: number for number, one in enumerate(dict.fromkeys(kind))}
    place = {name: 1 + len(groups) + number for number, name in enumerate(children)}
    rows = np.zeros((len(names), 1 + len(groups) + len(children)))
    rows[:, 0] = 1.0
    for number, name in enumerate(names):
        step: str | None = name
        while step is not None and step in place:
            rows[number, 1 + groups[kind[place[step] - 1 - len(groups)]]] += 1
            rows[number, place[step]] = 1
            step = parents[step]
    members = [[place[c] for c, k in zip(children, kind, strict=True) if k == one]
               for one in groups]  # fmt: skip
    steps = tuple(np.array(own, dtype=np.intp) for own in members)
    return rows, _Groups(tuple(range(1, 1 + len(groups))), steps)


@dataclass(slots=True)
class _Variances:
    """The variances of noise, of examples, of each kind's mean, and of each single step."""

    noise: float
    example: float
    ridged: Floats  # one for each unknown; that of the level is infinite
    scales: list[float]  # the squared scale of each kind's t


class _Model:
    """Sums over cells, and the EM that goes over them again and again."""

    def __init__(
        self, cells: Sequence[Cell], names: Sequence[str], rows: Floats, groups: _Groups
    ) -> None:
        number = {name: place for place, name in enumerate(names)}
        place = {example: at for at, example in enumerate(dict.fromkeys(c.example for c in cells))}
        who = np.array([number[cell.candidate] for cell in cells])
        self.where = np.array([place[cell.example] for cell in cells])
        self.values, self.design = np.array([cell.value for cell in cells]), rows[who]
        self.cross, self.target = self.design.T @ self.design, self.design.T @ self.values
        self.sums = np.zeros((len(place), rows.shape[1]))
        np.add.at(self.sums, self.where, self.design)
        self.totals = np.bincount(self.where, weights=self.values)
        self.sizes = np.bincount(self.where).astype(np.float64)
        self.groups = groups

    def solved(self) -> tuple[Floats, Floats]:
        """Means and covariance of the level, the mean steps and the steps."""
        known = self._start()
        for _ in range(_ROUNDS):
            before, (means, inverse, weights) = known, self._step(known)
            known = self._updated(known, means, inverse, weights)
            moved = np.abs(known.ridged[1:] - before.ridged[1:]).max(initial=0.0)
            if max(moved, abs(known.noise - before.noise)) < _CLOSE:
                break
        means, inverse, _ = self._step(known)
        return means, inverse * known.noise

    def _start(self) -> _Variances:
        ridged = np.full(self.cross.shape[0], _SD_STEP**2)
        ridged[0] = np.inf
        ridged[list(self.groups.means)] = _SD_MEAN**2
        scales = [_SD_STEP**2] * len(self.groups.means)
        return _Variances(_SD_NOISE**2, _SD_EXAMPLE**2, ridged, scales)

    def _step(self, known: _Variances) -> tuple[Floats, Floats, Floats]:
        """The solution of the mixed-model equations, their inverse, and the examples' weights."""
        weights = 1 / (self.sizes + known.noise / known.example)
        left = self.cross + np.diag(known.noise / known.ridged)
        left -= self.sums.T @ (self.sums * weights[:, None])
        right = self.target - self.sums.T @ (self.totals * weights)
        inverse = np.linalg.inv(left)
        return inverse @ right, inverse, weights

    def _updated(
        self, known: _Variances, means: Floats, inverse: Floats, weights: Floats
    ) -> _Variances:
        """One step of EM: each variance is the mean of what its effects are expected to square."""
        noise, unsure = known.noise, np.diag(inverse)
        effects = (self.totals - self.sums @ means) * weights
        doubts = weights + np.einsum("ip,pq,iq->i", self.sums, inverse, self.sums) * weights**2
        residual = self.values - self.design @ means - effects[self.where]
        freedom = len(means) + len(effects) - float((noise / known.ridged) @ unsure)
        freedom -= noise / known.example * float(doubts.sum())
        squares = float(residual @ residual) + noise * freedom
        spread = float(effects @ effects) + noise * float(doubts.sum())
        return _Variances(
            (squares + _PSEUDO * _SD_NOISE**2) / (len(self.values) + _PSEUDO),
            (spread + _PSEUDO * _SD_EXAMPLE**2) / (len(effects) + _PSEUDO),
            *self._steps_variances(known, means**2 + noise * unsure),
        )

    def _steps_variances(self, known: _Variances, squares: Floats) -> tuple[Floats, list[float]]:
        """Each step's variance: its kind's, stretched where the step itself is far out."""
        ridged, scales = known.ridged.copy(), []
        for mean, steps, scale in zip(
            self.groups.means, self.groups.steps, known.scales, strict=True
        ):
            ridged[mean] = (squares[mean] + _PSEUDO * _SD_MEAN**2) / (1 + _PSEUDO)
            weights = (_TAILS + 1) / (_TAILS + squares[steps] / scale)
            total = float(weights @ squares[steps]) + _PSEUDO * _SD_STEP**2
            scales.append(total / (len(steps) + _PSEUDO))
            ridged[steps] = scales[-1] / weights
        return ridged, scales
