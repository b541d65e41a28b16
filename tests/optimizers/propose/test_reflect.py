"""Reflection: failures become words; what was shown of validation is told, and no more."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

import dspy
import pytest

from compilm.metrics import Score
from compilm.optimizers.propose.base import Lesson, Scene
from compilm.optimizers.propose.reflect import ProposeRules, Reflect, ReflectInstruction
from compilm.optimizers.propose.rows import lesson_rows
from compilm.optimizers.rollout import Rollout, Step

from .test_demos import PREDICTOR, rollout, scene, train

DATA = train(*((f"t{n}", "red") for n in range(30)))


class Proposer:
    """Answers every request with the same text; keeps what it was asked and by which signature."""

    def __init__(self, text: Any = "Look at the end.") -> None:
        self.text = text
        self.asked: list[dict[str, Any]] = []
        self.kinds: list[Any] = []

    def __call__(self, predict: dspy.Predict, fields: dict[str, Any], number: int) -> Any:
        self.asked.append(fields)
        self.kinds.append(predict.signature)
        return dspy.Prediction(proposed_instruction=self.text, proposed_rules=self.text)

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [row for fields in self.asked for row in json.loads(fields["examples"])]


def failed(place: int, label: str = "blue", value: float = 0.0) -> Rollout:
    found = rollout(f"t{place}", value, label)
    return replace(found, example=DATA.ids[place])


def lesson(place: int, *, held: bool = False, better: str = "") -> Lesson:
    other = replace(failed(place, better, 1.0), candidate="c7") if better else None
    return Lesson(DATA[place], failed(place), other, held)


def asking(lessons: Sequence[Lesson], proposer: Any, seed: int = 0) -> Scene:
    return replace(scene(DATA, lessons=lessons, seed=seed), ask=proposer)


def test_a_lesson_is_told_with_what_was_expected_answered_said_and_done_better() -> None:
    said = replace(failed(3), score=Score(0.25, "to all"))
    step = replace(said.steps[0], feedback="to this step")
    said = replace(said, steps=(step, said.steps[1]))
    (row,) = lesson_rows(PREDICTOR, [Lesson(DATA[3], said, failed(3, "red", 1.0))])
    assert row == {
        "inputs": {"text": "t3"},
        "expected": {"label": "red"},
        "predicted": {"reasoning": "Because.", "label": "blue", "extra": 1},
        "score": 0.25,
        "feedback": "to this step",
        "better": {"reasoning": "Because.", "label": "red", "extra": 1},
    }


def test_without_words_to_the_step_those_to_all_are_told_and_no_better_is_made_up() -> None:
    said = replace(failed(3), score=Score(0.0, "to all"))
    (row,) = lesson_rows(PREDICTOR, [Lesson(DATA[3], said)])
    assert row["feedback"] == "to all"
    assert "better" not in row
    (bare,) = lesson_rows(PREDICTOR, [lesson(3)])
    assert "feedback" not in bare


def test_a_step_that_ran_twice_is_held_against_the_same_step_of_the_better_rollout() -> None:
    def twice(first: str, second: str) -> Rollout:
        steps = [Step("sort", {"text": "t"}, {"label": label}) for label in (first, second)]
        return replace(failed(0), steps=tuple(steps))

    found = lesson_rows(PREDICTOR, [Lesson(DATA[0], twice("a", "b"), twice("c", "d"))])
    assert [row["better"] for row in found] == [{"label": "c"}, {"label": "d"}]
    once = replace(twice("c", "d"), steps=twice("c", "d").steps[:1])
    found = lesson_rows(PREDICTOR, [Lesson(DATA[0], twice("a", "b"), once)])
    assert [row.get("better") for row in found] == [{"label": "c"}, None]


def test_failures_become_a_rewritten_instruction() -> None:
    proposer = Proposer()
    proposal = Reflect()(asking([lesson(1), lesson(2)], proposer))
    assert proposal is not None
    assert (proposal.move, proposal.note) == ("reflection, rewritten", "2 failures for sort")
    assert proposal.changes == {"sort": replace(PREDICTOR, instructions="Look at the end.")}
    assert proposer.kinds == [ReflectInstruction]
    assert {row["inputs"]["text"] for row in proposer.rows} == {"t1", "t2"}
    assert proposer.asked[0]["current_instruction"] == "Sort."


def test_or_rules_added_to_the_one_that_stays() -> None:
    proposer = Proposer("Take blue for sea.\nTake red for fire.")
    proposal = Reflect("append")(asking([lesson(1)], proposer))
    assert proposal is not None
    assert proposal.move == "reflection, rules added"
    assert proposal.changes["sort"].instructions == (
        "Sort.\n\nTake blue for sea.\nTake red for fire."
    )
    assert proposer.kinds == [ProposeRules]


@pytest.mark.parametrize("form", ["rewrite", "append"])
def test_contrast_looks_only_at_what_another_got_right(form: Any) -> None:
    proposer = Proposer()
    lessons = [lesson(1), lesson(2, better="red"), lesson(3)]
    proposal = Reflect(form, contrast=True)(asking(lessons, proposer))
    assert proposal is not None
    assert proposal.move.startswith("contrast, ")
    assert [row["inputs"]["text"] for row in proposer.rows] == ["t2"]
    assert proposer.rows[0]["better"]["label"] == "red"


@pytest.mark.parametrize("move", [Reflect(), Reflect("append"), Reflect(contrast=True)])
def test_without_lessons_nobody_is_asked(move: Reflect) -> None:
    proposer = Proposer()
    assert move(asking([], proposer)) is None
    assert Reflect(contrast=True)(asking([lesson(1)], proposer)) is None
    assert proposer.asked == []


def test_at_most_eight_failures_are_read_and_others_the_next_time() -> None:
    lessons = [lesson(n) for n in range(30)]
    first, second = Proposer(), Proposer()
    Reflect()(asking(lessons, first, seed=1))
    Reflect()(asking(lessons, second, seed=2))
    assert len(first.rows) == len(second.rows) == 8
    assert first.rows != second.rows


def test_the_same_scene_gives_the_same_proposal() -> None:
    lessons = [lesson(n, held=n % 2 == 0) for n in range(30)]
    one, two = (Reflect()(asking(lessons, Proposer(), seed=5)) for _ in range(2))
    assert one == two


def test_what_was_shown_of_validation_is_told_and_nothing_of_training() -> None:
    lessons = [lesson(n, held=n >= 15) for n in range(30)]
    proposer = Proposer()
    proposal = Reflect()(asking(lessons, proposer, seed=3))
    assert proposal is not None
    told = {row["inputs"]["text"] for row in proposer.rows}
    assert proposal.shown == {DATA.ids[n] for n in range(15, 30) if f"t{n}" in told}
    assert 0 < len(proposal.shown) < 8


def test_only_predictors_that_may_change_are_reflected_on() -> None:
    other = replace(PREDICTOR, path="other")
    for tunable in ((PREDICTOR, other), (other,), ()):
        proposer = Proposer()
        made = replace(asking([lesson(1)], proposer), tunable=tunable)
        proposal = Reflect()(made)
        assert [*(proposal.changes if proposal else ())] == [p.path for p in tunable]
        assert len(proposer.asked) == len(tunable)


def test_a_predictor_that_did_not_run_has_nothing_to_learn() -> None:
    proposer = Proposer()
    absent = replace(PREDICTOR, path="absent")
    assert Reflect()(replace(asking([lesson(1)], proposer), tunable=(absent,))) is None
    assert proposer.asked == []


@pytest.mark.parametrize("written", ["", "```\n```", None, 7, "use sk-proj-" + "a1B2" * 12])
@pytest.mark.parametrize("form", ["rewrite", "append"])
def test_what_cannot_stand_in_a_prompt_is_no_proposal(form: Any, written: Any) -> None:
    assert Reflect(form)(asking([lesson(1)], Proposer(written))) is None


def test_a_rewrite_that_changes_nothing_is_no_proposal() -> None:
    assert Reflect()(asking([lesson(1)], Proposer("Sort."))) is None


def test_a_proposer_that_failed_makes_no_proposal() -> None:
    assert Reflect()(asking([lesson(1)], lambda *_: None)) is None
    assert Reflect("append")(asking([lesson(1)], lambda *_: None)) is None


def test_its_chance_is_the_scenes_alone() -> None:
    """Another move that draws from its own scene changes nothing here."""
    made = asking([lesson(n) for n in range(20)], Proposer(), seed=9)
    expected = Reflect()(replace(made, rng=Random(9)))
    Random(1).random()
    assert Reflect()(replace(made, rng=Random(9))) == expected
