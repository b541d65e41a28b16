"""Labels that look wrong are found, and nothing else is."""

from __future__ import annotations

import pytest

from compilm.datasets import load, odd_labels

ANSWERS = {"team": ("orders", "billing")}


def found(rows: list[dict[str, object]]) -> list[str]:
    named = [{"id": f"row {number}", **row} for number, row in enumerate(rows, start=1)]
    return [str(one) for one in odd_labels(load(named, inputs=["text"], id="id"), ANSWERS)]


def rows(*teams: object) -> list[dict[str, object]]:
    return [{"text": str(number), "team": team} for number, team in enumerate(teams)]


def test_labels_that_the_program_can_give_are_not_odd() -> None:
    assert found(rows("orders", "billing", "orders")) == []


@pytest.mark.parametrize("label", ["biling", 7, None, ["orders"], "ORDERS"])
def test_a_label_that_is_no_possible_answer_is_told_with_its_place(label: object) -> None:
    (told,) = found(rows("orders", label, "billing"))
    assert told.startswith(f"'row 2': field 'team': {label!r} is none of 'orders', 'billing'.")


def test_a_label_that_few_rows_lack_is_told_and_one_that_most_lack_is_optional() -> None:
    made = rows("orders", "billing", "orders")
    del made[1]["team"]
    made[0]["note"] = "called twice"
    assert found(made) == ["'row 2': field 'team': missing, though most rows have it"]


def test_other_fields_may_hold_anything() -> None:
    assert found([{"text": "a", "team": "orders", "reason": "free text"}]) == []
