"""Levels: each a recipe that can be followed, an unknown one an error that says so."""

from __future__ import annotations

import pytest

from compilm.errors import UsageError
from compilm.optimizers.recipes import LEVELS, recipe


def test_level_0_only_measures() -> None:
    assert (recipe(0).opening, recipe(0).rounds) == ((), ())


@pytest.mark.parametrize("level", [1, 2, 3])
def test_a_level_that_searches_has_rounds_after_its_opening(level: int) -> None:
    steps = recipe(level)
    assert steps.opening
    assert len(steps.rounds) >= steps.width > 0
    assert all(move.name for move in (*steps.opening, *steps.rounds))


def test_level_1_asks_no_proposer() -> None:
    asking = ("instruct", "reflection", "contrast")
    moves = (*recipe(1).opening, *recipe(1).rounds)
    assert not [m.name for m in moves if any(word in m.name for word in asking)]


def test_level_3_alone_reflects_and_saves() -> None:
    reflecting = {
        level: {m.name for m in steps.rounds if "reflection" in m.name or "contrast" in m.name}
        for level, steps in LEVELS.items()
    }
    assert not any(reflecting[level] for level in (0, 1, 2))
    assert len(reflecting[3]) == 4
    assert [level for level, steps in LEVELS.items() if steps.economy] == [3]


@pytest.mark.parametrize("level", [1, 2, 3])
def test_a_small_budget_opens_with_more_than_one_kind_of_move(level: int) -> None:
    assert len({move.name for move in recipe(level).opening[:4]}) > 2


def test_a_higher_level_is_given_more() -> None:
    passes = [LEVELS[level].val_passes for level in sorted(LEVELS)]
    assert passes == sorted(set(passes))


@pytest.mark.parametrize("level", [4, -1, "2", True])
def test_an_unknown_level_says_what_there_is(level: int) -> None:
    with pytest.raises(UsageError, match=r"the levels are 0, 1, 2, 3"):
        recipe(level)
