"""A program's graph as a drawing, with the way of one run: layers from the top, loops at the side.

The layer of a node is the longest way to it without going back (Sugiyama, Tagawa and Toda,
"Methods for Visual Understanding of Hierarchical System Structures", 1981); nodes of a layer stand
in the order of the middle of what leads to them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ..graphs.edges import END
from ..graphs.outline import Arrow, Box, Outline, Way
from .svg import BAD, BEST, WIDTH, document, mark, text, width_of

__all__ = ["graph_drawing"]

_ROW, _HEIGHT, _GAP, _TOP = 78.0, 30.0, 26.0, 12.0  # pixels
_ASKS = "var(--cm-warn,#9a6700)"


class _Seat(NamedTuple):
    """Where a node stands: its middle, and the width of its box."""

    x: float
    y: float
    width: float


def graph_drawing(outline: Outline, way: Way | None = None, *, title: str = "The graph") -> str:
    """An SVG of the graph; what a run passed is colored, the rest fades.

    Rounded boxes ask a model, square ones are functions, double ones are graphs or maps.

    >>> from compilm.graphs import Graph
    >>> graph = Graph({"a": lambda: {}}, {"a": END}, "a")
    >>> graph_drawing(graph.outline()).count("<rect")
    1
    """
    layers = _layers(outline)
    seats = _seated(outline, layers)
    height = _TOP + max(layers.values()) * _ROW + _HEIGHT + _TOP
    lanes = 0
    marks = []
    for arrow in outline.arrows:
        is_back = layers[arrow.target] <= layers[arrow.source]
        lanes += is_back
        marks.append(_arrow(arrow, seats, way, lane=lanes if is_back else 0))
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


def _seated(outline: Outline, layers: Mapping[str, int]) -> dict[str, _Seat]:
    rows: dict[int, list[str]] = {}
    for box in outline.boxes:
        rows.setdefault(layers[box.name], []).append(box.name)
    seats: dict[str, _Seat] = {}
    for layer in sorted(rows):
        names = sorted(rows[layer], key=lambda name: _middle(name, outline, seats))
        widths = [_HEIGHT if name == END else width_of(name) + 28 for name in names]
        left = (WIDTH - sum(widths) - _GAP * (len(widths) - 1)) / 2
        for name, width in zip(names, widths, strict=True):
            seats[name] = _Seat(left + width / 2, _TOP + layer * _ROW + _HEIGHT / 2, width)
            left += width + _GAP
    return seats


def _middle(name: str, outline: Outline, seats: Mapping[str, _Seat]) -> float:
    above = [seats[a.source].x for a in outline.arrows if a.target == name and a.source in seats]
    return sum(above) / len(above) if above else WIDTH / 2


def _arrow(arrow: Arrow, seats: Mapping[str, _Seat], way: Way | None, *, lane: int) -> str:
    source, target = seats[arrow.source], seats[arrow.target]
    is_taken = way is not None and (arrow.source, arrow.target) in way.arrows
    ink = BEST if is_taken else "currentColor"
    opacity = 1.0 if is_taken else (0.5 if way is None else 0.22)
    path, label_x, label_y, tip = _path(source, target, lane)
    marks = [
        mark(
            "path",
            d=path,
            fill="none",
            stroke=ink,
            stroke_opacity=opacity,
            stroke_width=2.2 if is_taken else 1.2,
            stroke_dasharray="4 3" if arrow.fallback else None,
        ),
        mark("path", d=tip, fill=ink, fill_opacity=opacity),
    ]
    if arrow.label:
        marks.append(
            text(label_x, label_y, arrow.label, font_size="10.5", opacity=max(opacity, 0.5))
        )
    return "".join(marks)


def _path(source: _Seat, target: _Seat, lane: int) -> tuple[str, float, float, str]:
    """The line, where its label stands, and its tip."""
    if not lane:
        x1, y1 = source.x, source.y + _HEIGHT / 2
        x2, y2 = target.x, target.y - _HEIGHT / 2
        bend = (y2 - y1) / 2
        line = f"M{x1:g},{y1:g}C{x1:g},{y1 + bend:g} {x2:g},{y2 - bend:g} {x2:g},{y2 - 5:g}"
        tip = f"M{x2:g},{y2:g}l-4,-7h8z"
        return line, (x1 + 2 * x2) / 3 + 6, y1 + bend + 6, tip
    side = WIDTH - 14.0 * lane
    x1, x2 = source.x + source.width / 2, target.x + target.width / 2
    line = (
        f"M{x1:g},{source.y:g}C{side:g},{source.y:g} {side:g},{target.y:g} {x2 + 5:g},{target.y:g}"
    )
    tip = f"M{x2:g},{target.y:g}l7,-4v8z"
    return line, (x1 + side) / 2, (source.y + target.y) / 2, tip


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
