"""The charts of a story."""

from __future__ import annotations

from .curve import Point, curve
from .intervals import Bar, Panel, intervals
from .lineage import Node, lineage
from .matrix import Row, matrix
from .story import BASELINE, Story

__all__ = ["evidence", "named", "progress", "tree", "wins"]


def progress(story: Story) -> str:
    """Best validation score over what was spent: calls, or rollouts where no call was made."""
    unit = "calls" if story.spent.calls else "rollouts"
    points = [
        Point(
            row.candidate,
            float(getattr(row.spent, unit)),
            row.score.value if row.score else None,
            row.outcome == "won",
            row.best_score,
        )
        for row in story.decisions
    ]
    start = story.baseline_score
    return curve(
        points,
        unit="calls to a model" if unit == "calls" else unit,
        baseline=start.value if start else None,
        end=float(getattr(story.spent, unit)),
        tail="held-out comparison" if story.confirmed else "",
    )


def evidence(story: Story) -> str:
    """Baseline, compiled and gain with their intervals; empty before the held-out comparison."""
    seen = story.confirmed
    if seen is None or seen.baseline is None or seen.compiled is None or seen.gain is None:
        return ""
    n = seen.gain.n
    gains = [Bar("gain, as told", seen.gain, best=True)]
    if seen.held_out is not None:
        gains.insert(0, Bar("on these examples", seen.held_out))
    scores = (
        Bar("given program", seen.baseline),
        Bar(named(story), seen.compiled, best=True),
    )
    return intervals(
        [
            Panel(f"{seen.split} score ({n:,} examples, 95 % intervals)", scores),
            Panel("gain", tuple(gains), difference=True),
        ],
        title="held-out scores and gain with 95 % intervals",
    )


def named(story: Story) -> str:
    """What to call the candidate that was held against the given program."""
    kept = not story.finished or story.shipped == story.challenger
    return f"compiled ({story.challenger})" if kept else f"candidate {story.challenger}"


def tree(story: Story) -> str:
    """The candidates and where they came from; empty before there are two."""
    if len(story.candidates) < 2:
        return ""
    nodes = []
    for row in story.candidates:
        decided = story.outcome(row.id)
        score = decided.score if decided else None
        if row.id == BASELINE:
            score = story.baseline_score
        best = row.id == (story.shipped or story.challenger)
        outcome = ("shipped" if story.finished else "leads") if best else story.standing(row.id)
        nodes.append(Node(row.id, row.parent, row.move, score, outcome, best))
    return lineage(nodes)


def wins(story: Story, split: str = "val") -> str:
    """Candidates against the baseline, example by example; empty where nothing was run."""
    baseline = {e: cell.value for e, cell in story.cells(BASELINE, split).items()}
    rows = [
        Row(each.id, {e: cell.value for e, cell in story.cells(each.id, split).items()})
        for each in story.candidates
        if each.id != BASELINE
    ]
    shown = [row for row in rows if row.scores]
    if not shown or not any(value is not None for value in baseline.values()):
        return ""
    return matrix(Row(BASELINE, baseline), shown)
