"""Charts are well formed, escape what they show, and place marks where the data say."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.views import stories

from compilm.views import charts
from compilm.views.axis import Axis, padded, ticks
from compilm.views.curve import Point, curve
from compilm.views.intervals import Bar, Panel, intervals
from compilm.views.lineage import Node, lineage
from compilm.views.matrix import Row, matrix
from compilm.views.rows import Interval
from compilm.views.story import Story, read_story
from compilm.views.svg import BAD, BEST, GOOD, mark, number, text

PROVEN = read_story(stories.proven().read())


def marks(svg: str, name: str) -> list[ElementTree.Element]:
    """The elements of a chart with this name; the chart must be well formed."""
    root = ElementTree.fromstring(svg)
    return list(root.iter(f"{{http://www.w3.org/2000/svg}}{name}"))


def words(svg: str) -> list[str]:
    """The texts of a chart."""
    return [each.text or "" for each in marks(svg, "text")]


@given(
    st.floats(-1e6, 1e6, allow_nan=False),
    st.floats(1e-6, 1e6, allow_nan=False),
    st.integers(2, 10),
)
def test_ticks_are_round_in_order_within_the_range_and_about_as_many_as_wanted(
    low: float, width: float, wanted: int
) -> None:
    high = low + width
    assume((high - low) > 1e-9 * max(1.0, abs(low)))
    values, step = ticks(low, high, wanted)
    assert values == sorted(values)
    assert all(low - step * 1e-3 <= value <= high + step * 1e-3 for value in values)
    assert wanted / 3 <= len(values) <= wanted + 1


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (0.0, 1.0, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (-0.05, 0.16, ["−0.05", "0.00", "0.05", "0.10", "0.15"]),
        (0.0, 1.2, ["0.00", "0.25", "0.50", "0.75", "1.00"]),
        (0.0, 12.0, ["0.0", "2.5", "5.0", "7.5", "10.0"]),
        (0.0, 5000.0, ["0", "1,000", "2,000", "3,000", "4,000", "5,000"]),
    ],
)
def test_labels_have_the_decimals_their_step_needs(
    low: float, high: float, labels: list[str]
) -> None:
    assert [label for _, label in Axis(low, high, 0, 100).ticks()] == labels


def test_values_outside_an_axis_lie_on_its_edge() -> None:
    axis = Axis(0.0, 1.0, 10.0, 20.0)
    assert (axis.at(-5.0), axis.at(9.0)) == (10.0, 20.0)


def test_a_range_of_one_value_has_room_around_it() -> None:
    low, high = padded([0.5])
    assert low < 0.5 < high
    assert padded([5.0], within=(0.0, 1.0)) == pytest.approx((4.5, 5.5))


@given(st.text())
def test_whatever_is_written_is_escaped(anything: str) -> None:
    shown = text(0, 0, anything)
    assert "<" not in re.sub(r"^<text[^>]*>|</text>$|^<text[^>]*/>$", "", shown)


def test_numbers_are_short_and_never_minus_zero() -> None:
    shown = [number(value) for value in (1.0, -0.001, -0.5, 2.346, 10.0)]
    assert shown == ["1", "0", "-0.5", "2.35", "10"]


def test_attributes_are_escaped() -> None:
    assert mark("g", id='a"<b') == '<g id="a&quot;&lt;b"/>'


CHARTS = {
    "progress": charts.progress(PROVEN),
    "evidence": charts.evidence(PROVEN),
    "tree": charts.tree(PROVEN),
    "wins": charts.wins(PROVEN),
}


@pytest.mark.parametrize("name", CHARTS)
def test_a_chart_follows_its_page_and_needs_nothing_else(name: str) -> None:
    svg = CHARTS[name]
    root = ElementTree.fromstring(svg)
    assert root.get("viewBox", "").startswith("0 0 720 ")
    assert root.get("fill") == "currentColor"
    assert "<script" not in svg
    assert "href" not in svg
    assert "black" not in svg


@pytest.mark.parametrize("name", CHARTS)
def test_a_chart_has_the_same_bytes_each_time(name: str) -> None:
    again = getattr(charts, name)(read_story(stories.proven().read()))
    assert again == CHARTS[name]


@pytest.mark.parametrize("name", CHARTS)
def test_no_text_leaves_the_chart(name: str) -> None:
    for each in marks(CHARTS[name], "text"):
        wide = 7.0 * len(each.text or "")
        x = float(each.get("x", "0"))
        start = {"end": x - wide, "middle": x - wide / 2}.get(each.get("text-anchor", ""), x)
        assert start > -12
        assert start + wide < 760


def test_the_curve_has_a_dot_for_every_score_and_the_winners_filled() -> None:
    dots = marks(CHARTS["progress"], "circle")
    filled = [dot for dot in dots if dot.get("fill") == BEST]
    assert len(dots) == 7 + 2  # and two in the legend
    assert len(filled) == 2 + 1
    assert {"c3", "c4", "best 0.812", "given 0.438", "spent: calls to a model"} <= set(
        words(CHARTS["progress"])
    )


def test_the_best_line_steps_up_where_a_candidate_won() -> None:
    points = [
        Point("c0", 10, 0.2, False, Interval(0.2, 0.1, 0.3, 9)),
        Point("c1", 20, 0.6, True, Interval(0.6, 0.5, 0.7, 9)),
    ]
    line = next(p for p in marks(curve(points, end=40), "path") if p.get("fill") == "none")
    corners = [tuple(map(float, c.split(","))) for c in line.get("d", "")[1:].split("L")]
    assert [round(x) for x, _ in corners] == [186, 320, 320, 588]
    assert corners[0][1] == corners[1][1] > corners[2][1] == corners[3][1]


def test_names_never_cover_each_other() -> None:
    best = Interval(0.5, 0.4, 0.6, 9)
    points = [Point(f"c{n}", 100.0, 0.5 + n / 1000, False, best) for n in range(30)]
    shown = [each for each in marks(curve(points), "text") if (each.text or "").startswith("c")]
    boxes = [(float(e.get("x", "0")), float(e.get("y", "0"))) for e in shown]
    assert 0 < len(shown) < 30
    assert len({(round(x), round(y)) for x, y in boxes}) == len(boxes)


def test_in_a_crowd_only_winners_have_names() -> None:
    best = Interval(0.5, 0.4, 0.6, 9)
    points = [Point(f"c{n}", 10.0 * n, n / 60, n == 30, best) for n in range(60)]
    assert [w for w in words(curve(points)) if re.fullmatch(r"c\d+", w)] == ["c30"]


def test_a_decision_without_a_score_has_no_dot() -> None:
    best = Interval(0.5, 0.4, 0.6, 9)
    points = [Point("c0", 5, None, False, best), Point("c1", 9, None, False, None)]
    assert len(marks(curve(points), "circle")) == 2  # those of the legend


def test_end_labels_keep_apart() -> None:
    point = Point("c0", 5, 0.5, True, Interval(0.5, 0.0, 1.0, 9))
    for baseline in (0.49, 0.5, 0.51):
        ends = [e for e in marks(curve([point], baseline=baseline), "text") if e.get("x") == "598"]
        best, given = (float(each.get("y", "0")) for each in ends)
        assert abs(best - given) >= 16


def test_a_run_without_calls_is_drawn_over_rollouts() -> None:
    bare = Story("r", decisions=PROVEN.decisions[:1])
    assert "spent: rollouts" in words(charts.progress(bare))
    assert words(charts.progress(Story("r"))) == ["no scores yet"]


def test_a_gain_is_green_only_when_its_whole_interval_is_above_zero() -> None:
    def drawn(low: float, high: float) -> str:
        bar = Bar("gain", Interval((low + high) / 2, low, high, 9))
        return intervals([Panel("gain", (bar,), difference=True)])

    assert GOOD in drawn(0.1, 0.3)
    assert BAD in drawn(-0.3, -0.1)
    assert GOOD not in drawn(-0.1, 0.3)
    assert BAD not in drawn(-0.1, 0.3)


def test_the_evidence_shows_the_three_intervals() -> None:
    shown = words(CHARTS["evidence"])
    assert {"given program", "compiled (c4)", "gain", "0.724 [0.65, 0.80]"} <= set(shown)
    assert "+0.218 [+0.15, +0.29]" in shown


def test_before_the_comparison_there_is_no_evidence() -> None:
    assert charts.evidence(read_story(stories.unfinished().read())) == ""


def test_a_tree_needs_two_candidates() -> None:
    assert charts.tree(Story("r", candidates=PROVEN.candidates[:1])) == ""
    assert len(marks(CHARTS["tree"], "circle")) == 7


def test_the_tree_says_who_leads_and_who_waits() -> None:
    shown = words(charts.tree(read_story(stories.unfinished().read())))
    assert "leads" in shown
    assert "waiting" in shown
    assert "shipped" in words(CHARTS["tree"])


def test_children_stand_under_their_parents() -> None:
    nodes = [
        Node("c0", None, "m", None, ""),
        Node("c1", "c0", "m", None, ""),
        Node("c2", "c0", "m" * 80, None, ""),
        Node("c3", "c1", "m", None, ""),
        Node("c4", "gone", "m", None, ""),
    ]
    rows = [w.split()[0] for w in words(lineage(nodes)) if w.startswith("c")]
    assert rows == ["c0", "c1", "c3", "c2", "c4"]


def test_of_many_candidates_the_best_are_shown_with_all_they_came_from() -> None:
    score = [Interval(n / 100, 0, 1, 9) for n in range(60)]
    nodes = [Node("c0", None, "m", score[0], "measured")]
    nodes += [Node(f"c{n}", "c1" if n > 1 else "c0", "m", score[n], "lost") for n in range(1, 60)]
    shown = {w.split()[0] for w in words(lineage(nodes)) if re.match(r"c\d", w)}
    assert {"c0", "c1", "c59"} <= shown
    assert "c2" not in shown
    assert "and 20 more that scored lower" in words(lineage(nodes))


def test_wins_and_losses_are_counted_against_the_baseline() -> None:
    base = Row("c0", {"a": 0.0, "b": 0.5, "c": 1.0, "d": None})
    rival = Row("c1", {"a": 1.0, "b": 0.4, "c": 1.0, "d": 1.0})
    assert "+1 −1" in words(matrix(base, [rival]))
    assert "3 examples, the hardest for the given program first" in words(matrix(base, [rival]))


def test_a_wide_matrix_joins_equal_neighbors() -> None:
    base = Row("c0", {f"e{n:04d}": float(n % 2) for n in range(2000)})
    rival = Row("c1", {f"e{n:04d}": 1.0 for n in range(1500)})
    svg = matrix(base, [rival])
    assert len(svg) < 6000
    assert "+750 −0" in words(svg)


def test_more_candidates_than_fit_are_said() -> None:
    base = Row("c0", {"a": 0.0})
    shown = words(matrix(base, [Row(f"c{n}", {"a": 1.0}) for n in range(1, 41)]))
    assert "1 examples, the hardest for the given program first; 10 candidates left out" in shown


def test_scores_beyond_one_are_shaded_on_their_own_scale() -> None:
    svg = matrix(Row("c0", {"a": 0.0, "b": 50.0, "c": 100.0}), [Row("c1", {"a": 1.0})])
    opacities = {path.get("fill-opacity") for path in marks(svg, "path")}
    assert {"0.75", "0.42", "0.13"} <= opacities


def test_without_rollouts_there_is_no_matrix() -> None:
    assert charts.wins(Story("r")) == ""
    assert charts.wins(PROVEN, "train") == ""
