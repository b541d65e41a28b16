"""Accuracy over cost as one chart, a panel for each set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from compilm.views.axis import Axis, padded
from compilm.views.svg import BAD, BEST, GOOD, bottom_axis, document, left_axis, mark, number, text

from .rules import Point

__all__ = ["draw"]

_WIDE, _HIGH, _TOP, _FOOT = 180.0, 150.0, 46.0, 48.0
_COLORS = {
    "confidence": BEST,
    "alike, right": BEST,
    "alike, enough": GOOD,
    "longest prompt": BAD,
    "random": "currentColor",
}


def draw(sets: Mapping[str, Mapping[str, Sequence[Point]]]) -> str:
    """The chart as SVG; the oracle's curve is left out, it flattens all others."""
    marks = []
    for place, (name, rules) in enumerate(sets.items()):
        marks.append(_panel(name, rules, 44.0 + place * (_WIDE + 56.0)))
    shown = [name for name in _COLORS if any(name in rules for rules in sets.values())]
    for place, name in enumerate(shown):
        x = 44.0 + place * 136.0
        marks.append(_line([(x, 12.0), (x + 22.0, 12.0)], name))
        marks.append(text(x + 28.0, 16.0, name))
    return document(_TOP + _HIGH + _FOOT + 6, "accuracy over cost of rules that escalate", marks)


def _panel(name: str, rules: Mapping[str, Sequence[Point]], left: float) -> str:
    shown = {rule: points for rule, points in rules.items() if rule in _COLORS}
    scores = [point.score for points in shown.values() for point in points]
    most = max(point.cost for points in shown.values() for point in points)
    x = Axis(0.0, most, left, left + _WIDE)
    y = Axis(*padded(scores), _TOP + _HIGH, _TOP)
    parts = [
        left_axis(y, left, f"{name}: accuracy", right=left + _WIDE, wanted=4),
        bottom_axis(x, _TOP + _HIGH, "cost, 1 is always dear", top=_TOP, wanted=3),
    ]
    for rule, points in shown.items():
        parts.append(_line([(x.at(p.cost), y.at(p.score)) for p in sorted(points)], rule))
    return "".join(parts)


def _line(corners: Sequence[tuple[float, float]], rule: str) -> str:
    path = "M" + "L".join(f"{number(px)},{number(py)}" for px, py in corners)
    dashes = {"random": "4 3", "longest prompt": "1 2"}.get(rule)
    return mark("path", d=path, fill="none", stroke=_COLORS[rule], stroke_width=1.8,
                stroke_dasharray=dashes)  # fmt: skip
