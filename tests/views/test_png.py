"""A PNG shows what the SVG says: its size, its colors, the way of a run, and every word."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from xml.etree import ElementTree

import pytest
import resvg_py
from PIL import Image

from compilm.errors import MissingExtra, UsageError
from compilm.graphs import END, Choice, Graph
from compilm.views import png
from compilm.views.graphs import graph_drawing
from compilm.views.png import png_of

SVG = "{http://www.w3.org/2000/svg}"
BLUE, WHITE = (0x2F, 0x6F, 0xDE), (255, 255, 255)
GRAPH = Graph(
    nodes={"kind": lambda kind: {"kind": kind}, "greet": dict, "refuse": dict},
    edges={"kind": Choice("kind", {"good": "greet"}, "refuse"), "greet": END, "refuse": END},
    start="kind",
    inputs=["kind"],
)
BARE = graph_drawing(GRAPH.outline())
WAY = graph_drawing(GRAPH.outline(), GRAPH.way(GRAPH.stream(kind="good")))


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


def boxes(svg: str) -> Iterator[tuple[str, dict[str, float], tuple[int, int, int, int]]]:
    """For each node its name, its frame, and the pixels inside of the frame at `zoom=1`."""
    for group in ElementTree.fromstring(svg).iter(f"{SVG}g"):
        rect, text = group.find(f"{SVG}rect"), group.find(f"{SVG}text")
        assert rect is not None
        assert text is not None
        frame = {key: float(rect.get(key, "")) for key in ("x", "y", "width", "height")}
        x, y = frame["x"] + 5, frame["y"] + 5
        inside = x, y, x + frame["width"] - 10, y + frame["height"] - 10
        yield text.text or "", frame, (round(x), round(y), round(inside[2]), round(inside[3]))


def ink(image: Image.Image, place: tuple[int, int, int, int]) -> int:
    """How many pixels of a place are darker than half."""
    histogram = image.crop(place).convert("L").histogram()
    return sum(histogram[:128])


def wordless(svg: str) -> str:
    root = ElementTree.fromstring(svg)
    for text in root.iter(f"{SVG}text"):
        text.text = " "
    return ElementTree.tostring(root, "unicode")


@pytest.fixture
def no_system_fonts(monkeypatch: pytest.MonkeyPatch) -> None:
    bare = partial(resvg_py.svg_to_bytes, skip_system_fonts=True)
    monkeypatch.setattr(resvg_py, "svg_to_bytes", bare)


@pytest.mark.parametrize("zoom", [1, 1.5, 2.0, 3])
def test_it_has_the_size_of_the_drawing_times_the_zoom(zoom: float) -> None:
    width, height = map(float, ElementTree.fromstring(BARE).attrib["viewBox"].split()[2:])
    assert opened(png_of(BARE, zoom=zoom)).size == (width * zoom, height * zoom)


def test_it_is_two_pixels_for_one_and_the_same_bytes_each_time() -> None:
    assert png_of(WAY) == png_of(WAY, zoom=2) != png_of(WAY, zoom=1)


def test_it_stands_on_white() -> None:
    image = opened(png_of(WAY))
    corners = [(x, y) for x in (0, image.width - 1) for y in (0, image.height - 1)]
    assert {image.getpixel(corner) for corner in corners} == {WHITE}


@pytest.mark.parametrize(("svg", "passed"), [(BARE, set()), (WAY, {"kind", "greet"})])
def test_what_the_run_passed_is_colored_and_nothing_else(svg: str, passed: set[str]) -> None:
    image = opened(png_of(svg, zoom=1))
    blue = {
        name: BLUE in {image.getpixel((round(frame["x"]) + dx, middle)) for dx in (-1, 0, 1)}
        for name, frame, _ in boxes(svg)
        for middle in [round(frame["y"] + frame["height"] / 2)]
    }
    assert {name for name, is_blue in blue.items() if is_blue} == passed
    assert len(blue) == len(GRAPH.nodes)


def test_every_word_is_there() -> None:
    image, without = opened(png_of(BARE, zoom=1)), opened(png_of(wordless(BARE), zoom=1))
    found = {name: (ink(image, place), ink(without, place)) for name, _, place in boxes(BARE)}
    assert set(found) == set(GRAPH.nodes)
    assert [name for name, (words, _) in found.items() if words < 5 * len(name)] == []
    assert {blank for _, blank in found.values()} == {0}


def test_words_that_differ_look_different() -> None:
    renamed = BARE.replace(">greet<", ">treat<")
    assert png_of(renamed) != png_of(BARE)
    assert png_of(renamed.replace("treat", "var(--x,a)")) != png_of(renamed.replace("treat", "a"))


@pytest.mark.skipif(find_spec("matplotlib") is None, reason="matplotlib brings the font")
@pytest.mark.usefixtures("no_system_fonts")
def test_without_a_font_of_the_system_that_of_matplotlib_is_taken() -> None:
    image = opened(png_of(BARE, zoom=1))
    assert all(ink(image, place) > 5 * len(name) for name, _, place in boxes(BARE))
    assert png_of(BARE, font="DejaVu Sans") == png_of(BARE)


@pytest.mark.usefixtures("no_system_fonts")
@pytest.mark.parametrize("finds", [[], ["gone.ttf"]])
def test_without_any_font_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, finds: list[str]
) -> None:
    monkeypatch.setattr(png, "_packaged", lambda: finds)
    with pytest.raises(UsageError, match=r"words would be missing.*DejaVu Sans.*matplotlib"):
        png_of(BARE)


@pytest.mark.parametrize("name", ["Nowhere Sans", "'", "\\", "a'} rect{fill:red"])
def test_a_font_that_is_not_there_is_not_replaced(name: str) -> None:
    with pytest.raises(UsageError, match="is not installed here: leave font= out"):
        png_of(BARE, font=name)


def test_without_resvg_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    with pytest.raises(MissingExtra, match=r"'resvg-py' .* pip install 'compilm\[png\]'"):
        png_of(BARE)


def test_where_matplotlib_is_not_installed_it_is_not_missed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(png, "find_spec", lambda _: None)
    assert png._packaged() == []


@pytest.mark.parametrize("svg", ["<svg", "", "no drawing"])
def test_what_cannot_be_drawn_is_refused(svg: str) -> None:
    with pytest.raises(UsageError, match="this cannot be drawn as PNG: "):
        png_of(svg)


@pytest.mark.parametrize("zoom", [0, -1, 9, 1e6, float("nan")])
def test_a_zoom_that_makes_no_picture_is_refused(zoom: float) -> None:
    with pytest.raises(UsageError, match="zoom is above 0 and at most 8"):
        png_of(BARE, zoom=zoom)
