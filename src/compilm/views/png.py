"""A drawing as PNG, for places that show no SVG: chats, slides, tickets.

resvg draws it. Two things it does not do are done here: it knows no CSS variables, and leaves out,
without a word, text for which it finds no font.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from ..errors import MissingExtra, UsageError

__all__ = ["png_of"]

# The first that is there is taken. DejaVu is last since it is wider than `svg.width_of` reckons.
_FAMILIES = (
    "Roboto", "Noto Sans", "Open Sans", "Liberation Sans", "Arial", "Helvetica", "Segoe UI",
    "Ubuntu", "DejaVu Sans",
)  # fmt: skip
_MOST_ZOOM = 8  # the picture is made in memory, and grows with the square
_VARIABLE = re.compile(r'="var\(--[\w-]+,([^()"]*)\)"')
_BLANK = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'
_WORD = _BLANK.replace("/>", '><text y="9">x</text></svg>')


def png_of(drawing: str, *, zoom: float = 2.0, font: str = "") -> bytes:
    """The PNG of one of our SVG drawings, in its light colors on white.

    A pixel of the drawing becomes `zoom` pixels. `font` names the family of the words; without it
    a usual one is taken that is installed, or the DejaVu Sans that matplotlib brings. A sign that
    this family does not have is taken from another font; where none has it, a box stands for it.

    Raises:
        MissingExtra: resvg-py is not installed.
        UsageError: the words have no font here; the drawing is no SVG; `zoom` is not above 0, or
            above 8.

    >>> from compilm.graphs import END, Graph
    >>> from compilm.views.graphs import graph_drawing
    >>> outline = Graph({"a": lambda: {}}, {"a": END}, "a").outline()
    >>> png_of(graph_drawing(outline))[1:4]
    b'PNG'
    """
    if not 0 < zoom <= _MOST_ZOOM:
        raise UsageError(f"zoom is above 0 and at most {_MOST_ZOOM}, not {zoom:g}")
    render = _renderer(font)
    if render(_WORD) == render(_BLANK):
        raise UsageError(_no_font(font))
    try:
        return render(_VARIABLE.sub(r'="\1"', drawing), zoom=zoom)
    except ValueError as error:
        raise UsageError(f"this cannot be drawn as PNG: {error}") from error


def _renderer(font: str) -> Callable[..., bytes]:
    """resvg, with what decides about fonts; it takes the text of an SVG."""
    try:
        from resvg_py import svg_to_bytes
    except ImportError as error:
        raise MissingExtra("resvg-py", extra="png", purpose="draw PNG") from error
    families = "sans-serif" if font else ",".join(f"'{family}'" for family in _FAMILIES)
    return partial(
        svg_to_bytes,
        background="white",
        style_sheet=f"text{{font-family:{families}}}",
        sans_serif_family=font or None,
        serif_family=font or None,  # the last resort: where a font is named, no other is taken
        font_files=_packaged(),
    )


def _packaged() -> list[str]:
    """The font that matplotlib brings, where that is installed; it is not imported."""
    found = find_spec("matplotlib")
    places = (found and found.submodule_search_locations) or []
    return [str(Path(place, "mpl-data", "fonts", "ttf", "DejaVuSans.ttf")) for place in places]


def _no_font(font: str) -> str:
    if font:
        return f"the font {font!r} is not installed here: leave font= out to take a usual one"
    return (
        f"no usual font is installed here, and the words would be missing. Install one of "
        f"{', '.join(_FAMILIES)} (Debian: fonts-dejavu-core) or matplotlib, which brings one; or "
        "name the family of one that you have: font="
    )
