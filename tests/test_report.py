"""The report is one file that says what was found, hides nothing, and needs nothing else."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests.views import stories

from compilm import report
from compilm.views.rows import RolloutRow
from compilm.views.story import Story, read_story
from compilm.views.summary import live_html, summary_html, summary_text

STORIES = {
    "proven": read_story(stories.proven().read()),
    "unfinished": read_story(stories.unfinished().read()),
    "nothing": read_story(stories.nothing_gained().read()),
    "bare": Story("r"),
}
VOID = {"meta", "br"}


class _Balanced(HTMLParser):
    """Fails on a tag that is closed out of order or never."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Closed already."""

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(html: str) -> str:
    """The text of a page whose tags must balance."""
    parser = _Balanced()
    parser.feed(html)
    parser.close()
    assert parser.open == [] or parser.open == ["tr"]
    return " ".join(" ".join(parser.text).split())


@pytest.mark.parametrize("name", STORIES)
def test_a_page_is_well_formed_and_loads_nothing(name: str) -> None:
    html = report.render(STORIES[name])
    read(html)
    for outside in ("<script", "<link", "<img", "@import", "url(", 'src="', "javascript:"):
        assert outside not in html
    assert html.replace("http://www.w3.org/2000/svg", "").count("http") == 0


@pytest.mark.parametrize("name", STORIES)
def test_a_page_has_the_same_bytes_each_time(name: str) -> None:
    assert report.render(STORIES[name]) == report.render(STORIES[name])


def test_a_normal_run_makes_a_small_page() -> None:
    assert len(report.render(STORIES["proven"]).encode()) < 300_000


def test_the_page_of_a_proof_tells_all_of_it() -> None:
    told = read(report.render(STORIES["proven"]))
    for words in (
        "claims-desk",
        "Proven better",
        "on 156 held-out examples that the search never saw",
        "The proof",
        "gain, as told",
        "on these examples",
        "1 other predictor stayed as given",
        "won, shipped",
        "1 × LMTimeout",
        "2 in flight when a process died",
        "converged: the last round brought nothing",
        "split by thread",
        "held out, for the proof",
        "dspy 3.4.1",
        "compilm runs 3f2a9c",
        "price unknown",
    ):
        assert words in told


def test_examples_stand_worst_first_with_feedback_escaped() -> None:
    html = report.render(STORIES["proven"])
    table = html[html.index("All of them, the worst first") :]
    assert "expected &#x27;claims&#x27;, got &#x27;billing&#x27; &lt;" in table
    compiled = re.findall(r'<td class="num">[01]\.000</td><td class="num">([01]\.000)</td>', table)
    assert len(compiled) == 156
    assert compiled == sorted(compiled)
    assert "<th>inputs</th>" not in table


def test_inputs_are_shown_only_where_records_hold_them() -> None:
    story = STORIES["nothing"]
    rollouts = tuple(replace(row, inputs="q: why?") for row in story.rollouts)
    assert "q: why?" in report.render(replace(story, rollouts=rollouts))


def test_of_very_many_examples_the_worst_are_shown_and_the_rest_is_said() -> None:
    story = STORIES["proven"]
    cell = story.rollouts[-1]
    many = tuple(replace(cell, candidate="c4", digest="", example=f"e{n}") for n in range(500))
    told = read(report.render(replace(story, rollouts=many)))
    assert "300 more, all with higher scores, are in the journal." in told


def test_a_short_comparison_is_unfolded_and_a_long_one_folded() -> None:
    story = STORIES["proven"]
    few = tuple(row for row in story.rollouts if row.split != "test" or row.example < "test-010")
    assert "<details open>" in report.render(replace(story, rollouts=few))
    assert "<details open>" not in report.render(story)


def test_a_missing_score_is_said_and_never_shown_as_zero() -> None:
    story = STORIES["unfinished"]
    assert any(row.value is None for row in story.rollouts)
    assert "rollouts without a score 1" in read(report.render(story))
    lost = RolloutRow("c4", "", "test", "x", None, "", "a model call failed")
    told = read(report.render(replace(STORIES["proven"], rollouts=(lost,))))
    assert "x none none a model call failed" in told


def test_an_unfinished_run_claims_nothing() -> None:
    told = read(report.render(STORIES["unfinished"]))
    assert "Not finished" in told
    assert "Nothing is confirmed on held-out examples yet" in told
    assert "The proof" not in told
    assert "waiting" in told


def test_a_run_without_a_gain_says_so_and_shows_what_was_tried() -> None:
    told = read(report.render(STORIES["nothing"]))
    assert "No proven gain" in told
    assert "The held-out comparison" in told
    assert "This candidate was not shipped." in told
    assert "Models: embedded, not a language model" in told
    assert "candidate c3, test" in told


def test_a_run_that_never_compared_shows_the_held_out_score_of_what_it_ships() -> None:
    story = STORIES["nothing"]
    told = read(report.render(replace(story, confirmed=None)))
    assert "best validation score 0.400 given program, test" in told
    told = read(report.render(replace(story, confirmed=None, baseline={})))
    assert "given program, test" not in told


def test_the_note_on_the_split_stands_with_the_data_only() -> None:
    story = STORIES["bare"]
    noted = replace(STORIES["proven"], notes=("by hash",), split_note="by hash")
    assert read(report.render(noted)).count("by hash") == 1
    assert "by hash" not in report.render(story)


def test_markup_in_names_is_text() -> None:
    html = report.render(replace(STORIES["bare"], name="<b>x</b>", notes=("<i>n</i>",)))
    assert "<b>x" not in html
    assert "<i>n" not in html


def test_the_page_is_written_where_asked(tmp_path: Path) -> None:
    path = report.write(STORIES["proven"], tmp_path / "deep" / "report.html")
    assert path.read_text("utf-8") == report.render(STORIES["proven"])


def test_a_candidate_that_changed_nothing_leaves_that_section_out() -> None:
    story = STORIES["proven"]
    same = tuple(
        replace(row, predictors=story.candidates[0].predictors) for row in story.candidates
    )
    assert "What changed" not in report.render(replace(story, candidates=same))


def test_a_predictor_that_only_candidates_know_is_compared_too() -> None:
    story = replace(STORIES["proven"], prompts={})
    assert "What changed" in report.render(story)


def test_sessions_are_told_when_a_run_was_taken_up_again() -> None:
    assert "sessions 3" in read(report.render(replace(STORIES["proven"], sessions=3)))


@pytest.mark.parametrize("name", STORIES)
def test_a_summary_is_well_formed_and_small(name: str) -> None:
    for html in (summary_html(STORIES[name]), live_html(STORIES[name])):
        read(html)
        assert len(html) < 40_000
        assert "<script" not in html


def test_a_summary_has_verdict_proof_curve_and_folded_changes() -> None:
    html = summary_html(STORIES["proven"])
    assert html.count("<svg") == 2
    assert "Proven better" in html
    assert html.index("<details>") < html.index("<ins>")
    assert "Models: embedded" in summary_html(STORIES["nothing"])


def test_a_summary_for_terminals_has_changes_notes_and_spending() -> None:
    told = summary_text(STORIES["nothing"])
    assert "models embedded, not a language model" in told
    assert "note   2 calls were in flight" in told
    assert '+ {"desk":"billing"' in told
    assert told.endswith("stop   budget: 1000 rollouts")
    assert "\x1b[32m" in summary_text(STORIES["proven"], color=True)


def test_the_live_view_shows_the_budget_and_the_last_change_kept() -> None:
    html = live_html(STORIES["unfinished"])
    assert "19% of the budget in rollouts" in html
    assert "last accepted: c3, bootstrapped demos, +0.250 vs c0" in html
    unlimited = live_html(replace(STORIES["unfinished"], budget={}))
    assert "cm-bar" not in unlimited.partition("</style>")[2]
