"""The verdict: proven only by held-out examples, enough of them, and rarely by luck."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from compilm.artifact import Predictor
from compilm.errors import UsageError
from compilm.metrics import Score
from compilm.optimizers.candidate import Candidate
from compilm.optimizers.confirmation import Confirmation, confirm
from compilm.optimizers.evidence import Evidence
from compilm.optimizers.rollout import Rollout
from compilm.optimizers.verdict import HeldOut, judge

from . import worlds
from .cells import known


def rollouts(values: Sequence[float | None]) -> list[Rollout]:
    return [
        Rollout("c", "d", "test", str(n), _score(value), None) for n, value in enumerate(values)
    ]


def _score(value: float | None) -> Score:
    return Score.unscored("outage") if value is None else Score(value)


BASELINE = Candidate(0, (Predictor("p", "default", (), (), "old"),))
WINNER = Candidate(1, (Predictor("p", "default", (), (), "new"),), "say", "c0")


def searched(differences: Sequence[float]) -> Evidence:
    """The evidence of a search in which the winner differed so much on each example."""
    data = worlds.data(max(1, len(differences)), name="val")
    before = [0.0 if difference > 0 else -difference for difference in differences]
    after = [a + b for a, b in zip(before, differences, strict=True)]
    return known(data, (BASELINE, before), (WINNER, after))


def judged(
    before: Sequence[float | None],
    after: Sequence[float | None],
    selection: Sequence[float] = (),
    groups: Sequence[str] | None = None,
) -> Confirmation:
    return confirm(
        rollouts(before), rollouts(after),
        winner=WINNER, evidence=searched(selection), groups=groups, seed=0,
    )  # fmt: skip


@pytest.mark.parametrize("n", range(1, 10))
def test_a_handful_of_wins_proves_nothing(n: int) -> None:
    found = judged([0.0] * n, [1.0] * n, selection=[1.0] * 50)
    assert found.verdict in {"likely", "unproven"}


def test_ten_wins_of_ten_prove() -> None:
    assert judged([0.0] * 10, [1.0] * 10).verdict == "proven"


def test_the_search_alone_proves_nothing() -> None:
    found = judged([0.0, 1.0] * 20, [1.0, 0.0] * 20, selection=[1.0] * 300)
    assert found.held_out.value == 0.0
    assert found.verdict == "unproven"


def test_a_loss_on_held_out_examples_is_unproven_whatever_selection_said() -> None:
    found = judged([1.0] * 30, [0.0] * 3 + [1.0] * 27, selection=[1.0] * 300)
    assert found.verdict == "unproven"
    assert found.held_out.high <= 0.05


def test_search_and_held_out_examples_together_make_it_likely() -> None:
    before, after = [0.0] * 4 + [1.0] * 36, [1.0] * 3 + [0.0] + [1.0] * 36
    assert judged(before, after, selection=[0.1] * 100).verdict == "likely"


def test_missing_scores_drop_their_pair_only() -> None:
    found = judged([0.0] * 20 + [None, 0.0], [1.0] * 20 + [1.0, None])
    assert (found.held_out.n, found.baseline.n, found.compiled.n) == (20, 21, 21)


def test_nothing_to_compare_is_an_error() -> None:
    with pytest.raises(UsageError, match="nothing can be said"):
        judged([None], [1.0])


def test_examples_of_one_source_count_as_one() -> None:
    before, after = [0.0] * 40, [1.0] * 30 + [0.0] * 10
    apart = judged(before, after)
    together = judged(before, after, groups=[str(n // 20) for n in range(40)])
    assert apart.verdict == "proven"
    assert together.gain.high - together.gain.low > apart.gain.high - apart.gain.low
    assert together.verdict != "proven"


def test_the_smallest_gain_that_could_be_proven_shrinks_with_the_sample() -> None:
    small, large = (judged([0.0, 1.0] * n, [1.0, 1.0] * n) for n in (10, 100))
    assert large.minimum_detectable < small.minimum_detectable


@pytest.mark.parametrize(("n", "graded"), [(20, False), (60, False), (30, True)])
def test_without_a_true_gain_it_is_rarely_proven(n: int, graded: bool) -> None:
    draw = random.Random(n + 1)
    runs, proven = 80 if graded else 600, 0
    for _ in range(runs):
        scores = [
            [draw.random() if graded else float(draw.random() < 0.6) for _ in range(n)]
            for _ in range(2)
        ]
        # The search liked it, as it likes whatever it ships.
        proven += judged(*scores, selection=[0.2] * 30).verdict == "proven"
    assert proven / runs <= 0.05


def test_a_true_gain_is_usually_proven() -> None:
    draw, proven = random.Random(1), 0
    for _ in range(60):
        before = [float(draw.random() < 0.5) for _ in range(100)]
        after = [max(b, float(draw.random() < 0.4)) for b in before]
        proven += judged(before, after).verdict == "proven"
    assert proven >= 48


@pytest.mark.parametrize("search", [-0.1, 0.0, 0.1, 0.3])
def test_a_sure_gain_is_told_by_the_held_out_examples_whatever_the_search_leans_to(
    search: float,
) -> None:
    found = judge((search, 0.005), HeldOut(mean=0.4, variance=0.004, low=0.27, high=0.52, n=60))
    assert found.verdict == "proven"
    assert found.gain.value == pytest.approx(0.4, abs=0.01)


def test_a_gain_that_may_be_none_is_told_as_less_than_was_seen() -> None:
    found = judge((0.05, 0.005), HeldOut(mean=0.1, variance=0.005, low=-0.04, high=0.24, n=60))
    assert found.verdict == "likely"
    assert 0 < found.gain.value < 0.06
    assert found.gain.low < -0.04


@pytest.mark.parametrize(("mean", "verdict"), [(0.01, "likely"), (0.0, "unproven")])
def test_however_sure_the_search_the_held_out_examples_must_say_it_too(
    mean: float, verdict: str
) -> None:
    held = HeldOut(mean, variance=0.0025, low=mean - 0.098, high=mean + 0.098, n=80)
    found = judge((0.2, 0.004), held)
    assert found.p_better > 0.97
    assert found.verdict == verdict


@pytest.mark.parametrize(("mean", "verdict"), [(0.076, "likely"), (0.072, "unproven")])
def test_a_chance_of_less_than_93_per_cent_does_not_ship(mean: float, verdict: str) -> None:
    """A search that says nothing leaves it to the held-out examples: Phi(1.5) is 0.933."""
    held = HeldOut(mean, variance=0.0025, low=mean - 0.098, high=mean + 0.098, n=80)
    found = judge((0.0, 1e6), held)
    assert found.verdict == verdict
    assert found.p_better == pytest.approx(0.93, abs=0.01)


def test_the_better_the_search_speaks_the_more_is_told() -> None:
    """A search that is sure of a loss speaks against a gain, not for one."""
    held = HeldOut(mean=0.1, variance=0.0009, low=0.041, high=0.159, n=100)
    told = [judge((search / 20, 0.001), held) for search in range(-8, 5)]
    values = [found.gain.value for found in told]
    assert values == sorted(values)
    assert told[0].verdict == "unproven"
    assert told[-1].verdict == "proven"
    for found in told:
        assert found.gain.low <= found.gain.value <= found.gain.high


def test_examples_that_hardly_differ_would_not_have_proven_little() -> None:
    """Of 20 pairs 5 must be won, and none lost, for an interval above 0."""
    found = judged([1.0] * 20, [1.0] * 20)
    assert found.minimum_detectable > 0.25
