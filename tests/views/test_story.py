"""The fold of records into a story, whole and at every stage of a run."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.views import stories

from compilm.errors import JournalError
from compilm.journal import MemoryJournal, Record
from compilm.views.rows import CandidateRow, Interval, Pair, Prompt, RolloutRow, Spending
from compilm.views.story import Reader, Story, read_story

RECORDS = list(stories.proven().read())


def test_a_finished_run_is_told_whole() -> None:
    story = read_story(RECORDS)
    assert story.finished
    assert (story.verdict, story.shipped, story.challenger) == ("proven", "c4", "c4")
    assert [row.id for row in story.candidates] == [f"c{n}" for n in range(7)]
    assert [row.outcome for row in story.decisions] == list(stories.OUTCOMES)
    assert len(story.rollouts) == 648
    assert story.spent == Spending(648, 672, 672 * 228, None, story.spent.seconds)
    assert story.failures == {"LMTimeout": 1}
    assert story.lost_calls == 2
    assert [row.size for row in story.data] == [120, 60, 156]
    assert story.models["default"] == "embedded/rules"
    assert story.prompts["route"].instructions == stories.GIVEN


def test_a_parent_is_the_candidate_it_was_made_from() -> None:
    story = read_story(RECORDS)
    parents = {row.id: row.parent for row in story.candidates}
    assert parents == {"c0": None, "c1": "c0", "c2": "c0", "c3": "c0", "c4": "c3", "c5": "c3",
                       "c6": "c3"}  # fmt: skip


def test_an_unfinished_run_has_a_leader_and_no_verdict() -> None:
    story = read_story(stories.unfinished().read())
    assert not story.finished
    assert (story.verdict, story.challenger) == ("", "c3")
    assert story.confirmed is None
    assert story.outcome("c4") is None
    assert story.spent.rollouts == 194
    assert story.spent.calls == 206


def test_a_run_without_a_gain_ships_the_baseline_and_names_who_challenged_it() -> None:
    story = read_story(stories.nothing_gained().read())
    assert (story.verdict, story.shipped, story.challenger) == ("unproven", "c0", "c3")
    assert story.gain == Interval(0.0, 0.0, 0.0, 60)


@settings(max_examples=25)
@given(st.integers(min_value=1, max_value=len(RECORDS)))
def test_every_prefix_of_a_run_has_a_story_that_never_shrinks(length: int) -> None:
    reader = Reader()
    for record in RECORDS[:length]:
        reader.take(record)
    story, whole = reader.story(), read_story(RECORDS)
    assert story == read_story(RECORDS[:length])
    assert story.candidates == whole.candidates[: len(story.candidates)]
    assert story.spent.calls <= whole.spent.calls + 1
    assert story.finished == (length == len(RECORDS))


def test_spending_between_decisions_counts_what_was_sent_since() -> None:
    reader = Reader()
    before = next(i for i, record in enumerate(RECORDS) if record.kind == "decision")
    for record in RECORDS[: before + 3]:  # one more candidate, and one call sent
        reader.take(record)
    assert reader.story().spent.calls == 49


def test_no_records_are_no_story() -> None:
    with pytest.raises(JournalError, match="nothing to tell"):
        read_story([])


def test_records_of_two_runs_are_refused() -> None:
    with pytest.raises(JournalError, match="'a' and 'b'"):
        read_story([Record("note", 0, "a", {"text": "x"}), Record("note", 0, "b", {"text": "x"})])


def test_kinds_that_are_not_known_are_passed_over() -> None:
    assert read_story([Record("tea.made", 3.0, "r", {})]) == Story(
        "r", started=3.0, last=3.0, spent=Spending()
    )


def test_a_note_is_told_once_however_often_it_was_written() -> None:
    records = [Record("note", 0, "r", {"text": "x"}), Record("note", 1, "r", {"text": "x"})]
    assert read_story(records).notes == ("x",)


def test_a_run_that_says_almost_nothing_of_itself_is_read() -> None:
    story = read_story([Record("run.started", 1.0, "r", {"name": "n", "data": {"test": None}})])
    assert (story.name, story.data, story.prompts) == ("n", (), {})


def test_one_unknown_price_makes_the_sum_unknown_and_known_ones_add_up() -> None:
    def call(price: float | None) -> Record:
        body = {"role": "default", "model": "m", "input_tokens": 2, "output_tokens": None}
        return Record("call", 0.0, "r", {**body, "usd": price})

    assert read_story([call(0.5), call(0.25)]).spent.usd == 0.75
    assert read_story([call(0.5), call(None)]).spent.usd is None
    assert read_story([call(None), call(0.5)]).usage[0].usd is None
    assert read_story([call(0.5)]).spent.tokens == 2


def test_cells_of_an_equal_candidate_count_for_both() -> None:
    journal = MemoryJournal()
    book = stories.Book(journal, "r")
    for id in ("c0", "c1"):
        book.add("candidate", id=id, digest="same", move="", note="", predictors={})
    book.add("rollout", candidate="c0", digest="same", split="val", example="e",
             score={"value": 0.5})  # fmt: skip
    story = read_story(journal.read())
    assert story.cells("c1", "val")["e"].value == 0.5
    assert story.cells("c9", "val") == {}


def test_pairs_hold_what_only_one_side_has_seen() -> None:
    story = read_story(stories.unfinished().read())
    pairs = {pair.example: pair for pair in story.pairs("val")}
    assert len(pairs) == 48
    assert Pair("e", None, None).difference is None


def test_a_missing_score_is_none_and_never_zero() -> None:
    said = RolloutRow.of({"score": {"value": 0.0, "missing": "a model call failed"}})
    silent = RolloutRow.of({"score": {"value": None}})
    assert (said.value, said.missing) == (None, "a model call failed")
    assert (silent.value, silent.missing) == (None, "no score")


def test_inputs_are_shown_where_a_record_holds_them() -> None:
    score = {"value": 1.0}
    assert RolloutRow.of({"score": score, "inputs": {"q": 1, "w": "x"}}).inputs == "q: 1; w: x"
    assert RolloutRow.of({"score": score, "inputs": "text"}).inputs == "text"


def test_an_interval_without_edges_is_a_point() -> None:
    assert Interval.of({"value": 0.5, "low": None, "high": None}) == Interval(0.5, 0.5, 0.5, 0)
    assert Interval.of({"value": None}) is None
    assert Interval.of(None) is None


def test_prompts_of_unknown_candidates_are_those_of_the_given_program() -> None:
    story = read_story(RECORDS)
    assert story.prompt("c99", "route").instructions == stories.GIVEN
    assert story.prompt("c0", "nowhere") == Prompt()


def test_a_candidate_may_lack_words() -> None:
    assert CandidateRow.of({"id": "c0"}, 1.0) == CandidateRow("c0", "", None, "", "", {}, 1.0)


def test_the_challenger_of_a_run_without_decisions_is_what_it_shipped() -> None:
    assert Story("r").challenger == "c0"
    assert Story("r", shipped="c2").challenger == "c2"
    assert Story("r").best_score is None
    assert Story("r").baseline_score is None
