"""Which candidate came from which: a tree, one candidate a row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .rows import Interval
from .sentences import interval
from .svg import BEST, WIDTH, document, line, mark, text

__all__ = ["Node", "lineage"]

_ROW, _STEP, _LEFT, _TOP = 26.0, 22.0, 14.0, 8.0
_MOST = 40


@dataclass(frozen=True, slots=True)
class Node:
    """One candidate: its parent, its move, its score, what became of it."""

    id: str
    parent: str | None
    move: str
    score: Interval | None
    outcome: str
    best: bool = False


def lineage(nodes: Sequence[Node]) -> str:
    """The tree as SVG. Of more than 40 candidates those with the best scores are shown.

    >>> lineage([Node("c0", None, "baseline", None, "measured")]).count("<circle")
    1
    """
    kept = _kept(nodes)
    rows = list(_rows(kept))
    place = {node.id: (depth, row) for row, (node, depth) in enumerate(rows)}
    marks = [_edge(place, node) for node, _ in rows if node.parent in place]
    marks += [_node(node, depth, row) for row, (node, depth) in enumerate(rows)]
    height = _TOP * 2 + len(rows) * _ROW
    if len(kept) < len(nodes):
        words = f"and {len(nodes) - len(kept)} more that scored lower"
        marks.append(text(_LEFT, height + 8, words, opacity=0.7))
        height += 20
    return document(height, "lineage of the candidates", marks)


def _kept(nodes: Sequence[Node]) -> list[Node]:
    """The nodes to show: the best, and all that they came from."""
    if len(nodes) <= _MOST:
        return list(nodes)
    by_id = {node.id: node for node in nodes}
    ranked = sorted(nodes, key=lambda n: (not n.best, -(n.score.value if n.score else -1e9)))
    wanted: set[str] = set()
    while len(wanted) < _MOST:
        line_up: Node | None = ranked.pop(0)
        while line_up is not None and line_up.id not in wanted:
            wanted.add(line_up.id)
            line_up = by_id.get(line_up.parent or "")
    return [node for node in nodes if node.id in wanted]


def _rows(nodes: Sequence[Node]) -> Iterable[tuple[Node, int]]:
    """The nodes with their depth, each child under its parent, in the order they were made."""
    ids = {node.id for node in nodes}
    children: dict[str, list[Node]] = {}
    for node in nodes:
        children.setdefault(node.parent if node.parent in ids else "", []).append(node)
    waiting = [(node, 0) for node in reversed(children.get("", []))]
    while waiting:
        node, depth = waiting.pop()
        yield node, depth
        waiting += [(child, depth + 1) for child in reversed(children.get(node.id, []))]


def _at(depth: int, row: int) -> tuple[float, float]:
    return _LEFT + min(depth, 12) * _STEP, _TOP + (row + 0.5) * _ROW


def _edge(place: dict[str, tuple[int, int]], node: Node) -> str:
    from_x, from_y = _at(*place[node.parent or ""])
    to_x, to_y = _at(*place[node.id])
    corner = f"M{from_x:g},{from_y + 5:g}V{to_y - 6:g}Q{from_x:g},{to_y:g} {from_x + 6:g},{to_y:g}"
    path = f"{corner}H{to_x - 6:g}"
    return mark("path", d=path, fill="none", stroke="currentColor", stroke_opacity=0.3)


def _node(node: Node, depth: int, row: int) -> str:
    x, y = _at(depth, row)
    won = node.best or node.outcome == "won"
    dot = mark(
        "circle",
        cx=x,
        cy=y,
        r=5 if won else 4,
        fill=BEST if won else "none",
        stroke=BEST if won else "currentColor",
        stroke_opacity=None if won else 0.7,
    )
    weight = "600" if node.best else None
    label = f"{node.id}  {node.move}"
    return "".join(
        [
            line(x + 14, y + _ROW / 2, WIDTH, y + _ROW / 2, stroke_opacity=0.06),
            dot,
            text(x + 14, y + 4, label if len(label) < 58 else label[:56] + "…",
                 font_weight=weight, style="white-space:pre"),
            text(WIDTH - 110, y + 4, interval(node.score) if node.score else "",
                 text_anchor="end", font_weight=weight),
            text(WIDTH, y + 4, node.outcome, text_anchor="end",
                 font_weight=weight, opacity=None if won else 0.7),
        ]
    )  # fmt: skip
