"""Example by example: where each candidate wins and loses against the baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .svg import BAD, GOOD, document, mark, number, text, width_of

__all__ = ["Row", "matrix"]

_LEFT, _RIGHT, _TOP, _ROW = 56.0, 628.0, 34.0, 20.0
_MOST = 30
_INK = {
    "better": (GOOD, 1.0),
    "worse": (BAD, 1.0),
    "same": ("currentColor", 0.13),
    "low": ("currentColor", 0.75),
    "middle": ("currentColor", 0.42),
    "high": ("currentColor", 0.13),
}
_LEGEND = (
    ("low", "the given program scores low"),
    ("better", "better than it"),
    ("worse", "worse"),
    ("same", "the same"),
)


@dataclass(frozen=True, slots=True)
class Row:
    """One candidate's score by example id; `None` where it is missing."""

    name: str
    scores: Mapping[str, float | None]


def matrix(baseline: Row, rows: Sequence[Row]) -> str:
    """The chart as SVG: a row each candidate, a column each example, the hardest first.

    The baseline's row is darker the lower its score; in the others green is better, red is worse.

    >>> chart = matrix(Row("c0", {"a": 0.0, "b": 1.0}), [Row("c1", {"a": 1.0, "b": 1.0})])
    >>> "+1 −0" in chart
    True
    """
    scored = {e: v for e, v in baseline.scores.items() if v is not None}
    order = sorted(scored, key=lambda e: (scored[e], -_wins(e, scored, rows), e))
    shown = list(rows)[:_MOST]
    marks = [_legend(), _strip(baseline.name, [_level(scored[e], scored) for e in order], 0)]
    for place, row in enumerate(shown, start=1):
        kinds = [_kind(row.scores.get(e), scored[e]) for e in order]
        tally = f"+{kinds.count('better')} −{kinds.count('worse')}"
        marks.append(_strip(row.name, kinds, place, tally))
    floor = _TOP + (len(shown) + 1) * _ROW
    marks.append(text((_LEFT + _RIGHT) / 2, floor + 16, _below(order, rows), text_anchor="middle",
                      opacity=0.75))  # fmt: skip
    return document(floor + 24, "wins and losses example by example", marks)


def _below(order: Sequence[str], rows: Sequence[Row]) -> str:
    left_out = f"; {len(rows) - _MOST} candidates left out" if len(rows) > _MOST else ""
    return f"{len(order):,} examples, the hardest for the given program first{left_out}"


def _wins(example: str, scored: Mapping[str, float], rows: Sequence[Row]) -> int:
    return sum(_kind(row.scores.get(example), scored[example]) == "better" for row in rows)


def _kind(mine: float | None, theirs: float) -> str:
    if mine is None:
        return ""
    return "better" if mine > theirs else "worse" if mine < theirs else "same"


def _level(value: float, scored: Mapping[str, float]) -> str:
    """How high a score is on a scale from 0 to 1, or as far as the scores go beyond it."""
    low, high = min([0.0, *scored.values()]), max([1.0, *scored.values()])
    share = (value - low) / (high - low)
    return "low" if share < 1 / 3 else "high" if share > 2 / 3 else "middle"


def _strip(name: str, kinds: Sequence[str], place: int, tally: str = "") -> str:
    top = _TOP + place * _ROW
    wide = (_RIGHT - _LEFT) / max(1, len(kinds))
    gap = 1.0 if wide >= 5 else 0.0
    paths: dict[str, str] = {}
    for first, last, kind in _stretches(kinds, whole=not gap):
        x, w = _LEFT + first * wide, (last - first) * wide - gap
        corner = f"M{number(x)} {number(top)}h{number(w)}v{_ROW - 4:g}h-{number(w)}z"
        paths[kind] = paths.get(kind, "") + corner
    cells = [
        mark("path", d=paths[kind], fill=color, fill_opacity=ink)
        for kind, (color, ink) in _INK.items()
        if kind in paths
    ]
    label = text(_LEFT - 10, top + 12, name, text_anchor="end")
    return "".join([label, *cells, text(_RIGHT + 12, top + 12, tally) if tally else ""])


def _stretches(kinds: Sequence[str], *, whole: bool) -> list[tuple[int, int, str]]:
    """Each cell by itself, or neighbors of one kind as one stretch where `whole`."""
    found: list[tuple[int, int, str]] = []
    for place, kind in enumerate(kinds):
        if whole and found and found[-1][2] == kind:
            found[-1] = (found[-1][0], place + 1, kind)
        else:
            found.append((place, place + 1, kind))
    return found


def _legend() -> str:
    marks, x = [], _LEFT
    for kind, words in _LEGEND:
        color, ink = _INK[kind]
        marks.append(mark("rect", x=x, y=6, width=12, height=12, fill=color, fill_opacity=ink))
        marks.append(text(x + 18, 16, words))
        x += width_of(words) + 36
    return "".join(marks)
