"""Races: paired, early where the case is clear, one winner at most."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from compilm.artifact import Predictor
from compilm.metrics import Score
from compilm.optimizers.candidate import Candidate
from compilm.optimizers.race import compare, race
from compilm.optimizers.rollout import Rollout

Work = Sequence[tuple[Candidate, int]]


def candidate(number: int) -> Candidate:
    return Candidate(number, (Predictor("p", "default", (), (), f"text {number}"),))


class Track:
    """Scores by a rule of candidate number and place; remembers what was run."""

    def __init__(self, rule: object) -> None:
        self.rule = rule
        self.ran: list[tuple[int, int]] = []

    def __call__(self, work: Work) -> list[Rollout]:
        self.ran += [(who.number, place) for who, place in work]
        return [self._rollout(who, place) for who, place in work]

    def _rollout(self, who: Candidate, place: int) -> Rollout:
        value = self.rule(who.number, place)  # type: ignore[operator]
        score = Score.unscored("outage") if value is None else Score(float(value))
        return Rollout(who.id, who.digest, "val", str(place), score, None)


def run(
    rule: object, children: int = 1, n: int = 100, rollouts: int = 10**6
) -> tuple[list[str], Track]:
    track = Track(rule)

    def afford(work: Work) -> bool:
        return len(track.ran) + len(work) <= rollouts

    kids = [candidate(i + 1) for i in range(children)]
    found = race(candidate(0), kids, lambda _: range(n), track, afford=afford)
    assert [c.candidate for c in found] == kids
    return [c.outcome for c in found], track


def test_a_clearly_better_child_wins_early() -> None:
    outcomes, track = run(lambda who, _: who)
    assert outcomes == ["won"]
    assert len(track.ran) == 2 * 30


@pytest.mark.parametrize(("children", "step"), [(1, 30), (2, 15), (3, 10), (6, 10)])
def test_clearly_worse_children_are_dropped_after_one_step(children: int, step: int) -> None:
    """The fewer race, the more examples a step takes, for threads that would be idle."""
    outcomes, track = run(lambda who, _: who == 0, children=children)
    assert outcomes == ["dropped"] * children
    assert len(track.ran) == (1 + children) * step


def test_a_child_that_never_differs_is_dropped_before_the_end() -> None:
    outcomes, track = run(lambda _, place: place % 2)
    assert outcomes == ["dropped"]
    assert len(track.ran) == 2 * 60


def test_a_child_as_good_as_the_incumbent_goes_the_distance_and_loses() -> None:
    outcomes, track = run(lambda who, place: (place + who) % 2)
    assert outcomes == ["lost"]
    assert len(track.ran) == 2 * 100


def test_a_crowd_is_halved_and_one_wins() -> None:
    outcomes, track = run(lambda who, place: (place * 7) % 10 < 3 + who, children=6)
    assert outcomes.count("won") == 1
    assert outcomes[-1] == "won"
    assert sum(who == 1 for who, _ in track.ran) < sum(who == 6 for who, _ in track.ran)


@pytest.mark.parametrize("children", [3, 5, 12])
def test_a_crowd_is_halved_whenever_the_blocks_done_have_doubled(children: int) -> None:
    """Each child wins 3 and loses 2 examples of ten, so that only halving drops any."""

    def rule(who: int, place: int) -> int:
        return place % 2 ^ (who > 0 and place % 10 < 5)

    _, track = run(rule, children=children)
    left = [len({who for who, at in track.ran if who and at == place}) for place in (0, 20, 40)]
    assert left[0] == children
    assert left[1] == max(2, -(-children // 2))
    assert left[2] == max(2, -(-left[1] // 2))


def test_children_that_may_not_win_are_dropped_before_they_crowd_out_others() -> None:
    """Four that are perfect and too dear, and two that are a little better."""

    def rule(who: int, place: int) -> int:
        return 1 if who > 2 else place % 2 ^ (who > 0 and place % 10 < 5)

    track = Track(rule)
    kids = [candidate(number) for number in range(1, 7)]
    found = race(
        candidate(0), kids, lambda _: range(100), track,
        afford=lambda _: True, may_win=lambda kid: kid.number <= 2,
    )  # fmt: skip
    assert [c.outcome for c in found[2:]] == ["dropped"] * 4
    assert "won" in [c.outcome for c in found[:2]]
    assert max(place for who, place in track.ran if who > 2) == 9


def test_whoever_was_shown_an_example_is_held_against_the_incumbent_on_others() -> None:
    """Each child has its own order, and runs what it may be judged on and no more."""
    orders = {1: [0, 1, 2, 3], 2: [2, 3, 4, 5]}
    track = Track(lambda who, _: who == 1)
    found = race(
        candidate(0), [candidate(1), candidate(2)], lambda kid: orders[kid.number], track,
        afford=lambda _: True,
    )  # fmt: skip
    assert [c.n for c in found] == [4, 4]
    assert [c.wins for c in found] == [4, 0]
    assert sorted(place for who, place in track.ran if who == 0) == [0, 1, 2, 3, 4, 5]


def test_a_child_that_was_shown_everything_loses_unseen() -> None:
    track = Track(lambda who, _: who)
    (found,) = race(candidate(0), [candidate(1)], lambda _: [], track, afford=lambda _: True)
    assert (found.outcome, found.n, track.ran) == ("lost", 0, [])


def test_a_missing_score_drops_its_pair_and_is_never_a_zero() -> None:
    mine = {0: Track(lambda *_: None)._rollout(candidate(1), 0)}
    mine[1] = Track(lambda *_: 1)._rollout(candidate(1), 1)
    theirs = {p: Track(lambda *_: 1)._rollout(candidate(0), p) for p in (0, 1)}
    found = compare(candidate(1), mine, candidate(0), theirs)
    assert (found.n, found.difference) == (1, 0.0)


def test_a_comparison_without_pairs_says_nothing() -> None:
    found = compare(candidate(1), {}, candidate(0), {})
    assert (found.n, found.difference, found.p_better) == (0, 0.0, 0.5)


def test_a_race_that_cannot_start_has_no_winner() -> None:
    outcomes, track = run(lambda who, _: who, rollouts=5)
    assert (outcomes, track.ran) == (["lost"], [])


@pytest.mark.parametrize(("rollouts", "ran"), [(20, 20), (59, 40), (60, 60)])
def test_a_race_that_runs_out_is_judged_on_what_was_run(rollouts: int, ran: int) -> None:
    """Where a large step does not fit, small ones do."""
    outcomes, track = run(lambda who, place: who * (place % 2), rollouts=rollouts)
    assert outcomes == ["won"]
    assert len(track.ran) == ran


@pytest.mark.parametrize("who", [0, 1])
def test_wins_and_losses_are_counted(who: int) -> None:
    mine = {p: Track(lambda w, _: w == who)._rollout(candidate(1), p) for p in range(4)}
    theirs = {p: Track(lambda w, _: w == who)._rollout(candidate(0), p) for p in range(4)}
    found = compare(candidate(1), mine, candidate(0), theirs)
    assert (found.wins, found.losses) == ((4, 0) if who else (0, 4))


def test_a_child_is_only_judged_on_examples_that_its_proposer_was_not_shown() -> None:
    orders = {1: range(20), 2: range(20, 40)}
    track = Track(lambda who, _: who)
    kids = [candidate(1), candidate(2)]
    race(candidate(0), kids, lambda kid: orders[kid.number], track, afford=lambda _: True)
    assert {place for who, place in track.ran if who == 1} == set(range(20))
    assert {place for who, place in track.ran if who == 2} == set(range(20, 40))
    assert {place for who, place in track.ran if who == 0} == set(range(40))
