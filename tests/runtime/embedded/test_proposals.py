"""Proposal requests: examples recovered from every optimizer's text, rules mined and merged."""

from __future__ import annotations

import json
import random
from typing import Any

import dspy
import pytest
from dspy.lm15 import Message, Request
from dspy.propose.dataset_summary_generator import (
    DatasetDescriptor,
    ObservationSummarizer,
    order_input_keys_in_string,
)

from compilm.runtime.embedded import EmbeddedEngine, embedded_lm
from compilm.runtime.embedded.mine import Known, mine, retract, terms
from compilm.runtime.embedded.propose import Draft, propose_plain, read_draft, write_draft
from compilm.runtime.embedded.rules import HINTS
from compilm.runtime.embedded.samples import Sample, read_markdown, read_samples

TEXTS = [("my card got lost", "a"), ("lost the card", "a"), ("a fee again", "b"), ("the fee", "b")]
SAMPLES = [Sample(text, {"y": (label,)}, {}) for text, label in TEXTS]


def test_records_give_gold_from_expected_feedback_or_score() -> None:
    records = [
        {"inputs": {"t": "x"}, "expected": {"y": "a", "n": 3, "z": None, "w": {"u": True}}},
        {"inputs": {"t": "x"}, "predicted": {"y": "b"}, "feedback": "`y` should be 'a'."},
        {"inputs": {"t": "x"}, "predicted": {"y": "a"}, "score": 1.0},
        {"inputs": {"t": "x"}, "predicted": {"y": "a"}, "score": 0.0},
        {"inputs": {"t": "x"}, "expected": {"tags": ["p", "q", {"r": 1}]}},
        {"inputs": "bare text", "expected": {"y": "a"}},
        {"expected": {"y": "no inputs"}},
        "not a record",
    ]
    found = read_samples({"examples": json.dumps(records)})
    assert [dict(sample.gold) for sample in found] == [
        {"y": ("a",), "n": ("3",), "u": ("True",)},
        {"y": ("a",)},
        {"y": ("a",)},
        {},
        {"tags": ("p", "q")},
        {"y": ("a",)},
    ]
    assert found[-1].text == "bare text"


@pytest.mark.parametrize(
    ("feedback", "gold"),
    [
        ("`y` should be 'a'", "a"),
        ('y was expected to be "a b", sorry', "a b"),
        ("Wrong. The correct answer is 'a'.", "a"),
        ("Expected: refund_x but got fee", "refund_x"),
        ("That is right.", "b"),
        ("That is not right.", None),
        ("Hm.", None),
    ],
)
def test_feedback_tells_the_right_answer(feedback: str, gold: str | None) -> None:
    record = {"Inputs": {"t": "x"}, "Generated Outputs": {"y": "b"}, "Feedback": feedback}
    found = read_samples({"examples_with_feedback": json.dumps([record])})[0].gold
    assert found == ({} if gold is None else {"y": (gold,)})


def test_feedback_on_an_unknown_field_counts_only_if_no_output_is_known() -> None:
    for outputs, gold in (({"y": "b"}, {}), ({}, {"q": ("a",)})):
        record = {"Inputs": {"t": "x"}, "Generated Outputs": outputs, "Feedback": "q must be 'a'"}
        assert read_samples({"e": json.dumps([record])})[0].gold == gold


def test_printed_examples_are_read() -> None:
    shown = [dspy.Example(t=text, y=label).with_inputs("t") for text, label in TEXTS]
    text = order_input_keys_in_string(repr(shown))
    found = read_samples({"examples": text})
    assert [(s.text, s.gold["y"]) for s in found] == [(t, (label,)) for t, label in TEXTS]
    assert read_samples({"examples": "Example({oops}) (input_keys={'t'})"}) == []


def test_induction_blocks_are_read() -> None:
    text = "".join(
        f"Input Fields:\nt: {t}\n\n=========\nOutput Fields:\ny: {label}\n\n" for t, label in TEXTS
    )
    assert [dict(s.gold) for s in read_samples({"examples_text": text})] == [
        {"y": (label,)} for _, label in TEXTS
    ]


def test_task_demonstrations_are_read_by_the_module_line() -> None:
    inputs = {
        "module": "Predict(my_text) -> y",
        "task_demos": "stray\nMy Text: one\nand two\nY: a\n\nMy Text: no output\n\n",
    }
    (found,) = read_samples(inputs)
    assert (found.text, found.gold) == ("one\nand two", {"y": ("a",)})


def test_a_trajectory_is_read() -> None:
    inputs = {
        "oracle_metadata": '{"y": "a"}',
        "program_inputs": '{"t": "x"}',
        "worse_program_trajectory": '[{"module_name": "p", "outputs": {"y": "b"}}]',
    }
    assert read_samples(inputs) == [Sample("x", {"y": ("a",)}, {"y": ("b",)})]
    assert read_samples({**inputs, "oracle_metadata": "{"}) == []
    assert read_samples({**inputs, "worse_program_trajectory": "3"})[0].predicted == {}


@pytest.mark.parametrize("text", ["[1, 2", "plain", "[3]", ""])
def test_other_text_holds_no_samples(text: str) -> None:
    assert read_samples({"examples": text}) == []


def test_markdown_records_are_read() -> None:
    text = (
        "before\n# Example 1\n## Inputs\n### t\nmy card\nis lost\n\n## Generated Outputs\n### y\nb"
        "\n\n## Feedback\n`y` should be 'a'\n\n# Example 2\n## Inputs\nno member\n"
        "## Inputs\n### t\nlate"
    )
    first, second = read_markdown(text)
    assert first == Sample("my card\nis lost", {"y": ("a",)}, {"y": ("b",)})
    assert second.text == "no member"


def test_terms_leave_out_pairs_of_function_words() -> None:
    assert set(terms("what is the cost")) == {"the cost", "cost"}


def test_cues_are_words_of_their_own_label() -> None:
    found = mine(SAMPLES, limit=2)
    assert set(found) == {("", "a"), ("", "b")}
    assert all("lost" in cue or "card" in cue for cue in found["", "a"])
    assert all("fee" in cue for cue in found["", "b"])


def test_a_word_that_another_label_owns_is_worth_less() -> None:
    (best,) = mine(SAMPLES, limit=1)["", "a"]
    rival = Known({("", "c"): [best], ("", "a"): ["x"]})
    assert mine(SAMPLES, limit=1, known=rival)["", "a"] != [best]


def test_temperature_varies_the_cues() -> None:
    found = {
        tuple(mine(SAMPLES, limit=2, known=Known({}, 1.0, random.Random(seed)))["", "a"])
        for seed in range(10)
    }
    assert len(found) > 1


def test_fields_with_their_own_classes_get_their_own_groups() -> None:
    samples = [
        Sample(text, {"y": (label,), "z": ("high" if label == "a" else "low",)}, {})
        for text, label in TEXTS
    ]
    assert {group for group, _ in mine(samples, limit=3)} == {"y", "z"}


def test_spans_give_exemplars_of_each_shape_and_the_words_left_of_them() -> None:
    samples = [
        Sample(f"claim C-{n} of Ann", {"id": (f"C-{n}",), "who": ("Ann",)}, {}) for n in range(4)
    ] + [Sample("nothing", {"id": ("absent",)}, {})]
    assert mine(samples, limit=5)["", "id"] == ["`C-0`", "claim"]


@pytest.mark.parametrize(
    "values",
    [
        [str(number) for number in range(12)],
        ["a long answer that goes on and on and on and on and on and on, forever"] * 4,
        [f"answer {number}" for number in range(20)],
        ["tick`s"] * 4,
        [" "],
    ],
)
def test_values_that_are_no_labels_give_no_rules(values: list[str]) -> None:
    assert mine([Sample("some text", {"y": (value,)}, {}) for value in values], limit=5) == {}


def test_many_repeated_values_are_labels_even_if_the_texts_hold_them() -> None:
    samples = [Sample(f"{label} please", {"y": (label,)}, {}) for label in ["fee", "card"] * 10]
    assert set(mine(samples, limit=5)) == {("", "fee"), ("", "card")}


def test_a_label_without_words_of_its_own_gets_no_rule() -> None:
    samples = [Sample("same", {"y": (label,)}, {}) for label in "aabb"]
    assert mine(samples, limit=3) == {}


def test_cues_that_misled_are_retracted_unless_they_serve_as_often() -> None:
    rules = {("", "b"): ["card", "fee", "`C-1`"]}
    wrong = Sample("the card C-1", {"y": ("a",)}, {"y": ("b",)})
    right = Sample("my card", {"y": ("b",)}, {"y": ("b",)})
    unjudged = Sample("the card", {"y": ("a",)}, {})
    assert retract(rules, [wrong, unjudged])["", "b"] == ["fee", "`C-1`"]
    assert retract(rules, [wrong, right])["", "b"] == ["card", "fee", "`C-1`"]


def test_drafts_survive_writing_and_reading() -> None:
    draft = Draft(
        ("Sort the mail.",),
        {("", "id"): ["`C-1`", "claim"], ("y", "a b"): ["x"], ("z", "a b"): ["w v"]},
    )
    text = write_draft(draft, 9)
    assert read_draft(text) == draft
    assert text.splitlines()[2] == "For `y`:"


def test_prose_ends_a_group_and_a_rule_without_cues_is_prose() -> None:
    draft = read_draft('For `y`:\n- `a`: "x"\n\nThen:\n- `b`: "z"\n- `c`: anything')
    assert draft.rules == {("y", "a"): ["x"], ("", "b"): ["z"]}
    assert draft.prose == ("Then:", "- `c`: anything")


def test_a_proposal_keeps_the_prose_and_adds_rules_after_it(
    embedded: dspy.LM, propose: Any
) -> None:
    records = [{"inputs": {"t": t}, "expected": {"y": label}} for t, label in TEXTS]
    lines = propose(json.dumps(records), current="Sort.\nBe brief.").splitlines()
    assert lines[:2] == ["Sort.", "Be brief."]
    assert [line[:6] for line in lines[2:]] == ["- `a`:", "- `b`:"]


def test_a_proposal_without_prose_or_examples_is_still_an_instruction(
    chat: dspy.LM, propose: Any
) -> None:
    assert propose("[]", current="") == "Map the input fields to the output fields."


def test_only_fields_of_the_predictor_get_rules(chat: dspy.LM, propose: Any) -> None:
    records = [
        {"inputs": {"t": t}, "expected": {"y": v, "other": v * 2}, "predicted": {"y": "a"}}
        for t, v in TEXTS
    ]
    assert "`aa`" not in propose(json.dumps(records))


def test_seeds_vary_proposals_only_at_a_temperature(chat: dspy.LM, propose: Any) -> None:
    records = json.dumps([{"inputs": {"t": t}, "expected": {"y": v}} for t, v in TEXTS])
    hot = {propose(records, temperature=1.0, seed=seed) for seed in range(8)}
    cold = {propose(records, seed=seed) for seed in range(3)}
    assert len(hot) > 1
    assert len(cold) == 1


def test_a_hot_proposal_has_exactly_one_strategy_sentence(chat: dspy.LM, propose: Any) -> None:
    first = propose("[]", temperature=1.0, seed=1)
    second = propose("[]", current=first, temperature=1.0, seed=2)
    assert sum(hint.sentence in second for hint in HINTS) == 1


@pytest.mark.parametrize(("tip", "number"), [("Be concise.", 6), ("Be very descriptive.", 23)])
def test_a_tip_changes_the_number_of_cues(chat: dspy.LM, tip: str, number: int) -> None:
    text = "one two three four five six seven eight nine ten eleven"
    words = [text.replace("one", name) for name in ("red", "blue")]
    records = [
        {"inputs": {"t": t}, "expected": {"y": v}}
        for t, v in ((words[0], "a"), (f"{words[0]} fin", "a"), ("other things entirely", "b"))
    ]
    signature = dspy.Signature("current_instruction, examples, tip -> proposed_instruction")
    answer = dspy.Predict(signature)(
        current_instruction="Sort.", examples=json.dumps(records), tip=tip
    )
    line = answer.proposed_instruction.splitlines()[1]
    assert line.count('"') // 2 == number


def test_the_chain_of_a_data_summary_carries_the_cues(chat: dspy.LM) -> None:
    shown = [dspy.Example(t=text, y=label).with_inputs("t") for text, label in TEXTS]
    observed = dspy.Predict(DatasetDescriptor)(examples=repr(shown)).observations
    summary = dspy.Predict(ObservationSummarizer)(observations=observed).summary
    signature = dspy.Signature("dataset_description, basic_instruction -> proposed_instruction")
    answer = dspy.Predict(signature)(dataset_description=summary, basic_instruction="Sort.")
    assert answer.proposed_instruction.startswith("Sort.")
    assert "`a`" in answer.proposed_instruction


def test_a_summary_of_a_document_is_no_proposal(chat: dspy.LM) -> None:
    answer = dspy.Predict("document -> summary")(document="Rain fell. The rain fell all day.")
    assert answer.summary in ("Rain fell.", "The rain fell all day.")


def test_descriptions_of_programs_are_given(chat: dspy.LM) -> None:
    signature = dspy.Signature("program_code, module -> reasoning, module_description")
    answer = dspy.Predict(signature)(program_code="x", module="Predict(a) -> b")
    assert "Predict(a) -> b" in answer.module_description
    assert answer.reasoning


def optimized(optimizer: Any, desks: Any, **how: Any) -> Any:
    shown = [dspy.Example(text=d.text, desk=d.desk).with_inputs("text") for d in desks.train]
    program = dspy.Predict(desks.signature())
    return optimizer.compile(program, trainset=shown[:80], **how).signature.instructions


def right(example: Any, prediction: Any, *_: Any) -> float:
    return float(example.desk == prediction.desk)


def test_rule_induction_teaches_the_task(desks: Any, chat: dspy.LM) -> None:
    optimizer = dspy.InferRules(
        metric=right,
        num_candidates=1,
        num_threads=1,
        max_bootstrapped_demos=0,
        max_labeled_demos=0,
    )
    assert desks.accuracy(optimized(optimizer, desks)) > 2 * desks.accuracy()


def test_reflection_teaches_the_task(desks: Any, chat: dspy.LM) -> None:
    def judged(gold: Any, pred: Any, trace: Any = 0, name: Any = 0, of: Any = 0) -> Any:
        del trace, name, of  # asked for by name
        good = gold.desk == pred.desk
        told = "Correct." if good else f"`desk` should be '{gold.desk}'."
        return dspy.Prediction(score=float(good), feedback=told)

    optimizer = dspy.GEPA(
        metric=judged,
        max_metric_calls=300,
        reflection_lm=embedded_lm(),
        reflection_minibatch_size=10,
        num_threads=1,
    )
    shown = [dspy.Example(text=d.text, desk=d.desk).with_inputs("text") for d in desks.train]
    found = optimized(optimizer, desks, valset=shown[80:100])
    assert desks.accuracy(found) > 2 * desks.accuracy()


def test_rewording_optimizers_get_answers(desks: Any, chat: dspy.LM) -> None:
    optimizer = dspy.COPRO(metric=right, breadth=2, depth=2)
    found = optimized(optimizer, desks, eval_kwargs={"num_threads": 1, "display_progress": False})
    assert "Sort the letter." in found


def test_attempts_are_recombined_with_the_best_prose(chat: dspy.LM) -> None:
    attempts = [
        'Instruction #1: Weak.\n- `a`: "x"',
        "Prefix #1: Answer:",
        "Resulting Score #1: 0.2",
        'Instruction #2: Strong.\n- `b`: "y"',
        "Prefix #2: Answer:",
        "Resulting Score #2: 0.9",
    ]
    signature = dspy.Signature(
        "attempted_instructions -> proposed_instruction, proposed_prefix_for_output_field"
    )
    answer = dspy.Predict(signature)(attempted_instructions=attempts)
    assert answer.proposed_instruction.startswith("Strong.")
    assert {head for _, head in read_draft(answer.proposed_instruction).rules} == {"a", "b"}
    assert answer.proposed_prefix_for_output_field == "Answer:"


ADVICE = dspy.Signature(
    "modules_defn, program_inputs, oracle_metadata, worse_program_trajectory, module_names"
    " -> discussion, module_advice: dict[str, str]"
)
MODULES = (
    "Module one\n\n\tInput Fields:\n\t\t1. `t` (str):\n\tOutput Fields:\n\t\t1. `y` (str):\n"
    "\tOriginal Instructions: \n\t\tSort.\n---\nModule two\n\n\tOutput Fields:\n"
    "\t\t1. `z` (str):\n\tOriginal Instructions: \n\t\tRead."
)


@pytest.mark.parametrize("names", [["one", "two", "three"], '["one", "two", "three"]'])
def test_advice_goes_to_the_module_whose_output_it_is(embedded: dspy.LM, names: Any) -> None:
    answer = dspy.Predict(ADVICE)(
        modules_defn=MODULES,
        program_inputs='{"t": "my card got lost"}',
        oracle_metadata='{"y": "a"}',
        worse_program_trajectory="[]",
        module_names=names,
    )
    assert set(answer.module_advice) == {"one", "two", "three"}
    assert answer.module_advice["one"].startswith("- `a`:")
    assert answer.module_advice["two"] == HINTS[2].sentence


def test_a_plain_reflection_prompt_gets_a_fenced_instruction() -> None:
    prompt = (
        "I provided an assistant with the following instructions to perform a task for me:\n"
        "```\nSort the mail.\n```\n\nExamples:\n```\n# Example 1\n## Inputs\n### t\nlost card\n\n"
        "## Generated Outputs\n### y\nb\n\n## Feedback\n`y` should be 'a'\n```\n"
        "Provide the new instructions within ``` blocks."
    )
    request = Request(model="m", messages=(Message.user(prompt),))
    text = EmbeddedEngine().complete(request).text or ""
    assert text.startswith("```\nSort the mail.\n- `a`: ")
    assert text.endswith("\n```")
    assert propose_plain("Who is there?", cues=3, known=Known()) is None


def test_instructions_are_shortened_and_improved_under_other_names(chat: dspy.LM) -> None:
    long = "\n".join(f"Line {number}." for number in range(9))
    short = dspy.Predict("instruction, length_limit -> shortened_instruction")
    assert len(short(instruction=long, length_limit="9").shortened_instruction) < len(long)
    other = dspy.Predict("previous_instruction, feedback -> new_instruction")
    assert other(previous_instruction="Sort.", feedback="Hm.").new_instruction == "Sort."


def test_one_label_alone_gets_its_commonest_words() -> None:
    samples = [Sample("lost card", {"y": ("a",)}, {}) for _ in range(3)]
    assert "lost card" in mine(samples, limit=3)["", "a"]
