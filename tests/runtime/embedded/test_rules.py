"""What the task side reads in an instruction: heads, quoted and spoken labels, negation, groups."""

from __future__ import annotations

import pytest

from compilm.runtime.embedded.rules import (
    HINTS,
    lines_about,
    read_hints,
    read_rules,
    rule_heads,
)


def signs(instruction: str, labels: list[str], **how: bool) -> dict[str, list[tuple[str, float]]]:
    return {
        label: [(rule.text, rule.sign) for rule in rules]
        for label, rules in read_rules(instruction, labels, **how).items()
    }


@pytest.mark.parametrize(
    "line",
    [
        "- `card_lost`: gone",
        "* card_lost: gone",
        "1. card lost -> gone",
        '"Card-Lost" => gone',
        "**card_lost**: gone",
        "card_lost - gone",
        "- `card_lost` (often): gone",
        "card_lost \u2192 gone",
    ],
)
def test_a_line_headed_by_a_label_is_about_it(line: str) -> None:
    assert signs(line, ["card_lost", "card"]) == {"card_lost": [("gone", 1.0)]}


def test_the_longest_label_wins() -> None:
    assert list(signs("- desk_10: x", ["desk_1", "desk_10"])) == ["desk_10"]


def test_labels_with_signs_and_capitals_are_found_exactly() -> None:
    labels = ["Why?", "why?", "C++"]
    assert list(signs("- `why?`: a\n- `Why?`: b\n- C++: c", labels)) == ["why?", "Why?", "C++"]


def test_quoted_words_count_twice() -> None:
    assert signs('- `a`: "x y", z', ["a"]) == {"a": [('"x y", z x y', 1.0)]}


def test_a_negated_cue_counts_against_the_label() -> None:
    assert signs('- `a`: "lost", not "found"', ["a"]) == {
        "a": [('"lost", not lost', 1.0), ("found", -0.5)]
    }


def test_bullets_under_an_empty_head_are_about_its_label() -> None:
    text = "refund:\n- money back\n- returned\nOther words."
    assert signs(text, ["refund"]) == {"refund": [("- money back", 1.0), ("- returned", 1.0)]}


def test_a_bare_label_inside_a_sentence_is_not_a_mention() -> None:
    assert signs("A refund of the fee was asked.", ["refund", "True"]) == {}


def test_a_label_after_a_word_of_choosing_is_a_mention() -> None:
    assert signs("Money back: answer refund.", ["refund"])["refund"][0][1] == 1.0


def test_a_sentence_that_prefers_one_label_to_another_counts_for_and_against() -> None:
    found = signs("Fees are `cost`, not `refund`.", ["cost", "refund"])
    assert [found[label][0][1] for label in ("cost", "refund")] == [1.0, -0.5]


def test_each_of_several_labels_has_the_words_after_it() -> None:
    found = signs("Use `a` for cards and `b` for fees", ["a", "b"])
    assert found == {"a": [("for cards and", 1.0)], "b": [("for fees", 1.0)]}


def test_or_the_words_before_it_where_none_follow() -> None:
    found = signs("For cards use `a`, for fees use `b`.", ["a", "b"])
    assert found["a"][0][0].startswith("For cards")
    assert "fees" in found["b"][0][0]


def test_a_mention_without_other_words_says_nothing() -> None:
    assert signs("`a`.", ["a"]) == {}


def test_heads_only_reads_no_mentions() -> None:
    text = "Given the fields `text`, produce the fields `answer`.\n- `answer`: brief"
    assert signs(text, ["answer"], heads_only=True) == {"answer": [("brief", 1.0)]}


@pytest.mark.parametrize(("text", "labels"), [("", ["a"]), ("x", []), ("a: b", ["", "_"])])
def test_nothing_to_read_gives_nothing(text: str, labels: list[str]) -> None:
    assert read_rules(text, labels) == {}


def test_a_label_that_lower_case_loses_is_left_out() -> None:
    assert read_rules("\u0130x: b", ["i\u0307x"]) == {}


def test_a_group_of_another_field_is_not_read() -> None:
    text = "Sort.\nFor `tone`:\n- `high`: loud\nFor `cost`:\n- `high`: dear\nDone."
    assert lines_about(text, "cost") == "Sort.\n- `high`: dear\nDone."
    assert "dear" not in lines_about(text, "tone")


def test_heads_are_the_back_ticked_names() -> None:
    assert rule_heads("- `b`: x\n- `a`: y\n- c: z\n- `b`: w") == ("b", "a")


def test_every_strategy_sentence_is_understood() -> None:
    for hint in HINTS:
        assert read_hints(f"Sort. {hint.sentence}") == {hint.scales: hint.factor}
    assert read_hints("Sort the mail by the rules.") == {}
