"""The chart: mean true gain over the five worlds by the calls it took, one line a contestant."""

from __future__ import annotations

from dataclasses import dataclass

from compilm.views.axis import Axis, padded
from compilm.views.svg import BEST, WIDTH, bottom_axis, document, left_axis, mark, number, text

from .summary import NAMES, Entry, Runs, five_world_gain, mean_and_error

__all__ = ["curve"]

_LEFT, _RIGHT, _TOP, _BOTTOM, _HEIGHT = 52.0, 560.0, 44.0, 320.0, 364.0
_APART, _WIDE = 15.0, 120.0  # pixels between two names, and of a name
_DASHES = {"mipro-medium": "1 3", "gepa": "6 3", "simba": "2 3", "bootstrap-rs": "9 3 2 3"}


@dataclass(frozen=True, slots=True)
class _Point:
    calls: float
    gain: float
    error: float


def curve(runs: Runs) -> str:
    """The chart as SVG: a dot for each number of calls, a band of one standard error.

    The calls are those taken, not those allowed: who goes past the number stands further right.
    """
    lines = {name: _line(runs, name) for name in NAMES}
    lines = {name: points for name, points in lines.items() if points}
    if not lines:
        words = text(WIDTH / 2, 40, "no runs yet", text_anchor="middle", opacity=0.7)
        return document(80, "gain over calls", [words])
    every = [point for points in lines.values() for point in points]
    x = Axis(0.0, max(point.calls for point in every) * 1.02, _LEFT, _RIGHT)
    heights = [edge for p in every for edge in (p.gain - p.error, p.gain + p.error)]
    y = Axis(*padded([0.0, *heights]), _BOTTOM, _TOP)
    marks = [
        left_axis(y, _LEFT, "mean true gain over five worlds, points", right=_RIGHT),
        bottom_axis(x, _BOTTOM, "program calls taken", top=_TOP),
        *(_drawn(name, points, x, y) for name, points in lines.items()),
        *_labels({n: (x.at(end[-1].calls), y.at(end[-1].gain)) for n, end in lines.items()}),
    ]
    return document(_HEIGHT, "mean true gain over program calls, by optimizer", marks)


def _line(runs: Runs, name: str) -> list[_Point]:
    found = []
    for budget in runs.budgets:
        entry = Entry(name, budget)
        gained = [100 * value for value in five_world_gain(runs, entry).values()]
        if gained:
            center, error = mean_and_error(gained)
            calls, _ = mean_and_error([row["calls"] for row in runs.of(entry)])
            found.append(_Point(calls, center, 0.0 if error != error else error))
    return found


def _color(name: str) -> str:
    return BEST if name.startswith("ours") else "currentColor"


def _drawn(name: str, points: list[_Point], x: Axis, y: Axis) -> str:
    color = _color(name)
    upper = [(x.at(p.calls), y.at(p.gain + p.error)) for p in points]
    lower = [(x.at(p.calls), y.at(p.gain - p.error)) for p in reversed(points)]
    ends = [(x.at(p.calls), y.at(p.gain)) for p in points]
    strong = 1.0 if name.startswith("ours") else 0.7
    band = mark("path", d=_path([*upper, *lower]) + "Z", fill=color, fill_opacity=0.1)
    stroke = mark(
        "path",
        d=_path(ends),
        fill="none",
        stroke=color,
        stroke_width=2.25 if name.startswith("ours") else 1.5,
        stroke_opacity=strong,
        stroke_dasharray=_DASHES.get(name),
    )
    dots = [mark("circle", cx=px, cy=py, r=3, fill=color, fill_opacity=strong) for px, py in ends]
    return "".join([band, stroke, *dots])


def _path(corners: list[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{number(px)},{number(py)}" for px, py in corners)


def _labels(ends: dict[str, tuple[float, float]]) -> list[str]:
    """Names where the lines end, top to bottom, moved down where they would touch."""
    marks: list[str] = []
    placed: list[tuple[float, float]] = []
    for name, (px, py) in sorted(ends.items(), key=lambda item: item[1][1]):
        for other_x, other_y in placed:
            if abs(other_x - px) < _WIDE and py < other_y + _APART:
                py = other_y + _APART
        placed.append((px, py))
        marks.append(text(px + 10, py + 4, NAMES[name], fill=_color(name)))
    return marks
