"""Our t, beta and binomial agree with scipy's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from compilm.metrics.distributions import beta_below, binomial_count, t_below, t_quantile

SHAPE = st.floats(0.1, 500)


@given(st.floats(0, 1), SHAPE, SHAPE)
def test_the_incomplete_beta_is_scipys(x: float, a: float, b: float) -> None:
    assert beta_below(x, a, b) == pytest.approx(special.betainc(a, b, x), rel=1e-9, abs=1e-12)


@given(st.floats(-50, 50), st.floats(0.5, 2000))
def test_the_t_distribution_is_scipys(x: float, freedom: float) -> None:
    assert t_below(x, freedom) == pytest.approx(stats.t.cdf(x, freedom), rel=1e-8, abs=1e-12)


@given(st.floats(0.001, 0.999), st.floats(1, 2000))
def test_the_t_quantile_is_scipys(probability: float, freedom: float) -> None:
    expected = stats.t.ppf(probability, freedom)
    assert t_quantile(probability, freedom) == pytest.approx(expected, rel=1e-6, abs=1e-9)


@given(st.integers(0, 300), st.data())
def test_the_binomial_count_is_scipys(trials: int, data: st.DataObject) -> None:
    most = data.draw(st.integers(0, trials))
    expected = stats.binom.cdf(most, trials, 0.5)
    assert binomial_count(trials, most) / (1 << trials) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("x", "probability"), [(-0.1, 0.0), (0.0, 0.0), (1.0, 1.0), (1.1, 1.0)])
def test_the_beta_ends_at_0_and_1(x: float, probability: float) -> None:
    assert beta_below(x, 2, 3) == probability
