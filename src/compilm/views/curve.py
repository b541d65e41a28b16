"""Score over spend: how the best score grew, and what every candidate scored on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .axis import Axis, padded
from .rows import Interval
from .sentences import figure
from .svg import BEST, WIDTH, bottom_axis, document, left_axis, line, mark, number, text, width_of

__all__ = ["Point", "curve"]

_LEFT, _RIGHT, _TOP, _BOTTOM, _HEIGHT = 52.0, 588.0, 56.0, 288.0, 330.0
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
) -> str:
    """The chart as SVG: the best score as a step line with its band, a dot for each candidate.

    `end` is where the spending ended, if later than the last decision.

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
        _dots(points, x, y),
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


def _dots(points: Sequence[Point], x: Axis, y: Axis) -> str:
    shown = [(p, x.at(p.spend), y.at(p.score)) for p in points if p.score is not None]
    taken = [(px - 5, py - 5, px + 5, py + 5) for _, px, py in shown]
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


def _name(
    point: Point, px: float, py: float, taken: list[tuple[float, float, float, float]]
) -> str:
    """The candidate's id beside its dot, where there is room; nothing where there is none."""
    wide = width_of(point.id)
    places = [(px + 8, py + 4), (px - 8 - wide, py + 4), (px - wide / 2, py - 9),
              (px - wide / 2, py + 18)]  # fmt: skip
    for left, base in places:
        box = (left, base - 10, left + wide, base + 2)
        inside = _LEFT < box[0] and box[2] < _RIGHT and _TOP < box[1] and box[3] < _BOTTOM
        if inside and not any(_overlap(box, other) for other in taken):
            taken.append(box)
            weight = "600" if point.won else None
            return text(left, base, point.id, font_weight=weight, font_size="11px")
    return ""


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
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
    y = 18.0
    return "".join(
        [
            mark("rect", x=_LEFT, y=y - 9, width=26, height=12, fill=BEST, fill_opacity=0.14),
            line(_LEFT, y - 3, _LEFT + 26, y - 3, stroke=BEST, stroke_width=2.25),
            text(_LEFT + 33, y + 1, "best so far, 95 % band"),
            _dot(_LEFT + 192, y - 3, won=True),
            text(_LEFT + 202, y + 1, "became the best"),
            _dot(_LEFT + 318, y - 3, won=False),
            text(_LEFT + 328, y + 1, "dropped or lost"),
            line(_LEFT + 436, y - 3, _LEFT + 462, y - 3, stroke_dasharray="5 4"),
            text(_LEFT + 469, y + 1, "the given program"),
        ]
    )
