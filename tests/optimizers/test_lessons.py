"""Lessons: failures first seen in training, then in races, and only so many of the latter."""

from __future__ import annotations

import math

from compilm.optimizers.lessons import lessons

from . import worlds
from .cells import candidate, known, rollout

TRAIN, VAL = worlds.data(20, 0, "train"), worlds.data(40, 1000, "val")
BASE = candidate(0)
WRONG, RIGHT = [0.0] * 40, [1.0] * 40


def studied(*values: float) -> list:  # type: ignore[type-arg]
    return [rollout(BASE, TRAIN.ids[n], value, "train") for n, value in enumerate(values)]


def test_failures_in_training_come_first_with_their_example() -> None:
    evidence = known(VAL, (BASE, [0.0, 1.0]))
    found = lessons(BASE, TRAIN, studied(1.0, 0.5, math.nan, 0.0), VAL, evidence)
    assert [(one.rollout.example, one.held) for one in found] == [
        (TRAIN.ids[1], False),
        (TRAIN.ids[3], False),
        (VAL.ids[0], True),
    ]
    assert [one.example for one in found] == [TRAIN[1], TRAIN[3], VAL[0]]


def test_without_a_failure_there_is_no_lesson() -> None:
    evidence = known(VAL, (BASE, [*RIGHT[:20], math.nan]))
    assert lessons(BASE, TRAIN, studied(1.0, 1.0, math.nan), VAL, evidence) == []


def test_a_rollout_of_an_example_that_is_not_in_training_is_no_lesson() -> None:
    strange = [rollout(BASE, "elsewhere", 0.0, "train")]
    assert lessons(BASE, TRAIN, strange, VAL, known(VAL, (BASE, []))) == []


def test_at_most_a_quarter_of_the_validation_examples_can_be_shown() -> None:
    found = lessons(BASE, TRAIN, [], VAL, known(VAL, (BASE, WRONG)))
    assert len(found) == 10
    assert all(one.held for one in found)


def test_what_was_shown_on_the_way_counts_against_the_quarter_and_may_be_shown_again() -> None:
    shown = {*VAL.ids[20:26]}
    heir = candidate(1, shown=shown)
    found = lessons(heir, TRAIN, [], VAL, known(VAL, (BASE, []), (heir, WRONG)))
    ids = {one.rollout.example for one in found}
    assert shown < ids
    assert len(ids - shown) == 4
    spent = candidate(2, shown=VAL.ids[:10])
    found = lessons(spent, TRAIN, [], VAL, known(VAL, (BASE, []), (spent, WRONG)))
    assert {one.rollout.example for one in found} == {*VAL.ids[:10]}


def test_in_a_line_of_reflections_no_more_than_the_quarter_is_ever_shown() -> None:
    heir = BASE
    for number in range(1, 8):
        found = lessons(heir, TRAIN, [], VAL, known(VAL, (BASE, WRONG), (heir, WRONG)))
        shown = heir.shown | {one.rollout.example for one in found if one.held}
        heir = candidate(number, shown=shown)
    assert len(heir.shown) == 10


def test_a_sibling_that_did_better_is_found_and_the_incumbents_own_words_are_not() -> None:
    worse, better, best = candidate(1), candidate(2), candidate(3)
    evidence = known(
        VAL, (BASE, [0.5, 0.5, 0.5]), (worse, [0.2, 0.5, math.nan]), (better, [0.7, 0.5, None]),
        (best, [1.0, 0.4, None]),
    )  # fmt: skip
    found = lessons(BASE, TRAIN, [], VAL, evidence)
    assert [one.better.candidate if one.better else None for one in found] == ["c2", None, None]


def test_the_baseline_can_teach_its_heirs() -> None:
    heir = candidate(1)
    evidence = known(VAL, (BASE, [1.0, 0.0]), (heir, [0.0, 1.0]))
    (found,) = lessons(heir, TRAIN, [], VAL, evidence)
    assert found.better is not None
    assert found.better.candidate == "c0"


def test_failures_in_training_have_no_sibling_to_look_at() -> None:
    (found,) = lessons(BASE, TRAIN, studied(0.0), VAL, known(VAL, (BASE, [])))
    assert found.better is None
