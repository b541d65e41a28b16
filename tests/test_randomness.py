"""A labeled choice draws the same numbers whatever else was drawn."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from compilm.randomness import rng

LABEL = st.lists(st.text() | st.integers(), min_size=1, max_size=3)


@given(st.integers(), LABEL)
def test_a_label_fixes_the_draw(seed: int, label: list[str | int]) -> None:
    assert rng(seed, *label).random() == rng(seed, *label).random()


@given(st.integers(), LABEL, LABEL)
def test_labels_are_independent(seed: int, one: list[str | int], two: list[str | int]) -> None:
    same = [(type(x), x) for x in one] == [(type(x), x) for x in two]
    assert (rng(seed, *one).random() == rng(seed, *two).random()) is same
