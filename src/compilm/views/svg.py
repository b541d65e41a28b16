"""The few SVG marks the charts are made of: text escaped, numbers short, bytes the same each time.

Colors are CSS variables with a fallback, ink is `currentColor`: a chart follows the page it stands
in, light or dark, and still reads as a file of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from .axis import Axis

__all__ = [
    "BAD",
    "BEST",
    "GOOD",
    "WIDTH",
    "bottom_axis",
    "document",
    "left_axis",
    "line",
    "mark",
    "number",
    "text",
    "width_of",
]

WIDTH = 720
BEST = "var(--cm-best,#2f6fde)"
GOOD = "var(--cm-good,#1a8a5a)"
BAD = "var(--cm-bad,#c8453b)"
_FONT = "12px system-ui,-apple-system,'Segoe UI',Roboto,sans-serif"
_CHARACTER = 6.6  # pixels of an average character at 12 px


def number(value: float) -> str:
    """A coordinate with two decimals at most.

    >>> number(3.0), number(1.239)
    ('3', '1.24')
    """
    shown = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if shown == "-0" else shown


def mark(name: str, inner: str = "", **attributes: str | float | None) -> str:
    """One element; `_` in a name stands for `-`, `None` leaves the attribute out.

    >>> mark("circle", cx=3, r=1.5, stroke_width=None)
    '<circle cx="3" r="1.5"/>'
    """
    shown = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_value(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return f"<{name}{shown}>{inner}</{name}>" if inner else f"<{name}{shown}/>"


def _value(value: str | float | None) -> str:
    return escape(value) if isinstance(value, str) else number(value or 0.0)


def text(x: float, y: float, words: str, **attributes: str | float | None) -> str:
    """Words at a place, escaped.

    >>> text(1, 2, "a < b")
    '<text x="1" y="2">a &lt; b</text>'
    """
    return mark("text", escape(words), x=x, y=y, **attributes)


def line(x1: float, y1: float, x2: float, y2: float, **attributes: str | float | None) -> str:
    """A straight line in ink, or in `stroke`."""
    attributes.setdefault("stroke", "currentColor")
    return mark("line", "", x1=x1, y1=y1, x2=x2, y2=y2, **attributes)


def width_of(words: str) -> float:
    """About how many pixels `words` take."""
    return len(words) * _CHARACTER


def document(height: float, title: str, marks: Iterable[str]) -> str:
    """A whole chart, `WIDTH` wide, that shrinks with its column; `title` is what is read aloud."""
    return mark(
        "svg",
        f"<title>{escape(title)}</title>" + "".join(marks),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {WIDTH} {number(height)}",
        role="img",
        style=f"width:100%;max-width:{WIDTH}px;height:auto;display:block;font:{_FONT}",
        fill="currentColor",
    )


def bottom_axis(axis: Axis, y: float, title: str, *, top: float, wanted: int = 6) -> str:
    """An x axis at height `y`, with grid lines up to `top` and its title below."""
    marks = [line(axis.start, y, axis.end, y, stroke_opacity=0.45)]
    for x, label in axis.ticks(wanted):
        marks.append(line(x, top, x, y, stroke_opacity=0.09))
        marks.append(line(x, y, x, y + 4, stroke_opacity=0.45))
        marks.append(text(x, y + 17, label, text_anchor="middle", opacity=0.75))
    marks.append(text((axis.start + axis.end) / 2, y + 35, title, text_anchor="middle"))
    return "".join(marks)


def left_axis(axis: Axis, x: float, title: str, *, right: float, wanted: int = 5) -> str:
    """A y axis at `x`, with grid lines up to `right` and its title above."""
    marks = []
    for y, label in axis.ticks(wanted):
        marks.append(line(x, y, right, y, stroke_opacity=0.12))
        marks.append(text(x - 8, y + 4, label, text_anchor="end", opacity=0.75))
    marks.append(text(x, axis.end - 14, title))
    return "".join(marks)
