"""Findings in words: each verdict says what was proven and what was not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.views import stories

from compilm.views import sentences
from compilm.views.rows import Confirmed, Interval, Spending
from compilm.views.story import Story, read_story

PROVEN = read_story(stories.proven().read())
LOST = read_story(stories.nothing_gained().read())
GOING = read_story(stories.unfinished().read())


def test_a_proof_names_both_scores_the_sample_and_the_interval() -> None:
    assert sentences.headline(PROVEN) == "Proven better"
    assert sentences.finding(PROVEN) == (
        "The compiled program scores 0.724, the given one 0.506, on 156 held-out examples that "
        "the search never saw. The gain is put at +0.218 (95 % interval +0.15 to +0.29)."
    )
    assert sentences.shipped(PROVEN) == "The artifact holds the compiled program, c4."


def test_a_likely_gain_is_said_to_be_no_proof() -> None:
    seen = replace(_confirmed(), verdict="likely", p_better=0.91)
    found = sentences.finding(replace(PROVEN, verdict="likely", confirmed=seen))
    assert "So few examples are no proof" in found
    assert found.endswith("the chance of a gain is 91%.")
    wide = replace(seen, gain=Interval(0.1, -0.02, 0.22, 156))
    found = sentences.finding(replace(PROVEN, verdict="likely", confirmed=wide))
    assert "The interval reaches 0, so this is no proof" in found


def test_an_unproven_gain_may_be_chance_and_says_what_would_have_been_seen() -> None:
    assert sentences.finding(LOST).endswith("That may be chance.")
    assert "A true gain of 0.140 or more would have been proven" in sentences.shipped(LOST)
    assert "unchanged" in sentences.shipped(LOST)


def test_validation_scores_are_said_to_flatter() -> None:
    seen = replace(_confirmed(), split="val")
    assert "the figures flatter" in sentences.finding(replace(PROVEN, confirmed=seen))
    seen = replace(_confirmed(), split="dev")
    assert "156 dev" in sentences.finding(replace(PROVEN, confirmed=seen))


def test_no_headroom_gives_the_score_where_it_is_known() -> None:
    story = Story("r", finished=True, verdict="no-headroom")
    assert sentences.finding(story) == (
        "The given program already scores so high that no gain could be shown."
    )
    story = replace(story, baseline={"test": Interval(0.99, 0.97, 1.0, 80)})
    assert "(0.990 [0.97, 1.00] on 80 examples)" in sentences.finding(story)


def test_headroom_that_was_looked_for_is_not_told_as_a_score_that_is_high() -> None:
    held = {"test": Interval(0.3, 0.2, 0.4, 80)}
    story = replace(PROVEN, verdict="no-headroom", shipped="c0", confirmed=None, baseline=held)
    assert sentences.finding(story) == (
        "What was tried makes a gain over the given program (0.300 [0.20, 0.40] on 80 examples) "
        "unlikely."
    )


def test_without_a_comparison_nothing_is_claimed() -> None:
    story = Story("r", finished=True, verdict="unproven", shipped="c0")
    assert sentences.finding(story) == "Nothing but the given program was tried."
    held = {"test": Interval(0.5, 0.4, 0.6, 46)}
    tried = replace(story, candidates=PROVEN.candidates, baseline=held)
    assert sentences.finding(tried) == (
        "No candidate beat the given program during the search, which scores 0.500 [0.40, 0.60] "
        "on 46 held-out examples."
    )
    assert sentences.shipped(story) == "The artifact holds the given program, unchanged."


def test_an_unknown_verdict_is_shown_as_it_is() -> None:
    assert sentences.headline(Story("r", finished=True, verdict="odd")) == "odd"
    assert sentences.headline(Story("r", finished=True)) == "Measured"


def test_an_unfinished_run_says_who_leads_and_how_to_go_on() -> None:
    assert sentences.headline(GOING) == "Not finished"
    assert "So far c3 leads with 0.688" in sentences.finding(GOING)
    assert "pays nothing twice" in sentences.shipped(GOING)
    assert "has not measured" in sentences.finding(Story("r"))
    first = replace(GOING, decisions=GOING.decisions[:1])
    assert "So far nothing beats the given program" in sentences.finding(first)
    alone = replace(GOING, decisions=GOING.decisions[-1:])
    assert "the given program" not in sentences.finding(alone)


def test_a_decision_is_one_line() -> None:
    assert sentences.decision_line(PROVEN, PROVEN.decisions[3]) == (
        "c3    val 0.688 [0.55, 0.83]    +0.250 vs c0  p=0.98    won          204 calls  "
        "bootstrapped demos"
    )
    assert " vs " not in sentences.decision_line(PROVEN, PROVEN.decisions[0])
    assert sentences.decision_line(Story("r"), PROVEN.decisions[3]).endswith("opening")
    assert sentences.accepted(Story("r"), PROVEN.decisions[3]) == "c3, +0.250 vs c0"


@pytest.mark.parametrize(
    ("story", "expected"),
    [
        (PROVEN, "finished"),
        (replace(PROVEN, finished=False), "writing the artifact"),
        (replace(PROVEN, finished=False, confirmed=None), "confirming on held-out examples"),
        (GOING, "searching"),
        (Story("r"), "measuring the given program"),
    ],
)
def test_the_phase_is_read_from_the_last_thing_done(story: Story, expected: str) -> None:
    assert sentences.phase(story) == expected


def test_the_tightest_budget_is_the_one_most_used() -> None:
    spent = Spending(50, 100, 10, None, 30.0)
    assert sentences.tightest({"rollouts": 100, "calls": 1000, "usd": 5.0}, spent) == (
        "rollouts",
        0.5,
    )
    assert sentences.tightest({"calls": 0}, spent) == ("calls", 1.0)
    assert sentences.tightest({"calls": 10}, spent) == ("calls", 1.0)
    assert sentences.tightest({}, spent) is None


def test_ceilings_are_told_in_their_units() -> None:
    budget = {"rollouts": 1000, "calls": 1, "usd": 2.0, "seconds": 90.0}
    assert sentences.budget_text(budget) == "1,000 rollouts, 1 call, $2.00, 1 min 30 s"
    assert sentences.budget_text({}) == "no ceiling"


def test_figures_keep_their_size() -> None:
    assert [sentences.figure(v) for v in (0.5, 12.34, 5000.0)] == ["0.500", "12.3", "5,000"]
    assert sentences.interval(Interval(56.0, 50.0, 61.0, 9)) == "56.0 [50.0, 61.0]"
    assert sentences.interval(Interval(0.0, -0.001, 0.2, 9), difference=True) == (
        "0.000 [0.00, +0.20]"
    )
    assert sentences.interval(None) == "not measured"
    assert [sentences.span(s) for s in (700, 9000)] == ["11 min", "2 h 30 min"]


def _confirmed() -> Confirmed:
    assert PROVEN.confirmed is not None
    return PROVEN.confirmed
