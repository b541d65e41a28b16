"""A diff of prompts: nothing is lost, nothing is invented, and only what changed is shown."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from compilm import canonical
from compilm.views.rows import Prompt
from compilm.views.textdiff import (
    demos_html,
    html_diff,
    prompt_html,
    prompt_text,
    text_diff,
    words,
)

TEXT = st.text(st.sampled_from("ab cd.\n<&"), max_size=60)


@given(TEXT, TEXT)
def test_both_texts_can_be_read_back_from_the_runs(before: str, after: str) -> None:
    runs = words(before, after)
    assert "".join(run for kind, run in runs if kind != "added") == before
    assert "".join(run for kind, run in runs if kind != "removed") == after


@given(TEXT)
def test_a_text_does_not_differ_from_itself(same: str) -> None:
    assert all(kind == "same" for kind, _ in words(same, same))


@given(TEXT, TEXT)
def test_html_holds_no_marks_but_its_own(before: str, after: str) -> None:
    rest = re.sub(r"</?(ins|del)>", "", html_diff(before, after))
    assert "<" not in rest
    assert ">" not in rest


def test_lone_words_within_a_change_belong_to_it() -> None:
    runs = words("Pick a color of the sky", "Choose the color by eye of the sky")
    assert runs == (
        ("removed", "Pick a color"),
        ("added", "Choose the color by eye"),
        ("same", " of the sky"),
    )


def test_very_long_texts_are_compared_by_lines() -> None:
    before = "".join(f"line {n}\n" for n in range(800))
    after = before.replace("line 400\n", "row 400\n")
    assert [run for kind, run in words(before, after) if kind != "same"] == [
        "line 400\n",
        "row 400\n",
    ]


def test_a_terminal_gets_brackets_or_colors() -> None:
    assert text_diff("a b", "a c") == "a [-b-]{+c+}"
    assert text_diff("a b", "a c", color=True) == "a \x1b[31;9mb\x1b[0m\x1b[32mc\x1b[0m"


def test_only_demonstrations_that_changed_are_in_the_table() -> None:
    kept, gone, new = {"q": 1}, {"q": "old"}, {"q": "<new>", "a": ["x"]}
    table = demos_html([kept, gone], [kept, new])
    assert table.count("<tr class=") == 2
    assert "&lt;new&gt;" in table
    assert "[&quot;x&quot;]" in table
    assert table.index("cm-ins") < table.index("cm-del")


def test_a_demonstration_that_stands_twice_is_added_once() -> None:
    assert demos_html([{"q": 1}], [{"q": 1}, {"q": 1}]).count("cm-ins") == 1


def test_long_values_are_cut_in_the_table() -> None:
    assert "…" in demos_html([], [{"q": "x" * 1000}])


def test_a_prompt_shows_only_what_changed() -> None:
    demo, other = {"q": 1}, {"q": 2}
    given = Prompt("Answer.", (demo, other))
    assert "instructions" not in prompt_html(given, Prompt("Answer.", (demo,)))
    assert "demonstrations: 2 before, 1 after" in prompt_html(given, Prompt("Answer.", (demo,)))
    assert "another order" in prompt_html(given, Prompt("Answer.", (other, demo)))
    assert "demonstrations" not in prompt_html(given, Prompt("Reply.", (demo, other)))


def test_a_prompt_for_a_terminal_lists_demonstrations_by_sign() -> None:
    shown = prompt_text(Prompt("A.", ({"q": 1},)), Prompt("B.", ({"q": 2},)))
    assert shown.splitlines() == ["[-A-]{+B+}.", '+ {"q":2}', '- {"q":1}']
    assert prompt_text(Prompt("A."), Prompt("A.")) == ""


CHOICE = {"k": 8, "embedder": "words-v1", "size": 400, "digest": "sha256:aa"}


def test_demonstrations_chosen_per_call_are_told_in_words() -> None:
    before, after = Prompt.of({"instructions": "A."}), Prompt.of({"nearest": CHOICE})
    told = "demonstrations for each call: none before, 8 nearest of a pool of 400 (words-v1) after"
    assert told in prompt_html(before, after)
    assert told in prompt_text(before, after)
    assert prompt_html(after, after) == prompt_text(after, after) == ""
    other = Prompt.of({"nearest": {**CHOICE, "digest": "sha256:bb"}})
    assert "which is another pool now" in prompt_text(after, other)


def test_a_pool_is_told_the_same_from_a_record_that_holds_it_and_one_that_names_it() -> None:
    pool = [{"q": 1}, {"q": 2}]
    whole = Prompt.of({"nearest": {"k": 1, "embedder": "words-v1", "pool": pool}})
    named = {"k": 1, "embedder": "words-v1", "size": 2, "digest": canonical.digest(pool)}
    assert whole == Prompt.of({"nearest": named})


def test_a_record_that_says_little_of_its_choice_is_read() -> None:
    assert Prompt.of({"nearest": None}) == Prompt.of({"nearest": "odd"}) == Prompt()
    assert Prompt.of({"nearest": {"k": 2}}).nearest == "2 nearest of a pool of 0 (unknown)"
