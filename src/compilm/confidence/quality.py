"""How good probabilities are: are they met, do they part right from wrong."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import DataError

__all__ = ["brier_score", "calibration_error", "ranking"]


def calibration_error(
    probabilities: Sequence[float], right: Sequence[bool], *, bins: int = 15
) -> float:
    """How far probabilities are from what happened, on average: 0 is perfect, 1 the worst.

    The expected calibration error (Naeini, Cooper and Hauskrecht 2015, AAAI, 2901), with bins of
    equal numbers of answers, equal probabilities in one bin: Σ nᵢ/n · |mean probability − share of
    right answers|. It is biased upward in small samples.

    >>> calibration_error([0.75] * 8, [True] * 4 + [False] * 4)
    0.25
    """
    rows = _sorted(probabilities, right)
    error, start = 0.0, 0
    for place in range(1, bins + 1):
        end = max(round(place * len(rows) / bins), start)
        while 0 < end < len(rows) and rows[end][0] == rows[end - 1][0]:
            end += 1
        inside = rows[start:end]
        error += abs(sum(p for p, _ in inside) - sum(good for _, good in inside))
        start = end
    return error / len(rows)


def brier_score(probabilities: Sequence[float], right: Sequence[bool]) -> float:
    """The mean squared distance to what happened (Brier 1950, Monthly Weather Review 78, 1).

    >>> brier_score([1.0, 0.5], [True, False])
    0.125
    """
    rows = _sorted(probabilities, right)
    return sum((p - good) ** 2 for p, good in rows) / len(rows)


def ranking(signals: Sequence[float], right: Sequence[bool]) -> float:
    """How often a right answer has a higher signal than a wrong one, ties counted half.

    The area under the ROC curve (Hanley and McNeil 1982, Radiology 143, 29); 0.5 is chance. NaN
    where all are right or all are wrong.

    >>> ranking([0.9, 0.8, 0.3], [True, False, False])
    1.0
    """
    rows = _sorted(signals, right)
    wins = sum(good for _, good in rows)
    losses = len(rows) - wins
    if not wins or not losses:
        return float("nan")
    above, start = 0.0, 0
    for end in range(1, len(rows) + 1):
        if end == len(rows) or rows[end][0] != rows[start][0]:
            good = sum(each for _, each in rows[start:end])
            rank = (start + 1 + end) / 2
            above += good * rank
            start = end
    return (above - wins * (wins + 1) / 2) / (wins * losses)


def _sorted(numbers: Sequence[float], right: Sequence[bool]) -> list[tuple[float, bool]]:
    if not numbers or len(numbers) != len(right):
        raise DataError(f"{len(numbers)} numbers and {len(right)} outcomes: give one for each")
    return sorted((float(n), bool(good)) for n, good in zip(numbers, right, strict=True))
