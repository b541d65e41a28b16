"""From which signal on an answer is accepted: chosen so that a target is kept, with its proof."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..errors import DataError, UsageError
from .calibration import check_signals

__all__ = ["Threshold", "for_accuracy", "for_share"]

_STARTS = 4  # places at which the search begins, so that one early error does not end it
_CUTS = 100  # thresholds that are looked at


@dataclass(frozen=True, slots=True)
class Threshold:
    """The least signal that is accepted (`None`: no answer is), and what it was seen to give.

    Of `n` outcomes it accepts `accepted`, of which the share `accuracy` is right (`low` to `high`
    at `level`; none where nothing is accepted). `proven` says that the target accuracy holds at
    `level`; without a target it is False.

    >>> Threshold(0.8, 100, 60, 0.95, 0.86, 0.98).share
    0.6
    """

    signal: float | None
    n: int
    accepted: int
    accuracy: float | None
    low: float
    high: float
    level: float = 0.95
    target: float | None = None
    proven: bool = False

    @property
    def share(self) -> float:
        """The share of answers that are accepted."""
        return self.accepted / self.n

    def to_json(self) -> dict[str, Any]:
        """The threshold as plain data; its fields by name."""
        return asdict(self)


def for_accuracy(
    signals: Sequence[float | None],
    right: Sequence[bool],
    target: float,
    *,
    level: float = 0.95,
) -> Threshold:
    """The lowest threshold whose accepted answers are right in at least `target` of cases.

    That holds for new answers of the same kind with probability `level`, however many thresholds
    were looked at: from the strictest down, each must pass an exact binomial test (accuracy below
    the target is refuted), and the first that fails ends the walk. The walk begins at four places,
    each at a quarter of 1 − level (fixed-sequence testing, in Angelopoulos et al. 2021, Learn
    then Test, arXiv:2110.01052, §3). Where none passes, nothing is accepted: gather more outcomes
    or lower the target. With no error at all the least number of answers is
    log((1 − level)/4) / log(target): 86 for 0.95.

    >>> found = for_accuracy([n / 400 for n in range(400)], [n >= 100 for n in range(400)], 0.9)
    >>> found.proven, found.signal < 0.3
    (True, True)
    """
    _check(signals, right, target, level)
    ranked = _ranked(signals, right)
    cuts = _cuts(ranked)
    best: int | None = None
    for start in range(_STARTS):
        for cut in cuts[len(cuts) * start // _STARTS :]:
            wins = sum(good for _, good in ranked[:cut])
            if _chance(cut, wins, target) > (1 - level) / _STARTS:
                break
            best = cut if best is None else max(best, cut)
    return _threshold(ranked, best, len(signals), level, target)


def for_share(
    signals: Sequence[float | None], right: Sequence[bool], share: float, *, level: float = 0.95
) -> Threshold:
    """The threshold that hands on at most `share` of the answers to the next step.

    What the next step costs bounds the share: of a budget b a call, with prices p and q of this
    step and the next, it is (b − p)/q. Signals that are equal stay together, so fewer may be
    handed on; answers without a signal are always handed on.

    >>> for_share([0.1, 0.2, 0.8, 0.9], [False, True, True, True], 0.25).signal
    0.2
    """
    _check(signals, right, share, level)
    ranked = _ranked(signals, right)
    wanted = math.ceil(len(signals) * (1 - share) - 1e-9)
    ends = [0, *_ends(ranked)]
    cut = next((end for end in ends if end >= wanted), ends[-1])
    return _threshold(ranked, cut, len(signals), level, None)


def _threshold(
    ranked: Sequence[tuple[float, bool]],
    cut: int | None,
    n: int,
    level: float,
    target: float | None,
) -> Threshold:
    if not cut:
        return Threshold(None, n, 0, None, 0.0, 1.0, level, target)
    from ..metrics import mean_interval

    found = mean_interval([float(good) for _, good in ranked[:cut]], level=level)
    proven = target is not None
    mean, low, high = (round(each, 6) for each in (found.value, found.low, found.high))
    return Threshold(ranked[cut - 1][0], n, cut, mean, low, high, level, target, proven)


def _ranked(signals: Sequence[float | None], right: Sequence[bool]) -> list[tuple[float, bool]]:
    """Those with a signal, the surest first."""
    rows = [(s, bool(good)) for s, good in zip(signals, right, strict=True) if s is not None]
    return sorted(rows, key=lambda row: -row[0])


def _ends(ranked: Sequence[tuple[float, bool]]) -> list[int]:
    """How many answers each threshold accepts: equal signals are accepted together."""
    last = len(ranked) - 1
    return [
        place + 1
        for place, (signal, _) in enumerate(ranked)
        if place == last or ranked[place + 1][0] != signal
    ]


def _cuts(ranked: Sequence[tuple[float, bool]]) -> list[int]:
    """At most a hundred of them, chosen without a look at what was right."""
    ends = _ends(ranked)
    step = max(1, math.ceil(len(ranked) / _CUTS))
    kept: list[int] = []
    for end in ends:
        if not kept or end - kept[-1] >= step or end == len(ranked):
            kept.append(end)
    return kept


def _chance(trials: int, wins: int, target: float) -> float:
    """The probability of so many wins or more, were each won with probability `target`."""
    if wins == 0:
        return 1.0
    from ..metrics.distributions import beta_below

    return beta_below(target, wins, trials - wins + 1)


def _check(
    signals: Sequence[float | None], right: Sequence[bool], share: float, level: float
) -> None:
    if not signals or len(signals) != len(right):
        raise DataError(f"{len(signals)} signals and {len(right)} outcomes: give one for each")
    check_signals([one for one in signals if one is not None])
    if not 0 <= share <= 1 or not 0 < level < 1:
        raise UsageError(f"{share!r} at level {level!r}: both are shares between 0 and 1")
