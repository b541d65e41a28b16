"""The curve of `benchmarks.redaction`: values hidden over clean texts flagged, as SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from compilm.views.axis import Axis
from compilm.views.svg import document, line, mark, text

_COLORS = ("#2f6fde", "#c64600")  # plain: not every reader of SVG knows CSS variables
_HEIGHT = 320.0


def drawn(curves: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """A line for each set, a dot for each threshold; shaded is what was asked for."""
    x, y = Axis(0.0, 1.0, 60.0, 520.0), Axis(0.4, 1.0, 270.0, 20.0)
    asked = mark("rect", x=x.at(0), y=y.at(1), width=x.at(0.1) - x.at(0),
                 height=y.at(0.9) - y.at(1), fill="#1a8a5a", opacity=0.15)  # fmt: skip
    parts = [asked]
    for at, label in x.ticks():
        parts += [line(at, 20, at, 270, opacity=0.15), text(at, 288, label, text_anchor="middle")]
    for at, label in y.ticks():
        parts += [line(60, at, 520, at, opacity=0.15), text(52, at + 4, label, text_anchor="end")]
    parts.append(text(290, 308, "share of clean texts flagged", text_anchor="middle"))
    parts.append(text(60, 12, "share of values hidden"))
    for place, ((name, points), color) in enumerate(zip(curves.items(), _COLORS, strict=False)):
        at = [(x.at(flagged), y.at(hidden)) for flagged, hidden in points]
        path = "M" + "L".join(f"{px:.1f} {py:.1f}" for px, py in at)
        parts.append(mark("path", d=path, fill="none", stroke=color, stroke_width=2))
        parts += [mark("circle", cx=px, cy=py, r=4, fill=color) for px, py in at]
        parts.append(text(540, 60 + 20 * place, name, fill=color))
    return document(_HEIGHT, "redaction: values hidden and clean texts flagged", parts)
