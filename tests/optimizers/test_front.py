"""The front: what nothing beats in score and cost; constraints hold on what was measured."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compilm.errors import UsageError
from compilm.metrics import Estimate
from compilm.optimizers.front import FREE, Constraints, Point, front


def point(name: str, score: float, tokens: float = 100.0, usd: float | None = None) -> Point:
    return Point(name, Estimate(score, 0.0, 1.0, 50), usd, tokens, 0.5, 10)


def names(*points: Point) -> list[str]:
    return [one.candidate for one in front(points)]


def test_what_costs_more_and_scores_no_better_is_left_out() -> None:
    assert names(point("c0", 0.5, 100), point("c1", 0.8, 300), point("c2", 0.7, 400)) == [
        "c0",
        "c1",
    ]


def test_equal_costs_leave_the_better_one() -> None:
    assert names(point("c0", 0.5), point("c1", 0.8)) == ["c1"]


def test_a_point_of_score_is_no_reason_to_pay_more() -> None:
    assert names(point("c0", 0.500, 100), point("c1", 0.509, 200)) == ["c0"]
    assert names(point("c0", 0.500, 100), point("c1", 0.511, 200)) == ["c0", "c1"]


def test_dollars_are_compared_where_they_are_known_and_tokens_elsewhere() -> None:
    assert point("c", 0.5, 100, 0.2).cost == 0.2
    assert point("c", 0.5, 100, None).cost == 100
    assert point("c", 0.5, 100, 0.0).cost == 100


def test_what_is_shipped_stands_on_the_front_though_another_beats_it() -> None:
    points = [point("c0", 0.5, 100), point("c1", 0.8, 300), point("c2", 0.7, 400)]
    assert [one.candidate for one in front(points, keep="c2")] == ["c0", "c1", "c2"]


def test_nothing_has_an_empty_front() -> None:
    assert names() == []


POINTS = st.lists(
    st.builds(
        point,
        st.uuids().map(str),
        st.floats(0, 1),
        st.floats(1, 1000),
    ),
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(POINTS)
def test_every_point_is_on_the_front_or_matched_by_one_that_is(points: list[Point]) -> None:
    kept = front(points)
    costs = [one.cost for one in kept]
    assert costs == sorted(costs)
    for one in points:
        assert any(
            other.score.value >= one.score.value - 0.01 and other.cost <= one.cost * 1.05
            for other in kept
        )


def test_a_point_survives_being_written_down() -> None:
    one = point("c3", 0.75, 321.5, 0.002)
    assert Point.from_json(json.loads(json.dumps(one.to_json()))) == one


@pytest.mark.parametrize(
    ("constraints", "usd", "tokens", "allowed"),
    [
        (FREE, None, 10**9, True),
        (Constraints(tokens=100), None, 100, True),
        (Constraints(tokens=100), None, 101, False),
        (Constraints(usd_per_1000=1.0), 0.001, 10, True),
        (Constraints(usd_per_1000=1.0), 0.0011, 10, False),
        (Constraints(usd_per_1000=1.0), None, 10, False),
        (Constraints(usd_per_1000=1.0, tokens=5), 0.0001, 10, False),
        (Constraints(min_score=0.9), None, 10, True),
    ],
)
def test_limits_hold_and_an_unknown_price_keeps_none(
    constraints: Constraints, usd: float | None, tokens: float, allowed: bool
) -> None:
    assert constraints.allows(point("c", 0.5, tokens, usd)) is allowed


def test_what_was_not_measured_breaks_no_limit() -> None:
    assert Constraints(tokens=1).allows(None)


def test_with_a_least_score_the_cheapest_that_reaches_it_is_wanted() -> None:
    points = [point("c0", 0.5, 100), point("c1", 0.8, 300), point("c2", 0.7, 200)]
    assert Constraints(min_score=0.65).choose(points, "c1") == "c2"
    assert Constraints(min_score=0.4).choose(points, "c1") == "c0"
    assert Constraints(min_score=0.9).choose(points, "c1") == "c1"
    assert FREE.choose(points, "c1") == "c1"
    dear = [replace(points[2], tokens=900), *points[:2]]
    assert Constraints(min_score=0.65, tokens=500).choose(dear, "c1") == "c1"


@pytest.mark.parametrize("wrong", [-1, "2", True, float("nan")])
@pytest.mark.parametrize("name", ["usd_per_1000", "tokens", "min_score"])
def test_a_limit_that_is_no_number_is_told(name: str, wrong: Any) -> None:
    with pytest.raises(UsageError, match=f"constraint {name}="):
        Constraints(**{name: wrong})


@pytest.mark.parametrize("wrong", [0, 1, None, "no"])
def test_whether_val_may_be_shown_is_yes_or_no(wrong: Any) -> None:
    with pytest.raises(UsageError, match="constraint show_val="):
        Constraints(show_val=wrong)
