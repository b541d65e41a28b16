"""Open fields: closed sets that nobody declared, numbers, adapted answers, best sentences."""

from __future__ import annotations

from typing import Any, Literal

import dspy
import pytest

from compilm.errors import ConfigError
from compilm.runtime.embedded import embedded_lm
from compilm.runtime.embedded.dates import read_date, read_time
from compilm.runtime.embedded.features import FUNCTION_WORDS, features, stem
from compilm.runtime.embedded.memo import Memo
from compilm.runtime.embedded.options import SIZES, Options
from compilm.runtime.embedded.pattern import matching
from compilm.runtime.embedded.prompt import Field, as_text, last_inputs, read_prompt
from compilm.runtime.embedded.prose import adapt, best_sentence
from compilm.runtime.embedded.solve import read_number

SHOWN = [
    dspy.Example(text=text, kind=kind)
    for text, kind in (
        ("my card got lost", "cards"),
        ("lost the card", "cards"),
        ("a fee again", "fees"),
        ("the fee is high", "fees"),
    )
]


def answer(signature: str, demos: list[Any], instruction: str = "", **inputs: Any) -> Any:
    program = dspy.Predict(dspy.Signature(signature, instruction or None))
    program.demos = demos
    return program(**inputs)


def test_repeated_values_are_a_closed_set(embedded: dspy.LM) -> None:
    assert answer("text -> kind", SHOWN, text="which fee?").kind == "fees"


def test_labels_listed_in_words_are_a_closed_set(embedded: dspy.LM) -> None:
    fields = {
        "text": (str, dspy.InputField()),
        "kind": (str, dspy.OutputField(desc="one of: card lost, high fee or 'other'")),
    }
    program = dspy.Predict(dspy.Signature(fields))
    assert program(text="why this fee?").kind == "high fee"


@pytest.mark.parametrize(
    "instruction",
    ["Sort. `kind` is one of: cards, fees.", "Sort it as one of: cards; fees"],
)
def test_labels_listed_in_the_instruction_are_a_closed_set(chat: dspy.LM, instruction: str) -> None:
    assert answer("text -> kind", [], instruction, text="the fees?").kind == "fees"


def test_the_heads_of_rules_are_a_closed_set(embedded: dspy.LM) -> None:
    told = 'Sort.\n- `c1`: "lost card"\n- `f1`: "fee"'
    assert answer("text -> kind", [], told, text="why this fee?").kind == "f1"
    seen = [dspy.Example(text="lost my card", kind="c1")]
    assert answer("text -> kind", seen, told, text="why this fee?").kind == "f1"


def test_rule_heads_add_labels_that_no_demonstration_shows(chat: dspy.LM) -> None:
    told = 'Sort.\n- `cards`: "lost"\n- `loans`: "mortgage", "loan"'
    assert answer("text -> kind", SHOWN, told, text="a mortgage loan").kind == "loans"


def test_groups_of_rules_keep_fields_apart(chat: dspy.LM) -> None:
    told = (
        'Judge.\nFor `tone`:\n- `x`: "please"\n- `y`: "damn"\n'
        'For `topic`:\n- `x`: "card"\n- `y`: "fee"'
    )
    signature = "text -> tone: Literal['x', 'y'], topic: Literal['x', 'y']"
    found = answer(signature, [], told, text="damn this card")
    assert (found.tone, found.topic) == ("y", "x")


def test_a_list_of_labels_takes_those_with_evidence(embedded: dspy.LM) -> None:
    fields = {
        "text": (str, dspy.InputField()),
        "tags": (list[Literal["lost card", "high fee", "loan"]], dspy.OutputField()),
    }
    program = dspy.Predict(dspy.Signature(fields))
    assert set(program(text="a lost card and a high fee").tags) == {"lost card", "high fee"}


def test_a_boolean_is_true_where_its_name_is_said(embedded: dspy.LM) -> None:
    assert answer("text -> is_urgent: bool", [], text="this is urgent").is_urgent is True


def test_reasoning_names_the_words_that_decided(chat: dspy.LM) -> None:
    program = dspy.ChainOfThought("text -> kind: Literal['lost card', 'high fee']")
    found = program(text="my card is gone")
    assert '"card"' in found.reasoning
    assert program(text="zzz").reasoning == "The wording of the input decides."


def test_reasoning_alone_is_an_answer(chat: dspy.LM) -> None:
    assert answer("text -> reasoning", [], text="Rain falls.").reasoning == "Rain falls."


def test_a_number_is_read_where_the_demonstrations_read_it(embedded: dspy.LM) -> None:
    shown = [
        dspy.Example(text=f"{a} boxes with {b} pens", pens=b) for a, b in ((3, 40), (5, 12), (2, 7))
    ]
    assert answer("text -> pens: int", shown, text="4 boxes with 31 pens").pens == 31


def test_a_rating_is_learned_as_a_label(chat: dspy.LM) -> None:
    shown = [
        dspy.Example(text=text, stars=stars)
        for text, stars in (("great fun", 5), ("great", 5), ("dull plot", 1), ("so dull", 1))
    ]
    assert answer("text -> stars: int", shown, text="a dull film").stars == 1


def test_a_figure_that_is_nowhere_in_the_text_is_the_nearest_example_s(chat: dspy.LM) -> None:
    shown = [dspy.Example(text="a small dog", kg=8.5), dspy.Example(text="a big horse", kg=500.0)]
    assert answer("text -> kg: float", shown, text="my horse").kg == 500.0


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("$1,250.50", 1250.5),
        ("-3", -3.0),
        ("12%", 12.0),
        ("C45", None),
        ("9" * 30, None),
        ("", None),
    ],
)
def test_numbers_are_read_with_their_units(text: str, number: float | None) -> None:
    assert read_number(text) == number


def test_free_text_follows_the_nearest_demonstration(embedded: dspy.LM) -> None:
    shown = [
        dspy.Example(mail="Julia asks where order C45 is", reply="Dear Julia, C45 is on its way."),
        dspy.Example(mail="Tom wants a refund for B17", reply="Dear Tom, we refund B17."),
        dspy.Example(mail="Ann thanks us", reply="Dear Ann, you are welcome."),
    ]
    found = answer("mail -> reply", shown, mail="Karla asks where order D81 is")
    assert found.reply == "Dear Karla, D81 is on its way."


def test_free_text_without_demonstrations_is_a_sentence_of_the_input(chat: dspy.LM) -> None:
    found = answer(
        "context, question -> answer",
        [],
        context=["Ann owns the mill.", "It rains."],
        question="Who owns the mill?",
    )
    assert found.answer == "Ann owns the mill."


def test_an_identifier_field_without_candidates_still_gets_text(chat: dspy.LM) -> None:
    assert answer("text -> order_id", [], text="...").order_id == "..."


def test_a_ruled_field_without_candidates_still_gets_text(chat: dspy.LM) -> None:
    assert answer("text -> who", [], 'Find.\n- `who`: "owner"', text="...").who == "..."


def test_sentences_and_adaptation_have_edges() -> None:
    assert best_sentence({}) == ""
    assert best_sentence({"t": " "}) == ""
    assert adapt("Plain words.", "Order C45", "Order D81") == "Plain words."
    assert adapt("C45 and E9-x", "C45 E9-x", "D81") == "D81 and E9-x"


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("2024-3-5", "2024-03-05"),
        ("3/5/2024", "2024-03-05"),
        ("5.3.2024", "2024-03-05"),
        ("5th of March 2024", "2024-03-05"),
        ("Sept 5, 2024", "2024-09-05"),
        ("2024-13-40", None),
        ("5 Foo 2024", None),
        ("anm 5, 2024", None),
    ],
)
def test_dates_are_read(text: str, date: str | None) -> None:
    assert read_date(text) == date


@pytest.mark.parametrize(
    ("text", "time"),
    [("16:30", "16:30:00"), ("12 am", "00:00:00"), ("4:05:06 p.m.", "16:05:06"), ("25:00", None)],
)
def test_times_are_read(text: str, time: str | None) -> None:
    assert read_time(text) == time


@pytest.mark.parametrize(
    "pattern",
    [
        r"^[A-Z]{2}-\d+$",
        r"(?:ab|cd)+[^a-z]\w?",
        r"(?P<x>\$\d{3,5})\.00",
        r"[]\]]x*?.",
        r"a|b",
        r"\bword\b",
        r"(x)(y)",
    ],
)
def test_a_plain_pattern_is_matched(pattern: str) -> None:
    assert matching(pattern) is not None


@pytest.mark.parametrize("pattern", [r"(?=x)y(?<=z)", r"[a", r"(", "\\"])
def test_other_patterns_are_given_up(pattern: str) -> None:
    assert matching(pattern) is None


def test_types_and_descriptions_are_read_from_the_prompt() -> None:
    fields = {
        "t": (str, dspy.InputField(desc="a text\nover two lines")),
        "y": (Literal["a (b)", "c: `d`", "e's"], dspy.OutputField(desc="the (only) label")),
    }
    messages = dspy.ChatAdapter().format(
        dspy.Signature(fields, "Go.\n\nOn.\n  In."), [], {"t": "x"}
    )
    prompt = read_prompt(messages[0]["content"], ())
    assert prompt.instruction == "Go.\n\nOn.\n  In."
    assert prompt.inputs[0].description == "a text\nover two lines"
    assert prompt.outputs[0].choices == ("a (b)", "c: `d`", "e's")
    assert prompt.outputs[0].description == "the (only) label"
    assert last_inputs(prompt, messages[1]["content"]) == {"t": "x"}


def test_broken_notes_and_types_leave_a_field_open() -> None:
    field = Field("y", "Literal[what is this]", "", "must adhere to the JSON schema: {oops}")
    assert field.choices == ()
    assert field.schema is None
    broken = (
        "Your output fields are:\n1. `y` (str\nAll interactions will be structured so."
        "\nJSON object with the following fields.\n{oops\n}"
    )
    assert read_prompt(broken, (), wants_json=True).outputs == (Field("y", "str"),)


def test_values_are_shown_as_plain_text() -> None:
    assert as_text("[1] «one»\n[2] «two»") == "one\ntwo"
    assert as_text("[1, 2]") == "[1, 2]"
    assert as_text("[broken") == "[broken"
    assert as_text(3) == "3"


@pytest.mark.parametrize("answer_text", ["not json", "[1]", "{}"])
def test_an_unreadable_demonstration_is_left_out(answer_text: str) -> None:
    system, *_ = dspy.JSONAdapter().format(dspy.Signature("t -> y"), [], {"t": "x"})
    turns = (("user", "[[ ## t ## ]]\nx"), ("assistant", answer_text))
    assert read_prompt(system["content"], turns).demos == ()


def test_features_share_stems_and_halve_function_words() -> None:
    assert features("the")["the"] == 0.5
    assert features("charges").keys() & features("charged").keys() >= {"charg"}
    assert stem("ss") == "ss"
    assert len(FUNCTION_WORDS) > 80


def test_a_memo_forgets_the_least_recently_used() -> None:
    memo = Memo(2)
    for key in ("a", "b", "a", "c"):
        memo.get(key, list)
    assert len(memo) == 2
    assert memo.get("b", lambda: ["made anew"]) == ["made anew"]
    assert memo.get("c", lambda: ["made anew"]) == []


def test_sizes_differ_in_what_they_attend_to() -> None:
    assert [SIZES[name].attend_demos for name in SIZES] == [4, 16, 64]
    assert SIZES["embedded/small"].w_rule == 0.5
    assert SIZES["embedded/base"] == Options()


def test_a_negative_option_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"attend_demos is -1"):
        embedded_lm(attend_demos=-1)


@pytest.mark.parametrize(
    "options",
    [{"jitter": 0.5}, {"bias": 0.5}, {"attend_words": 1}, {"recency": 0.1}, {"hints": False}],
)
def test_each_noise_and_limit_changes_answers(desks: Any, options: dict[str, Any]) -> None:
    told = "Sort. Let the listed cues decide.\n" + "\n".join(
        f'- `{name}`: "{one.text}"'
        for name in desks.names
        for one in [next(d for d in desks.train if d.desk == name)]
    )
    answers = []
    for lm in (embedded_lm(), embedded_lm(**options)):
        with dspy.context(lm=lm, adapter=dspy.ChatAdapter()):
            program = dspy.Predict(desks.signature(told))
            program.demos = [dspy.Example(text=d.text, desk=d.desk) for d in desks.train[:12]]
            answers.append([program(text=one.text).desk for one in desks.test])
    assert answers[0] != answers[1]
