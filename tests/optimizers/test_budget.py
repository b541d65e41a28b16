"""A budget is read from text, and what is none is refused."""

from __future__ import annotations

import pytest

from compilm.errors import UsageError
from compilm.optimizers.budget import Budget


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("1000rollouts", Budget(rollouts=1000)),
        ("2usd", Budget(usd=2.0)),
        ("$2.50", Budget(usd=2.5)),
        ("2_000 calls", Budget(calls=2000)),
        ("20m", Budget(seconds=1200.0)),
        ("90s", Budget(seconds=90.0)),
        ("1h", Budget(seconds=3600.0)),
        ("2usd,500calls, 10rollouts", Budget(usd=2.0, calls=500, rollouts=10)),
    ],
)
def test_budgets_are_read_from_text(text: str, budget: Budget) -> None:
    assert Budget.parse(text) == budget


@pytest.mark.parametrize("text", ["many", "10", "10 apples", "1..2usd", "-3calls"])
def test_a_budget_that_is_not_understood_says_what_would_be(text: str) -> None:
    with pytest.raises(UsageError, match="budget"):
        Budget.parse(text)


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), True, "5"])
def test_a_ceiling_is_a_number_of_0_or_more(value: object) -> None:
    with pytest.raises(UsageError, match="budget calls"):
        Budget(calls=value)  # type: ignore[arg-type]
