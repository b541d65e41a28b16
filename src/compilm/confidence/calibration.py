"""From how sure a signal is to how often it is right: curves fitted on outcomes, kept as data.

A raw confidence is no probability: log-probabilities of 0.95 to 0.99 stood beside an accuracy of
0.54 to 0.93 on the recorded outcomes of `benchmarks/cascades.py`. A curve maps one to the other
and never turns the order around.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, Protocol

from ..errors import DataError

__all__ = ["Curve", "Isotonic", "Platt", "check_signals", "curve_from_json", "isotonic", "platt"]

_EDGE = 1e-6  # signals of 0 and 1 have no finite log odds
_STEPS = 100


class Curve(Protocol):
    """A function that never falls, from a signal in 0..1 to a probability."""

    def __call__(self, signal: float) -> float:
        """The probability that an answer with this signal is right."""
        ...

    def to_json(self) -> dict[str, Any]:
        """The curve as plain data, which `curve_from_json` reads."""
        ...


@dataclass(frozen=True, slots=True)
class Isotonic:
    """Straight lines through points, level beyond both ends; neither coordinate ever falls.

    >>> Isotonic((0.2, 0.8), (0.4, 1.0))(0.5)
    0.7
    """

    signals: tuple[float, ...]
    shares: tuple[float, ...]

    def __call__(self, signal: float) -> float:
        place = bisect_left(self.signals, signal)
        if place == 0:
            return self.shares[0]
        if place == len(self.signals):
            return self.shares[-1]
        low, high = self.signals[place - 1], self.signals[place]
        part = (signal - low) / (high - low)
        return self.shares[place - 1] + part * (self.shares[place] - self.shares[place - 1])

    def to_json(self) -> dict[str, Any]:
        return {"form": "isotonic", "signals": list(self.signals), "shares": list(self.shares)}


@dataclass(frozen=True, slots=True)
class Platt:
    """1 / (1 + exp(-(slope · log odds of the signal + offset))); `slope` is not negative.

    >>> round(Platt(slope=1.0, offset=0.0)(0.7), 3)
    0.7
    """

    slope: float
    offset: float

    def __call__(self, signal: float) -> float:
        return _logistic(self.slope * _log_odds(signal) + self.offset)

    def to_json(self) -> dict[str, Any]:
        return {"form": "platt", "slope": self.slope, "offset": self.offset}


def isotonic(signals: Sequence[float], right: Sequence[bool]) -> Isotonic:
    """The curve that fits best of all that never fall: neighbors that fall are pooled.

    Pool adjacent violators (Ayer et al. 1955, Annals of Mathematical Statistics 26, 641), for
    probabilities as in Zadrozny and Elkan (2002, KDD, 694). A pool stands at its first and last
    signal with its share of right answers; one right and one wrong answer are shared out over all
    pools by their size, so that no share is 0 or 1 for certain. It wants a few hundred outcomes;
    with fewer, `platt`.

    Raises `DataError` for no outcomes.

    >>> isotonic([0.1, 0.2, 0.8, 0.9] * 9, [False, True, False, True] * 9).signals
    (0.1, 0.2, 0.8, 0.9)
    """
    _check(signals, right)
    pools: list[_Pool] = []
    for signal, count, good in _tied(signals, right):
        pools.append(_Pool(signal, signal, count, good))
        while len(pools) > 1 and pools[-2].share >= pools[-1].share:
            last = pools.pop()
            pools[-1] = pools[-1].joined(last)
    return _points(pools, len(signals))


@dataclass(frozen=True, slots=True)
class _Pool:
    low: float
    high: float
    count: int
    right: float

    @property
    def share(self) -> float:
        return self.right / self.count

    def joined(self, other: _Pool) -> _Pool:
        return _Pool(self.low, other.high, self.count + other.count, self.right + other.right)


def _points(pools: Sequence[_Pool], total: int) -> Isotonic:
    signals: list[float] = []
    shares: list[float] = []
    for pool in pools:
        extra = pool.count / total
        share = round((pool.right + extra) / (pool.count + 2 * extra), 12)
        for signal in dict.fromkeys((pool.low, pool.high)):
            signals.append(signal)
            shares.append(share)
    return Isotonic(tuple(signals), tuple(shares))


def _tied(signals: Sequence[float], right: Sequence[bool]) -> list[tuple[float, int, float]]:
    """Each signal once, rising, with how many outcomes it has and how many are right."""
    found: dict[float, list[int]] = {}
    for signal, good in zip(signals, right, strict=True):
        each = found.setdefault(signal, [0, 0])
        each[0] += 1
        each[1] += bool(good)
    return [(signal, count, good) for signal, (count, good) in sorted(found.items())]


def platt(signals: Sequence[float], right: Sequence[bool]) -> Platt:
    """The logistic curve over the log odds of the signal, of greatest likelihood.

    Platt (1999, Advances in Large Margin Classifiers, 61): the targets are (r + 1)/(r + 2) for
    right answers and 1/(w + 2) for wrong ones, r and w their numbers. Newton's method with halved
    steps, as in Lin, Lin and Weng (2007, Machine Learning 68, 267). A slope below 0 becomes 0:
    a signal that points the wrong way says nothing, and the offset is then the share of right
    answers.

    Raises `DataError` for no outcomes.

    >>> curve = platt([0.6, 0.7, 0.8, 0.9] * 5, [False, False, True, True] * 5)
    >>> curve(0.6) < 0.5 < curve(0.9)
    True
    """
    _check(signals, right)
    odds = [_log_odds(signal) for signal in signals]
    wins = sum(map(bool, right))
    high, low = (wins + 1) / (wins + 2), 1 / (len(right) - wins + 2)
    targets = [high if good else low for good in right]
    slope, offset = 0.0, _log_odds((wins + 1) / (len(right) + 2))
    loss = _loss(odds, targets, slope, offset)
    for _ in range(_STEPS):
        turn, shift = _newton(odds, targets, slope, offset)
        size, better = 1.0, loss
        while size > 1e-10:
            better = _loss(odds, targets, slope + size * turn, offset + size * shift)
            if better < loss:
                break
            size /= 2
        if loss - better < 1e-12 * max(1.0, loss):
            break
        slope, offset, loss = slope + size * turn, offset + size * shift, better
    if slope < 0:
        return Platt(0.0, _log_odds((wins + 1) / (len(right) + 2)))
    return Platt(slope, offset)


def _newton(
    odds: Sequence[float], targets: Sequence[float], slope: float, offset: float
) -> tuple[float, float]:
    """One Newton step; 1e-9 on the diagonal keeps it defined where all signals are equal."""
    g0 = g1 = 0.0
    h00 = h11 = 1e-9
    h01 = 0.0
    for x, target in zip(odds, targets, strict=True):
        p = _logistic(slope * x + offset)
        weight = p * (1 - p)
        g0, g1 = g0 + (p - target) * x, g1 + (p - target)
        h00, h01, h11 = h00 + weight * x * x, h01 + weight * x, h11 + weight
    area = h00 * h11 - h01 * h01
    return -(h11 * g0 - h01 * g1) / area, -(h00 * g1 - h01 * g0) / area


def _loss(odds: Sequence[float], targets: Sequence[float], slope: float, offset: float) -> float:
    total = 0.0
    for x, target in zip(odds, targets, strict=True):
        z = slope * x + offset
        total += max(z, 0.0) - z * target + math.log1p(math.exp(-abs(z)))
    return total


def _logistic(z: float) -> float:
    if z >= 0:
        return 1 / (1 + math.exp(-z))
    grown = math.exp(z)
    return grown / (1 + grown)


def _log_odds(share: float) -> float:
    inside = min(max(share, _EDGE), 1 - _EDGE)
    return math.log(inside / (1 - inside))


def _check(signals: Sequence[float], right: Sequence[bool]) -> None:
    if not signals or len(signals) != len(right):
        raise DataError(
            f"{len(signals)} signals and {len(right)} outcomes: a curve is fitted on one outcome "
            "for each signal, and on some hundred of them"
        )
    check_signals(signals)


def check_signals(signals: Sequence[float | None]) -> None:
    """Raise `DataError` for what is no number from 0 to 1; `None` has no place on a curve."""
    for one in signals:
        if not isinstance(one, Real) or not 0 <= one <= 1:
            raise DataError(f"a signal of {one!r}: a signal is a number from 0 to 1, 1 is surest")


def curve_from_json(body: dict[str, Any]) -> Curve:
    """The curve that `to_json` wrote; `ValueError` where it is none."""
    if body["form"] == "platt":
        slope, offset = float(body["slope"]), float(body["offset"])
        if not (0 <= slope < math.inf and math.isfinite(offset)):
            raise ValueError("a curve never falls, and this one does, or is not finite")
        return Platt(slope, offset)
    if body["form"] != "isotonic":
        raise ValueError(f"a curve of form {body['form']!r} is unknown")
    signals, shares = (tuple(map(float, body[name])) for name in ("signals", "shares"))
    if not signals or len(signals) != len(shares):
        raise ValueError("an isotonic curve has as many signals as shares, and at least one")
    if not all(0 <= one <= 1 for one in (*signals, *shares)):
        raise ValueError("signals and shares of a curve are numbers from 0 to 1")
    if any(list(each) != sorted(each) for each in (signals, shares)):
        raise ValueError("a curve never falls, and this one does")
    return Isotonic(signals, shares)
