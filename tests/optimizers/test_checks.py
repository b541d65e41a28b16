"""Text checks: what may not be tried is told before a call is spent, and nothing else is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import dspy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compilm.artifact import Field, Nearest, Predictor
from compilm.datasets import DataSet, as_dataset
from compilm.optimizers.candidate import Candidate, Proposal
from compilm.optimizers.checks import TextChecks

STORY = "The grey ferry left the harbour at noon with nine horses and a broken clock on board."
OTHER = "Nobody in the village could say why the old mill had been painted green last winter."
OWN = Predictor(
    "sort", "default", (Field("text", "str"),), (Field("label", "str"),), "Sort the text."
)


def data(*texts: str) -> DataSet:
    rows = [dspy.Example(text=text, label="red").with_inputs("text") for text in texts]
    return as_dataset(rows, name="val")


CHECKS = TextChecks((data(STORY), data(OTHER)))


def refusal(text: str, before: str = "Sort the text.", checks: TextChecks = CHECKS) -> str:
    own = replace(OWN, instructions=before)
    return said(checks, own, replace(own, instructions=text))


def said(checks: TextChecks, own: Predictor, new: Predictor) -> str:
    return checks.refusal(Candidate(0, (own,)), Proposal("say", {new.path: new}))


def test_new_words_pass() -> None:
    assert refusal("Sort the text by the colour that it is about.") == ""


@pytest.mark.parametrize("placeholder", ["{customer}", "{_x1}", "{a} and {b}"])
def test_a_placeholder_of_the_old_text_must_stay(placeholder: str) -> None:
    before = f"Sort it for {placeholder}."
    assert refusal(f"Now sort for {placeholder}!", before) == ""
    assert refusal("Sort it.", before).startswith("sort: lost {")


def test_braces_that_are_no_placeholder_may_go() -> None:
    assert refusal("Answer.", 'Answer as {"label": 1} or {} or {2}.') == ""


def test_a_field_that_the_old_text_names_must_stay() -> None:
    before = "Look at `text` and give `label`; `stars` is nothing of ours."
    assert refusal("Read `text`, then choose `label`.", before) == ""
    assert refusal("Read the text, then choose a label.", before) == ""
    assert refusal("Read it and choose `label`.", before) == "sort: lost text"
    assert refusal("Read it.", before) == "sort: lost label, text"


def test_the_text_that_dspy_writes_itself_binds_nobody() -> None:
    before = dspy.Signature("text -> label").instructions
    assert before == "Given the fields `text`, produce the fields `label`."
    assert refusal("Choose a colour.", before) == ""


def test_a_text_may_be_6000_characters_long_or_as_long_as_it_was() -> None:
    assert refusal("x" * 6000) == ""
    assert refusal("x" * 6001) == "sort: 6001 characters, at most 6000"
    assert refusal("x" * 7000, "y" * 7000) == ""
    assert refusal("x" * 7001, "y" * 7000) != ""


@pytest.mark.parametrize("held", [STORY, OTHER])
def test_eight_words_in_a_row_of_a_held_example_are_a_copy_and_seven_are_not(held: str) -> None:
    words = held.split()
    assert refusal(f"Sort. For instance: {' '.join(words[3:11])}") == (
        "sort: copies a validation or test example"
    )
    assert refusal(f"Sort. For instance: {' '.join(words[3:10])}") == ""


def test_case_and_punctuation_do_not_hide_a_copy() -> None:
    hidden = "; ".join(STORY.upper().split()[:9])
    assert "copies" in refusal(f"Sort the text ({hidden}).")


def test_what_training_examples_say_too_is_no_copy() -> None:
    """Such as words that stand in every example."""
    form = "Please tell the desk below what colour the following parcel has:"
    held, free = data(f"{form} {STORY}"), data(f"{form} {OTHER}")
    checks = TextChecks((held,), (free,))
    assert refusal(f"Sort. Texts begin with: {form}", checks=checks) == ""
    assert "copies" in refusal(f"Sort. One is: {STORY}", checks=checks)
    assert "copies" in refusal(f"Texts begin with: {form}", checks=TextChecks((held,)))


def test_a_copy_that_the_given_program_holds_itself_may_stay_and_brings_no_other() -> None:
    before = f"Sort the text. An example: {STORY}"
    assert refusal(f"Sort it well. An example: {STORY}", before) == ""
    assert "copies" in refusal(f"Sort. Examples: {STORY} {OTHER}", before)


@pytest.mark.parametrize(
    "words",
    [
        "proposed_instruction: sort well",
        "Sort. [[ ## label ## ]]",
        "As the current_instruction says, sort.",
        "Here are the proposed_rules: none.",
    ],
)
def test_words_of_our_own_request_are_no_instruction(words: str) -> None:
    assert "of the request for a proposal" in refusal(words)
    assert refusal(words, f"{words} Given so.") == ""


def tried(*states: Predictor) -> TextChecks:
    checks = TextChecks(())
    for number, state in enumerate(states):
        checks.learn(Candidate(number, (state,)))
    return checks


NEW = replace(OWN, instructions="Read first.\nThen sort, with care!")
DEMO: dict[str, Any] = {"text": "a", "label": "red"}
NEAR = Nearest(2, "words-v1", (DEMO,) * 3)


@pytest.mark.parametrize(
    "again",
    [
        "Read first.\nThen sort, with care!",
        "Then sort with care\n\n  read FIRST",
        "* Read first\n* Then sort -- with care.",
    ],
)
def test_the_same_words_again_are_no_new_idea(again: str) -> None:
    checks = tried(OWN, NEW)
    assert said(checks, OWN, replace(OWN, instructions=again)) == "these words were tried before"


def test_other_words_or_the_same_in_another_order_are_a_new_idea() -> None:
    checks = tried(OWN, NEW)
    for text in ("Read.\nThen sort, with care!", "Read first. Then care with sort!"):
        assert said(checks, OWN, replace(OWN, instructions=text)) == ""


@pytest.mark.parametrize("change", [{"demos": (DEMO,)}, {"nearest": NEAR}, {"role": "cheap"}])
def test_tried_words_beside_other_demos_or_for_another_model_are_a_new_idea(
    change: dict[str, Any],
) -> None:
    checks = tried(OWN, NEW)
    assert said(checks, OWN, replace(NEW, **change)) == ""
    checks.learn(Candidate(2, (replace(NEW, **change),)))
    assert said(checks, OWN, replace(NEW, **change)) == "these words were tried before"


def test_a_merge_of_tried_words_with_the_incumbents_demos_is_a_new_idea() -> None:
    winner = replace(OWN, demos=(DEMO,))
    checks = tried(OWN, NEW, winner)
    assert said(checks, winner, replace(NEW, demos=(DEMO,))) == ""


def test_words_that_two_predictors_have_tried_apart_are_a_new_idea_together() -> None:
    other = replace(OWN, path="other")
    base = Candidate(0, (OWN, other))
    one, two = NEW, replace(NEW, path="other")
    checks = TextChecks(())
    for number, states in enumerate([(OWN, other), (one, other), (OWN, two)]):
        checks.learn(Candidate(number, states))
    assert checks.refusal(base, Proposal("merged", {"sort": one, "other": two})) == ""
    assert checks.refusal(base, Proposal("say", {"other": two})) == "these words were tried before"


@pytest.mark.parametrize("change", [{"demos": (DEMO,)}, {"nearest": NEAR}, {"role": "cheap"}])
def test_a_change_that_writes_no_text_always_passes(change: dict[str, Any]) -> None:
    """Even beside a text that no proposal could have written, and even if tried before."""
    own = replace(OWN, instructions=f"{STORY} [[ ## x ## ]] {'y' * 7000}")
    checks = TextChecks((data(STORY),))
    checks.learn(Candidate(0, (own,)))
    checks.learn(Candidate(1, (replace(own, **change),)))
    assert said(checks, own, replace(own, **change)) == ""


def test_every_changed_predictor_is_read() -> None:
    other = replace(OWN, path="other", instructions="Name `label`.")
    base = Candidate(0, (OWN, other))
    changes = {"sort": NEW, "other": replace(other, instructions="Name it.")}
    assert TextChecks(()).refusal(base, Proposal("say", changes)) == "other: lost label"


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=200), st.text(max_size=200))
def test_any_text_is_judged_the_same_twice_and_itself_always_passes(new: str, old: str) -> None:
    assert refusal(new, old) == refusal(new, old)
    assert refusal(old, old) == ""
