"""Instructions: the proposer sees what happened, and what it writes can stand in a prompt."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import dspy
import pytest
from dspy import lm15

from compilm.errors import BudgetExceeded
from compilm.metrics import Score
from compilm.optimizers.budget import Budget
from compilm.optimizers.compile import compile_job
from compilm.optimizers.propose.base import Scene
from compilm.optimizers.propose.instructions import Instruct, rows
from compilm.optimizers.rollout import Step

from .. import worlds
from .test_demos import PREDICTOR, rollout, scene, train


class Proposer:
    """Answers every request with the same text; keeps what it was asked."""

    def __init__(self, text: Any = "Look at the end.") -> None:
        self.text, self.asked = text, []  # type: ignore[var-annotated]

    def __call__(self, predict: dspy.Predict, fields: dict[str, Any], number: int) -> Any:
        self.asked.append(fields)
        return dspy.Prediction(proposed_instruction=self.text)


def asking(made: Scene, proposer: Any) -> Scene:
    return replace(made, ask=proposer)


def test_rows_show_what_was_expected_answered_and_said() -> None:
    data = train(("a", "red"), ("b", "blue"), ("c", None), (None, "red"))
    met = replace(rollout(data.ids[0], 0.25), score=Score(0.25, "look again"))
    met = replace(met, steps=(Step("sort", {"text": "a"}, {"label": "green"}),))
    assert rows(PREDICTOR, data, [met]) == [
        {
            "inputs": {"text": "a"},
            "expected": {"label": "red"},
            "predicted": {"label": "green"},
            "score": 0.25,
            "feedback": "look again",
        },
        {"inputs": {"text": "b"}, "expected": {"label": "blue"}},
    ]


def test_rows_leave_out_a_score_that_is_missing_and_words_that_were_not_said() -> None:
    data = train(("a", None), ("b", None))
    first, second = rollout(data.ids[0], None), rollout(data.ids[1], 1.0)
    shown = rows(PREDICTOR, data, [first, second])
    assert [sorted(row) for row in shown] == [
        ["inputs", "predicted"],
        ["inputs", "predicted", "score"],
    ]


def test_rollouts_of_other_examples_are_not_shown() -> None:
    assert rows(PREDICTOR, train((None, "red")), [rollout("elsewhere")]) == []


def test_the_proposer_sees_the_task_and_examples_as_json() -> None:
    proposer = Proposer()
    data = train(*((f"tëxt {n}", "red") for n in range(10)))
    proposal = Instruct(share=0.5)(asking(scene(data), proposer))
    assert proposal is not None
    assert proposal.changes["sort"].instructions == "Look at the end."
    (asked,) = proposer.asked
    assert asked["task"] == (
        "The step `sort`. Inputs: `text` (str). Outputs: `reasoning` (str), `label` (str)."
    )
    shown = json.loads(asked["examples"])
    assert len(shown) == 5
    assert "tëxt" in asked["examples"]
    assert shown[0]["expected"] == {"label": "red"}


def test_repeated_proposals_see_other_examples() -> None:
    proposer, data = Proposer(), train(*((f"t{n}", "red") for n in range(20)))
    made = asking(scene(data), proposer)
    for _ in range(3):
        Instruct(share=0.5)(made)
    assert len({fields["examples"] for fields in proposer.asked}) == 3


def test_long_examples_are_cut_to_what_fits_and_one_is_always_shown() -> None:
    proposer = Proposer()
    Instruct()(asking(scene(train(*((f"{n}" * 9000, "red") for n in range(10)))), proposer))
    assert len(json.loads(proposer.asked[0]["examples"])) == 4
    Instruct()(asking(scene(train(("x" * 50_000, "red"))), proposer))
    assert len(json.loads(proposer.asked[1]["examples"])) == 1


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("  Sort well.\n", "Sort well."),
        ("```\nSort well.\n```", "Sort well."),
        ("```markdown\nSort well.\n```", "Sort well."),
        ("```Sort well.```", "Sort well."),
        ("Answer so:\n```json\n{}\n```", "Answer so:\n```json\n{}\n```"),
        ("```\na\n```\nor\n```\nb\n```", "```\na\n```\nor\n```\nb\n```"),
        ("x" * 6000, "x" * 6000),
    ],
)
def test_a_fence_around_a_proposal_is_taken_off_and_no_other(written: str, kept: str) -> None:
    proposal = Instruct()(asking(scene(train(("a", "red"))), Proposer(written)))
    assert proposal is not None
    assert proposal.changes["sort"].instructions == kept


@pytest.mark.parametrize(
    "written", ["", "  ", "```\n```", "Use sk-proj-" + "a1B2" * 12, None, 7, "Sort."]
)
def test_what_cannot_stand_in_a_prompt_or_says_nothing_new_is_no_proposal(written: Any) -> None:
    assert Instruct()(asking(scene(train(("a", "red"))), Proposer(written))) is None


def test_a_proposer_that_failed_makes_no_proposal() -> None:
    assert Instruct()(asking(scene(train(("a", "red"))), lambda *_: None)) is None


def test_without_examples_the_proposer_is_not_asked() -> None:
    proposer = Proposer()
    assert Instruct()(asking(scene(train((None, "red"))), proposer)) is None
    assert proposer.asked == []


def test_every_predictor_that_may_change_is_changed_and_no_other() -> None:
    other = replace(PREDICTOR, path="other")
    for tunable in ((PREDICTOR, other), (other,)):
        proposer = Proposer()
        proposal = Instruct()(asking(scene(train(("a", "red")), tunable=tunable), proposer))
        assert proposal is not None
        assert list(proposal.changes) == [predictor.path for predictor in tunable]
        assert proposal.note == ", ".join(proposal.changes)
        assert len(proposer.asked) == len(tunable)


def test_with_everything_frozen_there_is_nothing_to_propose() -> None:
    proposer = Proposer()
    assert Instruct()(asking(scene(train(("a", "red")), tunable=()), proposer)) is None
    assert proposer.asked == []


def test_a_compile_with_everything_frozen_ends_by_itself() -> None:
    result = compile_job(worlds.job(level=2, frozen=("sort",)))
    assert result.candidate == "c0"
    assert result.stop.startswith("nothing may change")


@pytest.mark.parametrize(
    "failure", [lm15.ServerError("down"), {"unrelated": "x"}, BudgetExceeded("a cap of its own")]
)
def test_a_failing_proposer_is_noted_and_the_search_goes_on(failure: Any) -> None:
    proposer = worlds.scripted_lm([failure], model="scripted/proposer")
    job = worlds.job(level=2, budget=Budget(rollouts=250), sizes=(20, 20, 20))
    roles = {**job.roles, "proposer": proposer}
    result = compile_job(replace(job, roles=roles))
    assert any(note.startswith("the proposer failed in request ") for note in result.notes)
    assert result.spent.rollouts > 60


def test_the_field_descriptions_are_told() -> None:
    proposer = Proposer()
    field = replace(PREDICTOR.inputs[0], desc="a message")
    described = replace(PREDICTOR, inputs=(field,))
    Instruct()(asking(scene(train(("a", "red")), predictor=described), proposer))
    assert "`text` (str): a message." in proposer.asked[0]["task"]


def test_the_name_is_told() -> None:
    assert Instruct().name == "proposed instructions"
