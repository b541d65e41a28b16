"""Intervals cover, tests are calibrated, and both agree with scipy where it has them."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from compilm.errors import UsageError
from compilm.metrics import (
    Estimate,
    Score,
    mcnemar,
    mean_interval,
    paired_gain,
    paired_permutation,
)

UNIT = st.floats(0, 1)
PAIRS = st.lists(st.tuples(UNIT, UNIT), min_size=1, max_size=60)
BITS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=150)


def split(pairs: list[Any]) -> tuple[list[Any], list[Any]]:
    return [one for one, _ in pairs], [other for _, other in pairs]


def draws(*label: int) -> np.random.Generator:
    return np.random.default_rng(label)


@settings(max_examples=60)
@given(PAIRS | BITS)
def test_the_interval_of_a_gain_holds_its_point_and_turns_with_its_sign(pairs: Any) -> None:
    before, after = split(pairs)
    gain, loss = paired_gain(before, after, samples=200), paired_gain(after, before, samples=200)
    assert gain.low <= gain.value <= gain.high
    assert gain.value == pytest.approx(np.mean(np.subtract(after, before)))
    assert gain.n == len(pairs)
    assert loss.value == pytest.approx(-gain.value)


@settings(max_examples=60)
@given(st.lists(UNIT, min_size=1, max_size=60) | st.lists(st.integers(0, 1), min_size=1))
def test_the_interval_of_a_mean_holds_its_point(scores: list[Any]) -> None:
    mean = mean_interval(scores, samples=200)
    assert mean.low <= mean.value <= mean.high
    assert mean.value == pytest.approx(np.mean(scores))


@given(st.integers(0, 50), st.integers(1, 50), st.sampled_from([0.8, 0.95, 0.99]))
def test_the_mean_of_0_1_scores_has_wilsons_interval(ones: int, zeros: int, level: float) -> None:
    found = mean_interval([1] * ones + [0] * zeros, level=level)
    expected = stats.binomtest(ones, ones + zeros).proportion_ci(level, method="wilson")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_a_small_binary_gain_has_the_interval_of_agresti_and_min() -> None:
    wins, losses, ties = 12, 5, 33
    before = [0] * wins + [1] * losses + [1] * ties
    after = [1] * wins + [0] * losses + [1] * ties
    found, n = paired_gain(before, after), wins + losses + ties
    middle = (wins - losses) / (n + 2)
    half = NormalDist().inv_cdf(0.975) * math.sqrt(
        ((wins + losses + 1) / (n + 2) - middle**2) / (n + 2)
    )
    assert (found.low, found.high) == pytest.approx((middle - half, middle + half))
    assert found.value == (wins - losses) / n


def test_a_large_graded_gain_has_scipys_bca_interval_but_for_the_wider_tails() -> None:
    before = draws(1).random(300)
    after = before + draws(2).exponential(0.2, 300) - 0.1
    found = paired_gain(before, after)
    expected = stats.bootstrap(
        (after - before,), np.mean, method="BCa", rng=draws(3)
    ).confidence_interval
    width = expected.high - expected.low
    assert found.low == pytest.approx(expected.low, abs=0.05 * width)
    assert found.high == pytest.approx(expected.high, abs=0.05 * width)


def test_a_large_binary_gain_is_bootstrapped() -> None:
    before, after = (draws(4).random(400) < 0.5) * 1, (draws(5).random(400) < 0.6) * 1
    found = paired_gain(before, after)
    error = np.std(after - before, ddof=1) / math.sqrt(400)
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.05)


def test_few_graded_differences_have_a_t_interval_that_is_never_empty() -> None:
    found = paired_gain([0.5] * 5, [0.6] * 5)
    half = stats.t.ppf(0.975, 7) * math.sqrt(3 * 0.5**2 / 7 / 5)
    assert (found.low, found.high) == pytest.approx((0.1 - half, 0.1 + half))


def test_many_equal_gains_do_prove_one() -> None:
    assert paired_gain([0.5] * 144, [0.6] * 144).low > 0


def test_one_pair_proves_nothing() -> None:
    assert paired_gain([0.1], [0.9]).low < 0
    assert paired_gain([0], [1]).low < 0


@pytest.mark.parametrize("chosen", [0, 1])
@pytest.mark.parametrize("shape", ["binary", "graded", "sparse", "grouped"])
def test_the_interval_covers_the_true_gain(shape: str, chosen: int) -> None:
    """200 samples of known gain: at 95 % coverage, 182 hits or fewer have a chance of 1 %."""
    hits = 0
    generator = draws(7, chosen)
    for _ in range(200):
        before, after, groups, gain = sample(generator, shape, (25, 60)[chosen])
        found = paired_gain(before, after, groups=groups, samples=300)
        hits += found.low <= gain <= found.high
    assert hits > 182


def sample(generator: np.random.Generator, shape: str, n: int) -> tuple[Any, Any, Any, float]:
    """Scores with a known true gain."""
    if shape == "binary":
        luck = generator.random(n)  # 15 % are won, 5 % lost
        return (luck < 0.6) * 1, ((luck > 0.05) & (luck < 0.75)) * 1, None, 0.1
    before = generator.random(n)
    if shape == "graded":
        return before, before + generator.exponential(0.1, n), None, 0.1
    if shape == "sparse":
        change = (generator.random(n) < 0.1) * generator.choice([-0.5, 0.5], n)
        return before, before + change, None, 0.0
    groups = np.repeat(np.arange(n), 3)
    zeros, source = np.zeros(3 * n), generator.normal(0.05, 0.2, n)
    return zeros, source[groups] + generator.normal(0, 0.1, 3 * n), list(groups), 0.05


def test_groups_widen_the_interval_of_copies() -> None:
    before, gains = draws(8).random(40), draws(9).normal(0.05, 0.2, 40)
    once = paired_gain(before, before + gains)
    again = np.repeat(before, 5), np.repeat(before + gains, 5)
    grouped = paired_gain(*again, groups=list(np.repeat(np.arange(40), 5)))
    assert grouped.n == 200
    assert grouped.high - grouped.low == pytest.approx(once.high - once.low, rel=0.05)
    alone = paired_gain(*again)
    assert alone.high - alone.low < 0.6 * (once.high - once.low)
    assert paired_gain([0, 0], [1, 1], groups=["a", "a"]).low < 0


def test_groups_of_one_change_nothing() -> None:
    before, after = [0, 1, 0, 0], [1, 1, 1, 0]
    assert paired_gain(before, after, groups=list("abcd")) == paired_gain(before, after)
    assert mean_interval(before, groups=list("abcd")) == mean_interval(before)


def test_a_mean_of_grouped_scores_is_bootstrapped() -> None:
    scores = np.repeat((draws(10).random(50) < 0.5) * 1, 4)
    grouped = mean_interval(scores, groups=list(np.repeat(np.arange(50), 4)))
    alone = mean_interval(scores)
    assert grouped.high - grouped.low > 1.7 * (alone.high - alone.low)


def test_a_seed_fixes_the_interval_and_another_moves_it() -> None:
    before, after = draws(11).random(50), draws(12).random(50)
    assert paired_gain(before, after, seed=3) == paired_gain(before, after, seed=3)
    assert paired_gain(before, after, seed=3) != paired_gain(before, after, seed=4)


def test_the_numbers_drawn_do_not_depend_on_the_machine() -> None:
    before, after = [i / 40 for i in range(40)], [i * i / 1600 for i in range(40)]
    assert str(paired_gain(before, after)) == "-0.167 [-0.188, -0.140] (n=40)"
    before, after = [i / 25 for i in range(25)], [((i * 7) % 25) / 24 for i in range(25)]
    assert paired_permutation(before, after) == pytest.approx(0.81, abs=0.1)


def test_a_large_sample_is_resampled_in_pieces() -> None:
    scores = draws(13).random(5_000)
    found = mean_interval(scores, samples=1_000)
    assert found.high - found.low == pytest.approx(2 * 1.96 * 0.2887 / math.sqrt(5000), rel=0.1)


MISSING = [None, math.nan, Score.unscored("no verdict")]


@pytest.mark.parametrize("missing", MISSING)
def test_missing_scores_are_dropped_in_pairs_and_n_says_so(missing: Any) -> None:
    found = paired_gain([0, missing, 1, 0], [1, 1, missing, 0], groups=["a", "b", "c", "d"])
    assert found == paired_gain([0, 0], [1, 0])
    assert found.n == 2
    assert mean_interval([1, missing, 0], groups=["a", "b", "c"]) == mean_interval([1, 0])
    assert mcnemar([0, missing], [1, 1]) == mcnemar([0], [1])
    assert paired_permutation([0, missing], [1, 1]) == paired_permutation([0], [1])


@pytest.mark.parametrize("scores", [[], [None], [math.nan, None]])
def test_no_scores_at_all_are_an_error(scores: Any) -> None:
    with pytest.raises(UsageError, match="nothing can be said"):
        mean_interval(scores)
    for compare in (paired_gain, paired_permutation, mcnemar):
        with pytest.raises(UsageError, match="nothing can be said"):
            compare(scores, scores)


def test_pairs_without_a_common_score_are_an_error() -> None:
    with pytest.raises(UsageError, match="nothing can be said"):
        paired_gain([1, None], [None, 1])
    with pytest.raises(UsageError, match="nothing can be said"):
        paired_gain([1, 0], [None, None])


def test_an_infinite_score_is_an_error() -> None:
    with pytest.raises(UsageError, match="infinite"):
        paired_gain([0, 1], [1, math.inf])


def test_scores_that_do_not_pair_are_an_error() -> None:
    with pytest.raises(UsageError, match="1 baseline scores and 2"):
        paired_gain([1], [1, 2])
    with pytest.raises(UsageError, match="1 groups for 2 scores"):
        paired_gain([1, 2], [1, 2], groups=["a"])


@pytest.mark.parametrize("options", [{"level": 0}, {"level": 1}, {"samples": 10}])
def test_options_that_mean_nothing_are_an_error(options: Any) -> None:
    with pytest.raises(UsageError, match="samples is 100 or more"):
        paired_gain([0], [1], **options)
    with pytest.raises(UsageError, match="samples is 100 or more"):
        mean_interval([0], **options)


def test_a_higher_level_is_wider() -> None:
    narrow, wide = (mean_interval([0, 1, 1, 0, 1], level=level) for level in (0.8, 0.99))
    assert wide.low < narrow.low < narrow.high < wide.high
    assert wide.level == 0.99


@settings(max_examples=40)
@given(st.lists(st.tuples(UNIT, UNIT), min_size=1, max_size=30))
def test_a_permutation_p_lies_in_0_1_and_does_not_care_who_is_first(pairs: Any) -> None:
    before, after = split(pairs)
    p = paired_permutation(before, after, samples=200)
    assert 0 < p <= 1
    assert paired_permutation(after, before, samples=200) == p


def test_the_exact_permutation_is_scipys() -> None:
    before, after = draws(14).random(11), draws(15).random(11)
    expected = stats.permutation_test(
        (before, after), lambda x, y: np.mean(x - y), permutation_type="samples", n_resamples=np.inf
    )
    assert paired_permutation(before, after) == pytest.approx(expected.pvalue)


def test_the_sampled_permutation_is_near_the_t_test() -> None:
    before, after = draws(16).random(60), draws(17).random(60) + 0.08
    expected = stats.ttest_rel(after, before).pvalue
    assert paired_permutation(before, after) == pytest.approx(expected, abs=0.02)
    assert paired_permutation(before, before + 0.1) == 1 / 10_001


def test_a_permutation_flips_whole_groups() -> None:
    before, after = [0] * 8, [1] * 8
    assert paired_permutation(before, after) == 2 / 2**8
    assert paired_permutation(before, after, groups=list("aabbccdd")) == 2 / 2**4


def test_no_difference_has_p_1() -> None:
    assert paired_permutation([0.5, 0.2], [0.5, 0.2]) == 1
    assert mcnemar([1, 0], [1, 0]) == 1


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_the_mid_p_of_the_binomial(wins: int, losses: int) -> None:
    p = mcnemar([0] * wins + [1] * losses + [1], [1] * wins + [0] * losses + [1])
    least, total = min(wins, losses), wins + losses
    cdf, pmf = stats.binom.cdf(least - 1, total, 0.5), stats.binom.pmf(least, total, 0.5)
    assert p == pytest.approx(min(1, 2 * cdf + pmf))
    assert 0 < p <= 1


def test_mcnemar_refuses_graded_scores() -> None:
    with pytest.raises(UsageError, match="paired_permutation"):
        mcnemar([0.5], [1])


def test_an_estimate_shows_its_three_numbers() -> None:
    gain = Estimate(0.084, 0.021, 0.147, 144)
    assert str(gain) == f"{gain}" == "+0.084 [+0.021, +0.147] (n=144)"
    assert f"{gain:.1%}" == "8.4% [2.1%, 14.7%] (n=144)"
    assert float(gain) == 0.084
    assert gain.level == 0.95
