"""Score over spend: how the best score grew, and what every candidate scored on the way."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from .axis import Axis, padded
from .rows import Interval
from .sentences import figure
from .svg import BEST, WIDTH, bottom_axis, document, left_axis, line, mark, number, text, width_of

__all__ = ["Point", "curve"]

_LEFT, _RIGHT, _TOP, _BOTTOM, _HEIGHT = 52.0, 588.0, 56.0, 288.0, 330.0
Box: TypeAlias = tuple[float, float, float, float]  # left, top, right, bottom
_CROWD = 40  # from this many candidates on, only those that won carry their name


@dataclass(frozen=True, slots=True)
class Point:
    """One decision: what had been spent, the candidate's score, and the best score after it."""

    id: str
    spend: float
    score: float | None
    won: bool
    best: Interval | None


def curve(
    points: Sequence[Point],
    *,
    unit: str = "calls to a model",
    score: str = "validation score",
    baseline: float | None = None,
    end: float = 0.0,
    tail: str = "",
) -> str:
    """The chart as SVG: the best score as a step line with its band, a dot for each candidate.

    `end` is where the spending ended, if later than the last decision, and `tail` says on what.

    >>> curve([]).count("no scores yet")
    1
    """
    known = [point for point in points if point.best is not None]
    if not known:
        words = text(WIDTH / 2, 40, "no scores yet", text_anchor="middle", opacity=0.7)
        return document(80, "score over spend", [words])
    x = Axis(0.0, max([end, *(p.spend for p in points)]) or 1.0, _LEFT, _RIGHT)
    y = Axis(*padded(_heights(points, baseline), within=(0.0, 1.0)), _BOTTOM, _TOP)
    labels = _End(y)
    marks = [
        left_axis(y, _LEFT, score, right=_RIGHT),
        bottom_axis(x, _BOTTOM, f"spent: {unit}", top=_TOP),
        _band(known, x, y),
        _steps(known, x, y),
        "" if baseline is None else _baseline(baseline, y),
        _tail(tail, x.at(points[-1].spend)),
        _dots(points, x, y, _lines(known, x, y, baseline)),
        labels.add(known[-1].best.value, "best", BEST),  # type: ignore[union-attr]  # known have one
        "" if baseline is None else labels.add(baseline, "given", "currentColor"),
        _legend(),
    ]
    return document(_HEIGHT, f"best {score} over {unit}", marks)


def _heights(points: Sequence[Point], baseline: float | None) -> list[float]:
    heights = [p.score for p in points if p.score is not None]
    heights += [edge for p in points if p.best for edge in (p.best.low, p.best.high)]
    return heights + ([] if baseline is None else [baseline])


def _stairs(known: Sequence[Point], x: Axis, heights: Sequence[float]) -> list[tuple[float, float]]:
    """The corners of a line that holds each height until the next decision, then to the end."""
    corners = [(x.at(known[0].spend), heights[0])]
    for point, height in zip(known[1:], heights[1:], strict=True):
        corners += [(x.at(point.spend), corners[-1][1]), (x.at(point.spend), height)]
    corners.append((x.end, heights[-1]))
    return corners


def _path(corners: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{number(px)},{number(py)}" for px, py in corners)


def _band(known: Sequence[Point], x: Axis, y: Axis) -> str:
    edges = [(p.best.low, p.best.high) for p in known if p.best]
    lower = _stairs(known, x, [y.at(low) for low, _ in edges])
    upper = _stairs(known, x, [y.at(high) for _, high in edges])
    return mark("path", d=_path([*upper, *reversed(lower)]) + "Z", fill=BEST, fill_opacity=0.14)


def _steps(known: Sequence[Point], x: Axis, y: Axis) -> str:
    corners = _stairs(known, x, [y.at(p.best.value) for p in known if p.best])
    return mark("path", d=_path(corners), fill="none", stroke=BEST, stroke_width=2.25)


def _baseline(value: float, y: Axis) -> str:
    at = y.at(value)
    return line(_LEFT, at, _RIGHT, at, stroke_dasharray="5 4", stroke_opacity=0.65)


def _tail(words: str, start: float) -> str:
    """What the last of the spending was for, where there is room to say it."""
    if not words or _RIGHT - start < width_of(words) + 12:
        return ""
    return text(_RIGHT, _BOTTOM - 8, words, text_anchor="end", opacity=0.6)


def _lines(known: Sequence[Point], x: Axis, y: Axis, baseline: float | None) -> list[Box]:
    """What the lines of the chart cover, so that no name is written over them."""
    corners = _stairs(known, x, [y.at(p.best.value) for p in known if p.best])
    ends = list(itertools.pairwise(corners))
    if baseline is not None:
        ends.append(((_LEFT, y.at(baseline)), (_RIGHT, y.at(baseline))))
    return [
        (min(x1, x2) - 2, min(y1, y2) - 2, max(x1, x2) + 2, max(y1, y2) + 2)
        for (x1, y1), (x2, y2) in ends
    ]


def _dots(points: Sequence[Point], x: Axis, y: Axis, lines: Sequence[Box]) -> str:
    shown = [(p, x.at(p.spend), y.at(p.score)) for p in points if p.score is not None]
    taken = [*lines, *((px - 5, py - 5, px + 5, py + 5) for _, px, py in shown)]
    dots, names = [], []
    for point, px, py in sorted(shown, key=lambda each: each[0].won):
        dots.append(_dot(px, py, won=point.won))
    for point, px, py in sorted(shown, key=lambda each: not each[0].won):
        if point.won or len(shown) <= _CROWD:
            names.append(_name(point, px, py, taken))
    return "".join([*dots, *names])


def _dot(px: float, py: float, *, won: bool) -> str:
    if won:
        return mark("circle", cx=px, cy=py, r=4.5, fill=BEST)
    return mark("circle", cx=px, cy=py, r=3.5, fill="none", stroke="currentColor",
                stroke_width=1.3, stroke_opacity=0.7)  # fmt: skip


def _name(point: Point, px: float, py: float, taken: list[Box]) -> str:
    """The candidate's id beside its dot, where there is room; nothing where there is none."""
    wide = width_of(point.id)
    places = [(px + 8, py + 4), (px - 8 - wide, py + 4), (px - 4 - wide, py - 7),
              (px + 5, py + 15), (px - wide / 2, py - 9), (px - wide / 2, py + 18)]  # fmt: skip
    for left, base in places:
        box = (left, base - 10, left + wide, base + 2)
        inside = box[0] > _LEFT and box[2] < _RIGHT and box[1] > _TOP and box[3] < _BOTTOM
        if inside and not any(_overlap(box, other) for other in taken):
            taken.append(box)
            weight = "600" if point.won else None
            return text(left, base, point.id, font_weight=weight, font_size="11px")
    return ""


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


class _End:
    """Labels at the right end of lines, kept apart from each other."""

    def __init__(self, y: Axis) -> None:
        self._y = y
        self._used: list[float] = []

    def add(self, value: float, name: str, color: str) -> str:
        """The label of the line that ends at `value`."""
        at = self._y.at(value)
        for other in self._used:
            if abs(at - other) < 16:
                at = other + 16 if at >= other else other - 16
        self._used.append(at)
        return text(_RIGHT + 10, at + 4, f"{name} {figure(value)}", fill=color, font_weight="600")


def _legend() -> str:
    y, x = 15.0, _LEFT
    entries = (
        (26, mark("rect", x=0, y=y - 6, width=26, height=12, fill=BEST, fill_opacity=0.14)
         + line(0, y, 26, y, stroke=BEST, stroke_width=2.25), "best so far, 95 % band"),
        (9, _dot(4.5, y, won=True), "became the best"),
        (9, _dot(4.5, y, won=False), "dropped or lost"),
        (26, line(0, y, 26, y, stroke_dasharray="5 4", stroke_opacity=0.65), "the given program"),
    )  # fmt: skip
    marks = []
    for wide, sign, words in entries:
        marks.append(mark("g", sign + text(wide + 7, y + 4, words), transform=f"translate({x:g})"))
        x += wide + 7 + width_of(words) + 22
    return "".join(marks)
