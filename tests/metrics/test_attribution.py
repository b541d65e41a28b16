"""Attribution: what helps and what harms stands out, and what cannot be known says so."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compilm.metrics.attribution import Part, attributed


def drawn(count: int, effects: dict[str, float], noise: float, seed: int = 0) -> dict[str, Part]:
    """The parts of candidates that have each part or not, by the toss of a coin."""
    draw = random.Random(seed)
    sets = [{name for name in effects if draw.random() < 0.5} for _ in range(count)]
    gains = [sum(effects[name] for name in own) + draw.gauss(0, noise) for own in sets]
    return attributed(gains, sets)


PARTS = {f"p{n}": 0.0 for n in range(12)}


@pytest.mark.parametrize("effect", [0.15, -0.15])
@pytest.mark.parametrize("seed", range(5))
def test_the_one_part_that_matters_is_found_among_many(effect: float, seed: int) -> None:
    found = drawn(30, {**PARTS, "p5": effect}, 0.04, seed)
    assert max(found, key=lambda name: abs(found[name].value)) == "p5"
    assert math.copysign(1, found["p5"].value) == math.copysign(1, effect)
    assert 0.3 * abs(effect) < abs(found["p5"].value) <= 1.2 * abs(effect)


def test_more_parts_than_candidates_are_borne() -> None:
    effects = {f"p{n}": 0.0 for n in range(60)} | {"good": 0.4, "bad": -0.4}
    found = drawn(25, effects, 0.02)
    assert found["good"].value > 0.02 > -0.02 > found["bad"].value
    assert all(part.sd > 0 for part in found.values())


def test_the_more_candidates_the_surer() -> None:
    few, many = (drawn(n, {**PARTS, "p0": 0.2}, 0.05) for n in (15, 150))
    assert many["p0"].sd < few["p0"].sd
    assert abs(many["p0"].value - 0.2) < abs(few["p0"].value - 0.2)


def test_a_part_that_all_have_or_none_had_explains_nothing_and_is_unsure() -> None:
    draw = random.Random(1)
    sets = [{"always"} | ({"some"} if n % 2 else set()) for n in range(20)]
    gains = [0.1 * (n % 2) + draw.gauss(0, 0.01) for n in range(20)]
    found = attributed(gains, sets)
    assert found["always"].value == pytest.approx(0.0, abs=1e-12)
    assert found["some"].value > 0.05
    assert found["always"].sd > found["some"].sd


def test_parts_that_always_go_together_share_what_they_bring() -> None:
    sets = [{"a", "b"} if n % 2 else set() for n in range(12)]
    found = attributed([0.2 * (n % 2) for n in range(12)], sets)
    assert found["a"] == pytest.approx(found["b"])
    assert found["a"].value == pytest.approx(0.1, abs=0.03)


def test_noise_alone_is_kept_near_nothing() -> None:
    found = drawn(30, PARTS, 0.05)
    assert max(abs(part.value) for part in found.values()) < 0.05


@pytest.mark.parametrize(
    ("gains", "sets"),
    [
        ([], []),
        ([0.3], [{"a"}]),
        ([0.1, 0.2], [set(), set()]),
        ([0.5, 0.5, 0.5], [{"a"}, {"b"}, {"a", "b"}]),
        ([0.1, 0.9], [{"a", "b"}, {"a", "b"}]),
        ([0.1, 0.9], [{"a"}, set()]),
    ],
)
def test_little_to_go_by_is_no_error(gains: list[float], sets: list[set[str]]) -> None:
    found = attributed(gains, sets)
    assert set(found) == {name for own in sets for name in own}
    assert all(math.isfinite(part.value) and part.sd >= 0 for part in found.values())


def test_equal_gains_are_nobodys_doing() -> None:
    found = attributed([0.5] * 6, [{"a"}, {"b"}, {"a", "b"}, set(), {"a"}, {"b"}])
    assert all(part.value == pytest.approx(0.0) for part in found.values())


def test_a_level_that_all_share_changes_nothing() -> None:
    sets = [{"a"}, {"b"}, {"a", "b"}, set(), {"a"}]
    low = attributed([0.1, 0.3, 0.35, 0.05, 0.12], sets)
    high = attributed([10.1, 10.3, 10.35, 10.05, 10.12], sets)
    for name in low:
        assert low[name] == pytest.approx(high[name], abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(-1, 1), st.sets(st.sampled_from("abcdef"))), min_size=0, max_size=12
    ),
    st.randoms(),
)
def test_the_order_of_candidates_does_not_matter(
    rows: list[tuple[float, set[str]]], draw: random.Random
) -> None:
    one = attributed([gain for gain, _ in rows], [own for _, own in rows])
    draw.shuffle(rows)
    other = attributed([gain for gain, _ in rows], [own for _, own in rows])
    assert set(one) == set(other)
    for name in one:
        assert one[name] == pytest.approx(other[name], abs=1e-6)
