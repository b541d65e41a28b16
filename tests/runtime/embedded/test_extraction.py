"""Spans: identifiers, amounts and dates among distractors, by kind, by example and by rule."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any

import dspy
import pytest

from compilm.runtime.embedded.extract import (
    SpanModel,
    SpanTask,
    kind_of,
    shape,
    spans,
    stands_in,
)
from compilm.runtime.embedded.rules import Rule

FRAMES = (
    "Claim {claim} under policy {policy}: please pay {amount}, reported {date}.",
    "Dear team, I paid {amount} on {date} for case {claim} ({policy}).",
    "On {date} my basement flooded. Policy {policy}, claim {claim}. The bill is {amount}.",
    "Re {claim}. Our contract {policy} covers {amount} since {date}.",
)


def letters(number: int, frames: Sequence[str] = FRAMES, seed: int = 0) -> list[dict[str, str]]:
    rng = random.Random(seed)
    found = []
    for _ in range(number):
        values = {
            "claim": f"CLM-{rng.randint(2019, 2025)}-{rng.randint(100000, 999999)}",
            "policy": f"PL{rng.randint(10, 99)}-{rng.randint(1000, 9999)}",
            "amount": f"${rng.randint(1, 9)},{rng.randint(100, 999)}.{rng.randint(10, 99)}",
            "date": f"2024-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}",
        }
        found.append({"text": rng.choice(frames).format(**values), **values})
    return found


SIGNATURE = dspy.Signature("text -> claim_number, amount, incident_date")


def example(letter: dict[str, str]) -> dspy.Example:
    return dspy.Example(
        text=letter["text"],
        claim_number=letter["claim"],
        amount=letter["amount"],
        incident_date=letter["date"],
    )


def accuracy(signature: Any, demos: list[dspy.Example]) -> dict[str, float]:
    program = dspy.Predict(signature)
    program.demos = demos
    asked = [example(letter) for letter in letters(60, seed=9)]
    answers = [program(text=one.text) for one in asked]
    return {
        name: sum(a[name] == o[name] for a, o in zip(answers, asked, strict=True)) / len(asked)
        for name in ("claim_number", "amount", "incident_date")
    }


def test_kinds_find_amounts_and_dates_without_any_example(embedded: dspy.LM) -> None:
    found = accuracy(SIGNATURE, [])
    assert found["amount"] == found["incident_date"] == 1.0
    assert found["claim_number"] > 0.6


def test_a_few_examples_tell_a_claim_number_from_a_policy_number(embedded: dspy.LM) -> None:
    shown = [example(letter) for letter in letters(6)]
    assert min(accuracy(SIGNATURE, shown).values()) >= 0.98


def test_mined_exemplars_tell_spans_apart(chat: dspy.LM, propose: Any) -> None:
    opaque = dspy.Signature("text -> reference_1, reference_2")
    rows = letters(40)
    shown = json.dumps(
        [
            {
                "inputs": {"text": row["text"]},
                "expected": {"reference_1": row["policy"], "reference_2": row["claim"]},
            }
            for row in rows
        ]
    )
    instruction = propose(shown, current="Read the letter.")
    program = dspy.Predict(opaque.with_instructions(instruction))
    asked = letters(30, seed=5)
    right = sum(program(text=row["text"]).reference_1 == row["policy"] for row in asked)
    assert right >= 27


def test_examples_without_a_value_teach_when_to_give_none(chat: dspy.LM) -> None:
    signature = dspy.Signature("text -> ticket")
    program = dspy.Predict(signature)
    program.demos = [
        dspy.Example(text=f"ticket {name} is open", ticket=name) for name in ("T-11", "T-25")
    ] + [
        dspy.Example(text="ticket T-63 is shut", ticket="T-63"),
        dspy.Example(text="nothing to report today", ticket="none"),
    ]
    assert program(text="ticket T-77 is open").ticket == "T-77"
    assert program(text="all quiet here").ticket == "none"


def test_an_empty_value_can_be_what_is_given_for_none(embedded: dspy.LM) -> None:
    program = dspy.Predict("text -> ticket")
    program.demos = [
        dspy.Example(text=f"ticket {name} is open", ticket=name) for name in ("T-11", "T-25")
    ] + [dspy.Example(text="nothing to report today", ticket="")]
    assert program(text="all quiet here").ticket == ""


def test_a_long_text_is_searched_to_its_end(chat: dspy.LM) -> None:
    filler = " ".join(f"word{number}" for number in range(500))
    program = dspy.Predict("text -> code_word")
    program.demos = [
        dspy.Example(text=f"{filler} and the code is {word}", code_word=word)
        for word in ("apple", "plum")
    ]
    assert program(text=f"{filler} and the code is grape").code_word == "grape"


def test_temperature_gives_other_spans(chat: dspy.LM) -> None:
    program = dspy.Predict("text -> owner_name")
    text = "Ann met Bob and Cid and Dan and Eve and Flo today"
    seen = {
        program(text=text, config={"temperature": 1.0, "seed": seed}).owner_name
        for seed in range(15)
    }
    assert len(seen) > 1


def test_spans_stop_at_pauses_but_not_inside_a_date() -> None:
    texts = {span.text for span in spans({"t": "Due March 9, 2024, or so.\nEnd"})}
    assert "March 9, 2024" in texts
    assert "2024, or" not in texts
    assert not any("so" in text and "End" in text for text in texts)


def test_empty_tokens_are_no_spans() -> None:
    assert [span.text for span in spans({"t": "... a"}, 1)] == ["a"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("email", "ann@example.com"),
        ("homepage_url", "https://x.test/a"),
        ("amount_due", "$1,250.00"),
        ("total_price", "30 EUR"),
        ("phone", "+1 (555) 010-2030"),
        ("due_date", "March 5, 2024"),
        ("due_date", "05/03/2024"),
        ("start_time", "4:30 pm"),
        ("interest_rate", "4.5%"),
        ("claim_number", "CLM-2024-118834"),
        ("order_id", "45"),
        ("customer_name", "Ann Lee"),
    ],
)
def test_a_field_name_tells_the_kind_of_its_values(name: str, value: str) -> None:
    kind = kind_of(name)
    assert kind is not None
    assert kind.fullmatch(value)


@pytest.mark.parametrize("name", ["answer", "customer_reply", "valid", "accident_notes"])
def test_other_names_tell_nothing(name: str) -> None:
    assert kind_of(name) is None


def test_a_brief_description_tells_a_kind_and_a_long_one_does_not() -> None:
    assert kind_of("x", "The claim number.")
    assert not kind_of("x", "What one would say in order to please, or else a number")


def test_shapes_keep_signs_and_collapse_runs() -> None:
    assert shape("Ab-90!") == "Aa-99!"
    assert shape("AAb--99", collapsed=True) == "Aa-9"


@pytest.mark.parametrize(
    ("value", "found"), [("", False), (" ", False), ("no", False), ("C#", True)]
)
def test_a_value_stands_in_a_text_only_as_whole_words(value: str, found: bool) -> None:
    assert stands_in(value, "Nothing but C# notes") is found


def test_cues_and_negated_rules() -> None:
    task = SpanTask("x", "", (Rule("owner", 1.0), Rule("tenant", -0.5)), ())
    assert SpanModel(task).best({"t": "tenant Bob owner Ann"}) == "Ann"


def test_nothing_allowed_gives_nothing() -> None:
    assert SpanModel(SpanTask("x", "", (), ())).best({"t": "a b"}, allow=str.isdigit) is None
