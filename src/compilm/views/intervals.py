"""Intervals side by side: scores on one axis, a gain on another that shows where 0 lies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .axis import Axis, padded
from .rows import Interval
from .sentences import interval
from .svg import BAD, BEST, GOOD, WIDTH, bottom_axis, document, line, mark, text

__all__ = ["Bar", "Panel", "intervals"]

_LEFT, _RIGHT, _ROW, _AXIS = 150.0, 548.0, 30.0, 58.0


@dataclass(frozen=True, slots=True)
class Bar:
    """One measured number under its name; `best` puts it in the color of the winner."""

    name: str
    measured: Interval
    best: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """Bars on one axis. `difference` marks 0 and colors bars by the side they lie on."""

    title: str
    bars: tuple[Bar, ...]
    difference: bool = False


def intervals(panels: Sequence[Panel], *, title: str = "scores with 95 % intervals") -> str:
    """The chart as SVG, panel under panel.

    >>> "0.710 [0.62, 0.78]" in intervals(
    ...     [Panel("score", (Bar("compiled", Interval(0.71, 0.62, 0.78, 120)),))]
    ... )
    True
    """
    marks, top = [], 8.0
    for panel in panels:
        marks.append(_panel(panel, top))
        top += len(panel.bars) * _ROW + _AXIS
    return document(top, title, marks)


def _panel(panel: Panel, top: float) -> str:
    edges = [e for b in panel.bars for e in (b.measured.low, b.measured.high, b.measured.value)]
    low, high = padded([*edges, *([0.0] if panel.difference else [])],
                       within=None if panel.difference else (0.0, 1.0))  # fmt: skip
    x = Axis(low, high, _LEFT, _RIGHT)
    floor = top + len(panel.bars) * _ROW + 4
    marks = [bottom_axis(x, floor, panel.title, top=top)]
    if panel.difference:
        zero = x.at(0.0)
        marks.append(line(zero, top, zero, floor, stroke_width=1.5, stroke_opacity=0.8))
    for place, bar in enumerate(panel.bars):
        marks.append(_bar(bar, x, top + (place + 0.5) * _ROW + 2, difference=panel.difference))
    return "".join(marks)


def _bar(bar: Bar, x: Axis, y: float, *, difference: bool) -> str:
    found = bar.measured
    color = _side(found) if difference else BEST if bar.best else "currentColor"
    low, high = x.at(found.low), x.at(found.high)
    weight = "600" if bar.best or difference else None
    return "".join(
        [
            text(_LEFT - 16, y + 4, bar.name, text_anchor="end", font_weight=weight),
            line(low, y, high, y, stroke=color, stroke_width=3, stroke_linecap="round"),
            line(low, y - 6, low, y + 6, stroke=color, stroke_width=2),
            line(high, y - 6, high, y + 6, stroke=color, stroke_width=2),
            mark("circle", cx=x.at(found.value), cy=y, r=5.5, fill=color),
            text(WIDTH, y + 4, interval(found, difference=difference), text_anchor="end",
                 font_weight=weight),
        ]
    )  # fmt: skip


def _side(found: Interval) -> str:
    """The color of a gain: only an interval wholly on one side of 0 has one."""
    return GOOD if found.low > 0 else BAD if found.high < 0 else "currentColor"
