"""Rules that say which step answers, as curves of accuracy over cost; the trivial ones beside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from compilm import canonical
from compilm.confidence import Alike, Case, isotonic
from compilm.randomness import rng

from .sets import Ladder, Row

__all__ = ["Point", "at_cost", "curves", "halves", "recovered"]

_STEPS = 40


class Point(NamedTuple):
    """What a rule costs, as a share of always asking the dearest step, and how right it is."""

    cost: float
    score: float


def halves(rows: Sequence[Any], split: int) -> tuple[list[Any], list[Any]]:
    """Rows to fit on and rows to test on: by a hash of the row's id and the split."""
    fit: list[Any] = []
    test: list[Any] = []
    for row in rows:
        first = int(canonical.digest([row.id, split])[-1], 16) % 2
        (fit if first else test).append(row)
    return fit, test


def curves(ladder: Ladder, split: int) -> dict[str, list[Point]]:
    """Each rule's points on the test half, the cheapest first."""
    fit, test = halves(ladder.rows, split)
    draw = rng(split, "random rule")
    found = {
        "random": _routed(test, [draw.random() for _ in test]),
        "longest prompt": _routed(test, [-len(row.text) for row in test]),
    }
    if ladder.said is not None:
        found["confidence"] = _climbed(ladder.said, fit, test)
    else:
        for name, enough in (("right", _is_right), ("enough", _is_enough)):
            alike = Alike([row.text for row in fit], [enough(row) for row in fit])
            sure = [alike(Case({"text": row.text})) for row in test]
            found[f"alike, {name}"] = _routed(test, sure)
    found["oracle"] = _routed(test, [row.answers[0].score - row.answers[-1].score for row in test])
    return found


def _is_right(row: Row) -> bool:
    """The cheap answer is right."""
    return row.answers[0].score >= 0.5


def _is_enough(row: Row) -> bool:
    """The dear answer is no better."""
    return row.answers[0].score >= row.answers[-1].score


def _routed(rows: Sequence[Row], sure: Sequence[float]) -> list[Point]:
    """One step for each question: the dearest for the least sure, at each share of them."""
    order = sorted(range(len(rows)), key=lambda place: sure[place])
    points = []
    for step in range(_STEPS + 1):
        dear = set(order[: round(len(rows) * step / _STEPS)])
        chosen = [row.answers[-1 if n in dear else 0] for n, row in enumerate(rows)]
        points.append(_point(rows, [each.cost for each in chosen], [c.score for c in chosen]))
    return points


def _climbed(
    said: Callable[[Row, int], float | None], fit: Sequence[Row], test: Sequence[Row]
) -> list[Point]:
    """Steps in turn, each paid for, until one's calibrated confidence reaches a threshold."""
    last = len(test[0].answers) - 1
    drawn = []
    for step in range(last):
        signals = [said(row, step) or 0.0 for row in fit]
        drawn.append(isotonic(signals, [row.answers[step].score >= 0.5 for row in fit]))
    points = []
    for level in range(_STEPS + 1):
        costs, scores = [], []
        for row in test:
            step = 0
            while step < last and drawn[step](said(row, step) or 0.0) < level / _STEPS:
                step += 1
            costs.append(sum(each.cost for each in row.answers[: step + 1]))
            scores.append(row.answers[step].score)
        points.append(_point(test, costs, scores))
    return points


def _point(rows: Sequence[Row], costs: Sequence[float], scores: Sequence[float]) -> Point:
    dear = sum(row.answers[-1].cost for row in rows)
    return Point(sum(costs) / dear, sum(scores) / len(rows))


def at_cost(points: Sequence[Point], cost: float) -> float:
    """The score of a rule at a cost: a mix of its two neighbors."""
    ordered = sorted(points)
    if cost <= ordered[0].cost:
        return ordered[0].score
    for low, high in pairwise(ordered):
        if cost <= high.cost:
            part = (cost - low.cost) / (high.cost - low.cost)
            return low.score + part * (high.score - low.score)
    return ordered[-1].score


def recovered(points: Sequence[Point], cheap: Point, dear: Point) -> float:
    """The share of the dear step's gain that a rule keeps, averaged over all costs between.

    The average performance gap recovered of RouteLLM (Ong et al. 2025, ICLR, arXiv:2406.18665),
    over cost in the place of the share of calls; random mixing has about 0.5.
    """
    costs = [cheap.cost + (dear.cost - cheap.cost) * n / 100 for n in range(101)]
    mean = sum(at_cost(points, cost) for cost in costs) / len(costs)
    return (mean - cheap.score) / (dear.score - cheap.score)
