"""Levels: each a recipe that can be followed, an unknown one an error that says so."""

from __future__ import annotations

import pytest

from compilm.errors import UsageError
from compilm.optimizers.recipes import LEVELS, recipe


def test_level_0_only_measures() -> None:
    assert (recipe(0).opening, recipe(0).rounds) == ((), ())


@pytest.mark.parametrize("level", [1, 2])
def test_a_level_that_searches_has_rounds_after_its_opening(level: int) -> None:
    steps = recipe(level)
    assert steps.opening
    assert len(steps.rounds) >= steps.width > 0
    assert all(move.name for move in (*steps.opening, *steps.rounds))


def test_level_1_asks_no_proposer() -> None:
    assert not [m.name for m in (*recipe(1).opening, *recipe(1).rounds) if "instruct" in m.name]


def test_a_higher_level_is_given_more() -> None:
    passes = [LEVELS[level].val_passes for level in sorted(LEVELS)]
    assert passes == sorted(set(passes))


@pytest.mark.parametrize("level", [3, -1, "2"])
def test_an_unknown_level_says_what_there_is(level: int) -> None:
    with pytest.raises(UsageError, match=r"levels 0, 1, 2"):
        recipe(level)
