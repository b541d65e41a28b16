"""A program's graph as a drawing, with the way of one run: layers from the top, loops at the side.

The layer of a node is the longest way to it without going back (Sugiyama, Tagawa and Toda,
"Methods for Visual Understanding of Hierarchical System Structures", 1981); nodes of a layer stand
in the order of the middle of what leads to them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from ..graphs.edges import END
from ..graphs.outline import Arrow, Box, Outline, Way
from .svg import BAD, BEST, WIDTH, document, mark, text, width_of

__all__ = ["graph_drawing"]

_ROW, _HEIGHT, _GAP, _TOP = 88.0, 30.0, 46.0, 12.0  # pixels
_ASKS = "var(--cm-warn,#9a6700)"


class _Seat(NamedTuple):
    """Where a node stands: its middle, and the width of its box."""

    x: float
    y: float
    width: float


def graph_drawing(outline: Outline, way: Way | None = None, *, title: str = "The graph") -> str:
    """An SVG of the graph; what a run passed is colored, the rest fades.

    Rounded boxes ask a model, square ones are functions, double ones are graphs or maps; `!` marks
    an effect, a dashed arrow a fallback. `views.png.png_of` makes a PNG of it.

    >>> from compilm.graphs import Graph
    >>> graph = Graph({"a": lambda: {}}, {"a": END}, "a")
    >>> graph_drawing(graph.outline()).count("<rect")
    1
    """
    layers = _layers(outline)
    stops = _stops(outline, layers)
    seats = _seated(outline, layers, stops)
    height = _TOP + max(layers.values()) * _ROW + _HEIGHT + _TOP
    lanes = 0
    marks, labels = [], _Labels()
    for arrow in _joined(outline.arrows):
        through = [seats[name] for name in stops.get((arrow.source, arrow.target), [])]
        lanes += not through
        drawn = (
            _down(through) if through else _back(seats[arrow.source], seats[arrow.target], lanes)
        )
        marks.append(_arrow(arrow, drawn, way, labels))
    marks += [_box(box, seats[box.name], way) for box in outline.boxes]
    return document(height, title, marks)


def _layers(outline: Outline) -> dict[str, int]:
    """The layer of each node, from 0."""
    forward = _without_loops(outline)
    layers = {box.name: 0 for box in outline.boxes}
    for _ in outline.boxes:
        for source, target in forward:
            layers[target] = max(layers[target], layers[source] + 1)
    if END in layers:
        layers[END] = max([*layers.values(), layers[END]])
        others = [layer for name, layer in layers.items() if name != END]
        layers[END] = max(others) + 1
    return layers


def _without_loops(outline: Outline) -> list[tuple[str, str]]:
    """The arrows that do not lead back to a node on the way from the start."""
    after: dict[str, list[str]] = {box.name: [] for box in outline.boxes}
    for arrow in outline.arrows:
        after[arrow.source].append(arrow.target)
    kept: list[tuple[str, str]] = []
    seen: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        seen.add(name)
        for target in after[name]:
            if target in (*above, name):
                continue
            kept.append((name, target))
            if target not in seen:
                visit(target, (*above, name))

    visit(outline.start, ())
    return kept


def _stops(outline: Outline, layers: Mapping[str, int]) -> dict[tuple[str, str], list[str]]:
    """Where each arrow that leads down passes: both ends, and a place in every layer between."""
    found = {}
    for arrow in outline.arrows:
        first, last = layers[arrow.source], layers[arrow.target]
        if first < last:
            between = [f"{arrow.source}|{arrow.target}|{row}" for row in range(first + 1, last)]
            found[arrow.source, arrow.target] = [arrow.source, *between, arrow.target]
    return found


def _seated(
    outline: Outline, layers: Mapping[str, int], stops: Mapping[tuple[str, str], list[str]]
) -> dict[str, _Seat]:
    rows: dict[int, list[str]] = {}
    for box in outline.boxes:
        rows.setdefault(layers[box.name], []).append(box.name)
    above: dict[str, list[str]] = {}
    for way in stops.values():
        for before, name in pairwise(way):
            above.setdefault(name, []).append(before)
        for row, name in enumerate(way[1:-1], start=layers[way[0]] + 1):
            rows.setdefault(row, []).append(name)
    seats: dict[str, _Seat] = {}
    for layer in sorted(rows):
        middles = {name: _middle(above.get(name, []), seats) for name in rows[layer]}
        names = sorted(rows[layer], key=lambda name: middles[name])
        left = (WIDTH - sum(map(_width, names)) - _GAP * (len(names) - 1)) / 2
        for name in names:
            width = _width(name)
            seats[name] = _Seat(left + width / 2, _TOP + layer * _ROW + _HEIGHT / 2, width)
            left += width + _GAP
    return seats


def _width(name: str) -> float:
    if "|" in name:  # no node is called so: an arrow passes
        return 10.0
    return _HEIGHT if name == END else width_of(name) + 28


def _middle(above: Iterable[str], seats: Mapping[str, _Seat]) -> float:
    found = [seats[name].x for name in above if name in seats]
    return sum(found) / len(found) if found else WIDTH / 2


def _joined(arrows: Iterable[Arrow]) -> list[Arrow]:
    """One arrow for all cases that lead from one node to another."""
    found: dict[tuple[str, str, bool], list[str]] = {}
    for arrow in arrows:
        found.setdefault((arrow.source, arrow.target, arrow.fallback), []).append(arrow.label)
    return [
        Arrow(source, target, ", ".join(filter(None, labels)), fallback)
        for (source, target, fallback), labels in found.items()
    ]


class _Labels:
    """Where labels stand, so that none stands on another."""

    def __init__(self) -> None:
        self._taken: list[tuple[float, float, float]] = []

    def place(self, x: float, y: float, width: float) -> float:
        """A height for a label near `y`."""
        for shift in (0.0, 12.0, -12.0, 24.0, -24.0):
            if not any(
                abs(y + shift - top) < 11 and left < x + width and x < left + wide
                for left, top, wide in self._taken
            ):
                break
        self._taken.append((x, y + shift, width))
        return y + shift


def _arrow(arrow: Arrow, drawn: _Line, way: Way | None, labels: _Labels) -> str:
    is_taken = way is not None and (arrow.source, arrow.target) in way.arrows
    ink = BEST if is_taken else "currentColor"
    opacity = 1.0 if is_taken else (0.5 if way is None else 0.22)
    marks = [
        mark(
            "path",
            d=drawn.line,
            fill="none",
            stroke=ink,
            stroke_opacity=opacity,
            stroke_width=2.2 if is_taken else 1.2,
            stroke_dasharray="4 3" if arrow.fallback else None,
        ),
        mark("path", d=drawn.tip, fill=ink, fill_opacity=opacity),
    ]
    if arrow.label:
        y = labels.place(drawn.x, drawn.y, width_of(arrow.label))
        faint = max(opacity, 0.5)
        marks.append(text(drawn.x, y, arrow.label, font_size="10.5", opacity=faint))
    return "".join(marks)


class _Line(NamedTuple):
    """A line, its tip, and where its label stands."""

    line: str
    tip: str
    x: float
    y: float


def _down(through: Sequence[_Seat]) -> _Line:
    x, y = through[0].x, through[0].y + _HEIGHT / 2
    line = [f"M{x:g},{y:g}"]
    for seat in through[1:]:
        top = seat.y - _HEIGHT / 2
        end = top - 5 if seat is through[-1] else top
        bend = (top - y) / 2
        line.append(f"C{x:g},{y + bend:g} {seat.x:g},{top - bend:g} {seat.x:g},{end:g}")
        x, y = seat.x, seat.y + _HEIGHT / 2
        if seat is not through[-1]:
            line.append(f"V{y:g}")
    last, first, second = through[-1], through[0], through[1]
    tip = f"M{last.x:g},{last.y - _HEIGHT / 2:g}l-4,-7h8z"
    label_x = (first.x + 2 * second.x) / 3 + 6
    return _Line("".join(line), tip, label_x, (first.y + second.y) / 2 + 6)


def _back(source: _Seat, target: _Seat, lane: int) -> _Line:
    side = WIDTH - 14.0 * lane
    x1, x2 = source.x + source.width / 2, target.x + target.width / 2
    line = (
        f"M{x1:g},{source.y:g}C{side:g},{source.y:g} {side:g},{target.y:g} {x2 + 5:g},{target.y:g}"
    )
    tip = f"M{x2:g},{target.y:g}l7,-4v8z"
    return _Line(line, tip, (x1 + side) / 2, (source.y + target.y) / 2)


def _box(box: Box, seat: _Seat, way: Way | None) -> str:
    if box.name == END:
        return mark("circle", cx=seat.x, cy=seat.y, r=7, fill="currentColor", opacity=0.7)
    ink, is_passed = _ink(box.name, way)
    fades = None if way is None or is_passed else 0.45
    marks = [_frame(box, seat, ink, inset) for inset in _insets(box)]
    marks.append(text(seat.x, seat.y + 4, box.name, text_anchor="middle"))
    if box.effect:
        marks.append(text(seat.x + seat.width / 2 - 9, seat.y - 5, "!", font_weight="600"))
    return mark("g", "".join(marks), opacity=fades)


def _ink(name: str, way: Way | None) -> tuple[str, bool]:
    if way is None:
        return "currentColor", False
    if name == way.waits:
        return _ASKS, True
    if name in way.failed:
        return BAD, True
    return (BEST, True) if name in way.nodes else ("currentColor", False)


def _insets(box: Box) -> Iterable[float]:
    return (0.0, 3.0) if box.kind in ("graph", "map") else (0.0,)


def _frame(box: Box, seat: _Seat, ink: str, inset: float) -> str:
    return mark(
        "rect",
        x=seat.x - seat.width / 2 + inset,
        y=seat.y - _HEIGHT / 2 + inset,
        width=seat.width - 2 * inset,
        height=_HEIGHT - 2 * inset,
        rx=13.0 if box.kind == "model" else 3.0,
        fill="none",
        stroke=ink,
        stroke_width=1.6,
    )
