"""The chart: processor time of a call, a bar for each peer."""

from __future__ import annotations

from compilm.views.axis import Axis
from compilm.views.svg import BEST, WIDTH, bottom_axis, document, mark, text

__all__ = ["bars"]

_LEFT, _RIGHT, _TOP, _ROW, _BAR = 270.0, 640.0, 12.0, 26.0, 16.0


def bars(figures: dict[str, float], best: str, title: str) -> str:
    """A bar for each name, the shortest on top; that of `best` in color.

    >>> bars({}, "a", "µs").count("nothing")
    1
    """
    if not figures:
        words = text(WIDTH / 2, 40, "nothing measured yet", text_anchor="middle", opacity=0.7)
        return document(80, title, [words])
    x = Axis(0.0, max(figures.values()) * 1.02, _LEFT, _RIGHT)
    ordered = sorted(figures.items(), key=lambda item: item[1])
    bottom = _TOP + _ROW * len(ordered)
    marks = [bottom_axis(x, bottom + 4, title, top=_TOP)]
    for place, (name, value) in enumerate(ordered):
        y, color = _TOP + _ROW * place, BEST if name == best else "currentColor"
        shade = 1.0 if name == best else 0.45
        wide = x.at(value) - _LEFT
        marks.append(text(_LEFT - 8, y + 13, name, text_anchor="end"))
        marks.append(
            mark("rect", x=_LEFT, y=y, width=wide, height=_BAR, fill=color, fill_opacity=shade)
        )
        marks.append(text(_LEFT + wide + 6, y + 13, f"{value:,.0f}", fill=color))
    return document(bottom + 50, title, marks)
