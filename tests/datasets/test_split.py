"""Splits: every row in one part, repeats together, and nothing moves when rows are added."""

from __future__ import annotations

import random
from typing import Any

import dspy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compilm.datasets import DataSet, Splits, check_leaks, load, split
from compilm.datasets.split import _part
from compilm.errors import DataError, UsageError

texts = st.lists(st.text(max_size=4) | st.sampled_from(["a", "A ", "b"]), max_size=30)
base = [f"message {number}" for number in range(60)]  # enough that no part is empty


def data_of(each: list[str], **options: Any) -> DataSet:
    return load([{"text": text} for text in each], inputs=["text"], **options)


def home(parts: Splits) -> dict[str, str]:
    return {one.text: name for name in ("train", "val", "test") for one in getattr(parts, name)}


@settings(max_examples=40, deadline=None)
@given(texts, texts, st.integers(0, 5), st.randoms())
def test_added_rows_move_no_row_wherever_they_are_added(
    old: list[str], more: list[str], seed: int, chance: random.Random
) -> None:
    before = home(split(data_of(base + old), seed=seed))
    grown = base + old + more
    after = home(split(data_of(chance.sample(grown, len(grown))), seed=seed))
    assert {text: after[text] for text in before} == before


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=3), st.integers(0, 80)), max_size=40))
def test_added_rows_move_no_group(more: list[tuple[str, int]]) -> None:
    old = [{"text": text, "g": number} for number, text in enumerate(base)]
    before = split(load(old, inputs=["text"], group="g"))
    grown = [*old, *({"text": text, "g": group} for text, group in more)]
    after = split(load(grown, inputs=["text"], group="g"))
    for name in ("train", "val", "test"):
        assert set(getattr(before, name).groups) <= set(getattr(after, name).groups)
    every = [set(part.groups) for part in (after.train, after.val, after.test)]
    assert sum(map(len, every)) == len(set.union(*every))


@settings(max_examples=40, deadline=None)
@given(texts, st.integers(0, 5))
def test_every_row_is_in_one_part_and_keeps_its_order(more: list[str], seed: int) -> None:
    data = data_of(base + more)
    parts = split(data, seed=seed)
    found = [*parts.train.ids, *parts.val.ids, *parts.test.ids]
    assert sorted(found) == sorted(data.ids)
    for part in (parts.train, parts.val, parts.test):
        assert list(part.ids) == [key for key in data.ids if key in set(part.ids)]


@settings(max_examples=40, deadline=None)
@given(texts, st.integers(0, 5))
def test_repeated_inputs_stay_together_so_that_nothing_leaks(more: list[str], seed: int) -> None:
    rows = [{"text": t, "n": n} for n, t in enumerate([*base, *more, *map(str.upper, base)])]
    parts = split(load(rows, inputs=["text"]), seed=seed)
    assert all(found.kind == "near" for found in check_leaks(parts))
    assert len({home(parts)[text] for text in ("message 1", "MESSAGE 1")}) == 1


def test_the_seed_decides() -> None:
    assert home(split(data_of(base), seed=1)) == home(split(data_of(base), seed=1))
    assert home(split(data_of(base), seed=1)) != home(split(data_of(base), seed=2))


def test_where_rows_go_is_pinned() -> None:
    """A change here moves the rows of everybody's splits: it needs a new major version."""
    parts = split(data_of(base))
    assert [one.text for one in parts.test][:4] == [
        "message 4",
        "message 5",
        "message 8",
        "message 10",
    ]


@settings(max_examples=40, deadline=None)
@given(st.floats(0.1, 0.6))
def test_train_and_val_weighed_anew_leave_test_as_it_is(train: float) -> None:
    data = data_of(base)
    first, second = split(data), split(data, train=train, val=0.7 - train)
    assert first.test.ids == second.test.ids


def test_shares_are_met_on_a_large_set_within_each_label_too() -> None:
    rows = [{"text": f"row {n}", "label": n % 5} for n in range(10_000)]
    parts = split(load(rows, inputs=["text"]), stratify="label")
    for part, share in ((parts.train, 0.4), (parts.val, 0.3), (parts.test, 0.3)):
        assert abs(len(part) / 10_000 - share) < 0.02
        for label in range(5):
            there = sum(one.label == label for one in part)
            assert abs(there / 2000 - share) < 0.05


def test_the_note_says_how_it_was_split() -> None:
    parts = split(data_of(base), train=0.5, val=0.5, test=0, seed=3)
    assert len(parts.test) == 0
    assert parts.note == (
        f"Split by a hash of the inputs' content with seed 3: train {len(parts.train)} "
        f"(50% asked), val {len(parts.val)} (50% asked), test 0 (0% asked)."
    )
    assert parts.train.name == "list[train]"


def test_the_note_says_what_stratify_found() -> None:
    rows = [{"text": t, "g": n, "label": "rare" if n == 0 else "usual"} for n, t in enumerate(base)]
    note = split(load(rows, inputs=["text"], group="g"), stratify="label").note
    assert note.startswith("Split by a hash of group with seed 0")
    assert "shares of 2 'label' values within" in note
    assert note.count("1 absent from") == 2


def test_stratify_moves_nothing() -> None:
    rows = [{"text": text, "label": len(text)} for text in base]
    data = load(rows, inputs=["text"])
    assert home(split(data)) == home(split(data, stratify="label"))


def test_stratify_by_a_field_that_is_missing_names_the_row(tmp_path: Any) -> None:
    with pytest.raises(DataError, match=r"list: field 'lable': .* no such field to stratify by"):
        split(data_of(base), stratify="lable")
    path = tmp_path / "x.csv"
    path.write_text("text\n" + "\n".join(base), encoding="utf-8")
    with pytest.raises(DataError, match=r"x\.csv:2: field 'lable'"):
        split(load(path, inputs=["text"]), stratify="lable")
    examples = [dspy.Example(text=text).with_inputs("text") for text in base]
    with pytest.raises(DataError, match="data: field 'lable'"):
        split(examples, stratify="lable")


def test_too_few_rows_say_how_many_are_needed() -> None:
    with pytest.raises(DataError, match=r"1 distinct inputs leave .* empty: about 16 are needed"):
        split(data_of(["a", "a", "A"]))
    rows = [{"text": text, "g": 1} for text in base]
    with pytest.raises(DataError, match="1 groups leave"):
        split(load(rows, inputs=["text"], group="g"))


def test_the_number_said_to_be_needed_is_enough_nearly_always() -> None:
    failed = 0
    for seed in range(300):
        try:
            split(data_of(base[:16]), seed=seed)
        except DataError:
            failed += 1
    assert failed <= 9


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ({"train": 0.5}, "the shares sum to 1.1"),
        ({"train": 100, "val": 50, "test": 50}, "test=50 is no share"),
        ({"train": 1.3, "val": -0.6}, "is no share"),
        ({"train": float("nan")}, "train=nan is no share"),
    ],
)
def test_wrong_shares_are_refused(shares: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        split(data_of(base), **shares)


def test_a_hair_below_one_sends_no_row_to_an_empty_share() -> None:
    assert _part(0, "any", {"test": 0.0, "val": 1e-12, "train": 0.0}) == "val"
