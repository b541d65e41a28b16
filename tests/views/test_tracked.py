"""What a tracker is told of a story fits its limits and leaves nothing unknown as a number."""

from __future__ import annotations

import re
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from tests.views import stories

from compilm.views import tracked
from compilm.views.rows import Prompt, Spending
from compilm.views.story import Story, read_story

PROVEN = read_story(stories.proven().read())
GOING = read_story(stories.unfinished().read())
VARIABLE = re.compile(r"\{\{\s*([a-zA-Z_][a-zA-Z0-9_.]*)\s*\}\}")


def test_parameters_hold_what_went_in_and_nothing_that_is_unset() -> None:
    found = tracked.params(PROVEN)
    assert found["level"] == "2"
    assert found["budget.rollouts"] == "1000"
    assert found["data.test.size"] == "156"
    assert found["model.default"] == "embedded/rules"
    assert "budget.usd" not in found
    assert "optimizer" not in found


def test_parameters_are_the_same_before_and_after_a_run_ends() -> None:
    first = stories.START
    begun = read_story(r for r in stories.proven().read() if r.at < first + 60)
    assert tracked.params(begun) == tracked.params(PROVEN)


def test_tags_say_how_the_run_stands() -> None:
    assert tracked.tags(GOING)["compilm.status"] == "unfinished"
    assert "compilm.verdict" not in tracked.tags(GOING)
    assert tracked.tags(PROVEN)["compilm.verdict"] == "proven"


def test_the_step_of_every_metric_is_the_calls_made_by_then() -> None:
    steps = [each.step for each in tracked.metrics(PROVEN) if each.key == "best.val"]
    assert steps == [48, 204, 204, 204, 360, 360, 360]
    assert [each.value for each in tracked.metrics(PROVEN) if each.key == "test.gain"] == [34 / 156]


def test_an_unknown_price_is_no_metric() -> None:
    assert "spent.usd" not in {each.key for each in tracked.metrics(PROVEN)}
    paid = replace(PROVEN, spent=Spending(1, 1, 1, 0.5, 1.0))
    assert [each.value for each in tracked.metrics(paid) if each.key == "spent.usd"] == [0.5]


def test_a_candidate_without_a_decision_has_no_metrics_and_waits() -> None:
    assert tracked.candidate_metrics(GOING, "c4") == []
    assert tracked.candidate_tags(GOING, "c4")["compilm.outcome"] == "waiting"


def test_a_decision_without_a_score_has_no_score_metric() -> None:
    row = replace(PROVEN.decisions[1], score=None, best_score=None)
    story = replace(PROVEN, decisions=(row,), confirmed=None)
    keys = {each.key for each in tracked.metrics(story)}
    assert "candidate.val" not in keys
    assert "best.val" not in keys
    assert "val.score" not in {each.key for each in tracked.candidate_metrics(story, "c1")}


def test_a_candidate_is_told_with_its_parent_and_whether_it_shipped() -> None:
    tags = tracked.candidate_tags(PROVEN, "c4")
    assert (tags["compilm.parent"], tags["compilm.shipped"]) == ("c3", "yes")
    assert "compilm.parent" not in tracked.candidate_tags(PROVEN, "c0")
    assert "val.difference" not in {m.key for m in tracked.candidate_metrics(PROVEN, "c0")}


def test_a_table_keeps_missing_scores_missing() -> None:
    table = tracked.table(GOING, "c4", "val")
    assert table["columns"][:2] == ["example", "score"]
    assert [row[1] for row in table["data"]] == [1.0, None]
    assert table["data"][1][3] == "a model call failed: LMTimeout"


@given(st.text(st.sampled_from("{}%# ab"), max_size=30))
def test_a_prompt_never_becomes_a_template(text: str) -> None:
    shown = tracked.prompt_text(Prompt(text))
    assert VARIABLE.search(shown) is None
    assert not any(opening in shown for opening in ("{{", "{%", "{#", "}}", "%}", "#}"))
    assert shown.replace(" ", "") == text.replace(" ", "")


def test_a_prompt_tells_how_its_demonstrations_are_chosen() -> None:
    nearest = {"k": 8, "embedder": "words-v1", "size": 400, "digest": "sha256:aa"}
    shown = tracked.prompt_text(Prompt.of({"instructions": "Sort.", "nearest": nearest}))
    assert shown == "Sort.\n\nDemonstrations for each call: 8 nearest of a pool of 400 (words-v1)"


def test_the_note_is_a_table_with_the_finding_above() -> None:
    note = tracked.note(PROVEN)
    assert note.startswith("**Proven better.** The compiled program scores 0.724")
    assert "| gain | | +0.218 [+0.15, +0.29] |" in note
    assert "Ended by: converged" in note
    told = tracked.note(read_story(stories.nothing_gained().read()))
    assert "Models: embedded, not a language model" in told
    assert "| gain" not in tracked.note(Story("r"))


@given(st.text(max_size=400))
def test_keys_hold_only_what_every_tracker_takes(name: str) -> None:
    assert re.fullmatch(r"[a-zA-Z0-9_.-]{1,200}", tracked.key(name))
