"""What is believed of a gain agrees with the formulas, computed by scipy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from compilm.errors import UsageError
from compilm.metrics import Score, minimum_detectable, posterior_gain, probability_better

GRADED = st.lists(st.floats(-1, 1), min_size=1, max_size=40)


@given(st.integers(0, 60), st.integers(0, 60), st.integers(1, 20))
def test_of_binary_pairs_it_is_the_beta_tail(wins: int, losses: int, ties: int) -> None:
    found = probability_better([1] * wins + [-1] * losses + [0] * ties)
    assert found == pytest.approx(stats.beta.sf(0.5, wins + 1, losses + 1), rel=1e-9)


@given(GRADED)
def test_of_graded_pairs_it_is_the_t_tail_with_pseudo_counts(values: list[float]) -> None:
    n, values = len(values) + 1, [*values, 0.123]
    freedom = n - 1 + 3
    squares = float(np.sum((np.array(values) - np.mean(values)) ** 2))
    sd = math.sqrt((squares + 3 * 0.25**2) / freedom)
    expected = stats.t.cdf(np.mean(values) * math.sqrt(n) / sd, freedom)
    assert probability_better(values) == pytest.approx(expected, rel=1e-6, abs=1e-9)


@given(GRADED)
def test_the_other_side_has_the_other_probability(values: list[float]) -> None:
    total = probability_better(values) + probability_better([-value for value in values])
    assert total == pytest.approx(1)


def test_a_wider_range_of_scores_believes_less_in_a_small_gain() -> None:
    gains = [0.2, 0.3, 0.1]
    assert probability_better(gains, scale=10) < probability_better(gains)


def test_missing_differences_are_dropped() -> None:
    kept = probability_better([1, 0, -1, 1])
    assert probability_better([1, None, 0, -1, math.nan, 1, Score.unscored("x")]) == kept


@pytest.mark.parametrize("values", [[], [None, math.nan], [1, math.inf]])
def test_nothing_to_judge_by_is_an_error(values: Any) -> None:
    with pytest.raises(UsageError, match="nothing can be said"):
        probability_better(values)


@pytest.mark.parametrize("scale", [0, -1, math.inf, math.nan])
def test_a_range_without_width_is_refused(scale: float) -> None:
    with pytest.raises(UsageError, match="scale="):
        probability_better([0.5], scale=scale)


@given(st.floats(-1, 1), st.floats(1e-4, 1), st.floats(-1, 1), st.floats(1e-4, 1))
def test_two_sources_are_combined_by_precision(m: float, v: float, h: float, w: float) -> None:
    found = posterior_gain((m, v), (h, w))
    variance = 1 / (1 / v + 1 / w)
    mean = (m / v + h / w) * variance
    assert found.mean == pytest.approx(mean, abs=1e-9)
    assert found.sd == pytest.approx(math.sqrt(variance))
    assert found.probability == pytest.approx(stats.norm.sf(0, mean, math.sqrt(variance)), abs=1e-9)
    assert found == pytest.approx(posterior_gain((h, w), (m, v)))
    assert found.sd < min(math.sqrt(v), math.sqrt(w))


@pytest.mark.parametrize("bad", [(0.1, 0), (0.1, -1), (math.nan, 1), (0.1, math.inf)])
def test_a_source_without_a_variance_is_refused_by_name(bad: tuple[float, float]) -> None:
    with pytest.raises(UsageError, match="selection="):
        posterior_gain(bad, (0, 1))
    with pytest.raises(UsageError, match="holdout="):
        posterior_gain((0, 1), bad)


@pytest.mark.parametrize(("n", "points"), [(100, 13.7), (200, 9.7), (300, 7.9), (1000, 4.3)])
def test_the_smallest_gain_to_be_seen_is_as_published(n: int, points: float) -> None:
    assert 100 * minimum_detectable(n) == pytest.approx(points, abs=0.05)


def test_more_power_needs_a_larger_gain() -> None:
    assert minimum_detectable(100, power=0.9) > minimum_detectable(100)
    assert minimum_detectable(100, level=0.9) < minimum_detectable(100)
    assert minimum_detectable(100, sd=0) == 0


@pytest.mark.parametrize(
    "options", [{"n": 0}, {"sd": -1}, {"sd": math.nan}, {"power": 1}, {"level": 0}]
)
def test_a_design_that_cannot_be_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="n is 1 or more"):
        minimum_detectable(**{"n": 10, **options})
