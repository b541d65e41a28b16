"""What the embedded model learns comes from the prompt: demonstrations, rules, nothing else."""

from __future__ import annotations

import json
import random
from typing import Any

import dspy
import pytest

from compilm.runtime.embedded import embedded_lm


def records(letters: Any) -> str:
    return json.dumps(
        [{"inputs": {"text": one.text}, "expected": {"desk": one.desk}} for one in letters]
    )


def test_opaque_labels_are_guessed_at_chance_without_evidence(desks: Any, chat: dspy.LM) -> None:
    assert desks.accuracy() < 0.25


def test_demonstrations_teach_opaque_labels(desks: Any, embedded: dspy.LM) -> None:
    assert desks.accuracy(demos=desks.train[:32]) > 0.5


def test_shuffled_labels_teach_nothing(desks: Any, chat: dspy.LM) -> None:
    shown = desks.train[:32]
    names = [one.desk for one in shown]
    random.Random(1).shuffle(names)
    wrong = [type(one)(one.text, name) for one, name in zip(shown, names, strict=True)]
    assert desks.accuracy(demos=wrong) < 0.3


def test_both_adapters_get_the_same_answers(desks: Any) -> None:
    answers = []
    for adapter in (dspy.ChatAdapter(), dspy.JSONAdapter()):
        with dspy.context(lm=embedded_lm(), adapter=adapter):
            program = dspy.Predict(desks.signature())
            program.demos = [dspy.Example(text=d.text, desk=d.desk) for d in desks.train[:20]]
            answers.append([program(text=one.text).desk for one in desks.test[:40]])
    assert answers[0] == answers[1]


def test_mined_rules_lift_opaque_labels_from_chance(
    desks: Any, chat: dspy.LM, propose: Any
) -> None:
    instruction = propose(records(desks.train[:150]))
    assert instruction.startswith("Sort the letter.")
    assert desks.accuracy(instruction) >= 0.7


def test_the_same_cues_under_other_labels_are_worth_nothing(
    desks: Any, chat: dspy.LM, propose: Any
) -> None:
    moved = [type(d)(d.text, f"desk_{int(d.desk[5:]) % 10 + 1}") for d in desks.train[:150]]
    assert desks.accuracy(propose(records(moved))) < 0.2


@pytest.mark.parametrize("number", [5, 20, 60, 200])
def test_any_batch_gives_rules_that_help(
    desks: Any, chat: dspy.LM, propose: Any, number: int
) -> None:
    assert desks.accuracy(propose(records(desks.train[:number]))) > desks.accuracy()


def test_a_larger_model_reads_more_demonstrations(desks: Any) -> None:
    found = {}
    for name in ("embedded/small", "embedded/large"):
        with dspy.context(lm=embedded_lm(name), adapter=dspy.ChatAdapter()):
            found[name] = desks.accuracy(demos=desks.train[:64])
    assert found["embedded/large"] > found["embedded/small"] + 0.1


def test_later_batches_keep_earlier_rules_and_improve_on_them(
    desks: Any, chat: dspy.LM, propose: Any
) -> None:
    first = propose(records(desks.train[:40]))
    second = propose(records(desks.train[40:160]), current=first)
    assert desks.accuracy(second) > desks.accuracy(first)


def test_a_prompt_bias_makes_wording_matter_and_its_absence_does_not(desks: Any) -> None:
    wordings = ("Sort the letter.", "Kindly pick the right one.")
    for bias, differs in ((0.0, False), (0.2, True)):
        answers = []
        for wording in wordings:
            with dspy.context(lm=embedded_lm(bias=bias), adapter=dspy.ChatAdapter()):
                program = dspy.Predict(desks.signature(wording))
                answers.append([program(text=one.text).desk for one in desks.test[:40]])
        assert (answers[0] != answers[1]) is differs
