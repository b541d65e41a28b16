"""Repeated rows are found within and across data sets, and a leak into test is an error."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from compilm.datasets import DataSet, Duplicate, Place, Splits, check_leaks, duplicates, leaks, load
from compilm.errors import DataError, UsageError

LONG = "I sent the claim on Monday and have heard nothing since then from your department"


def data_of(*texts: str, name: str = "data", **more: Any) -> DataSet:
    rows = [{"id": f"{name}-{n}", "q": text, **more} for n, text in enumerate(texts)]
    return load(rows, inputs=["q"], id="id", name=name)


def named(found: tuple[Duplicate, ...]) -> list[tuple[str, str, str]]:
    return [(each.kind, each.a.id, each.b.id) for each in found]


def test_exact_repeats_are_named_once_with_their_first() -> None:
    data = data_of("Card late", "x", "card  LATE\n", "card late")
    assert named(duplicates(data)) == [("exact", "data-0", "data-2"), ("exact", "data-0", "data-3")]


def test_labels_do_not_make_inputs_differ() -> None:
    one, two = data_of("a", name="one", label="x"), data_of("a", name="two", label="y")
    assert named(duplicates(one, two)) == [("exact", "one-0", "two-0")]


def test_composed_and_plain_accents_are_equal() -> None:
    assert named(duplicates(data_of("caf\u00e9", "cafe\u0301"))) == [("exact", "data-0", "data-1")]


def test_near_repeats_come_after_exact_ones_most_alike_first() -> None:
    data = data_of(LONG, LONG + " now", LONG + "!", LONG.upper())
    found = duplicates(data)
    assert named(found) == [
        ("exact", "data-0", "data-3"),
        ("near", "data-0", "data-2"),
        ("near", "data-0", "data-1"),
    ]
    assert [round(each.similarity, 2) for each in found] == [1.0, 1.0, 0.93]
    assert named(duplicates(data, near=0.95)) == named(found)[:2]


def test_inputs_that_are_no_text_are_compared_by_their_json() -> None:
    rows = [{"q": {"b": 1, "a": [2]}}, {"q": {"a": [2], "b": 1}}, {"q": 3}]
    assert len(duplicates(load(rows, inputs=["q"]))) == 1


def test_data_sets_of_one_name_are_told_apart() -> None:
    found = duplicates(data_of("a"), load([{"q": "a"}], inputs=["q"], name="data"))
    assert (found[0].a.dataset, found[0].b.dataset) == ("data", "data (2)")


def test_no_data_has_no_duplicates() -> None:
    assert duplicates() == ()
    assert duplicates(data_of("a").subset([])) == ()


def test_of_a_large_set_the_first_rows_are_looked_at_for_near_repeats_and_all_for_exact_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(leaks, "NEAR_ROWS", 2)
    one = data_of("first", LONG, LONG + " now", "first", name="one")
    two = data_of("second", "third", LONG + "!", name="two")
    three = data_of(LONG + "?", name="three")
    assert named(duplicates(one, two, three)) == [
        ("exact", "one-0", "one-3"),
        ("near", "one-1", "three-0"),
    ]


@pytest.mark.parametrize("near", [0, -1, 1.01, float("nan")])
def test_a_similarity_out_of_range_is_refused(near: float) -> None:
    with pytest.raises(UsageError, match="is no similarity"):
        duplicates(data_of("a"), near=near)


def test_a_leak_into_test_names_both_places(tmp_path: Path) -> None:
    parts = {}
    for name, texts in (("test", ["new", "Old  one"]), ("train", ["old one"]), ("val", ["v"])):
        path = tmp_path / f"{name}.csv"
        path.write_text("q\n" + "\n".join(texts), encoding="utf-8")
        parts[name] = load(path, inputs=["q"])
    with pytest.raises(DataError) as caught:
        check_leaks(parts)
    said = str(caught.value)
    assert "inputs of test also stand elsewhere (1 in train)" in said
    assert f"({tmp_path / 'test.csv'}:3) repeats train" in said
    assert f"({tmp_path / 'train.csv'}:2)" in said
    assert named(check_leaks(parts, allow=True))[0][0] == "exact"


def test_many_leaks_are_counted_and_a_few_shown() -> None:
    train, val = data_of("a", "b", name="train"), data_of("c", "d", "e", name="val")
    test = data_of("a", "b", "c", "d", "e", "f", name="test")
    with pytest.raises(DataError, match=r"\(2 in train and 3 in val\).*; and 2 more\."):
        check_leaks({"train": train, "val": val, "test": test})


def test_repeats_between_train_and_val_and_near_ones_are_returned() -> None:
    parts = Splits(
        train=data_of("a", "a", LONG, name="x"),
        val=data_of("a", name="y"),
        test=data_of(LONG + "!", "b", "b", name="z"),
        note="",
    )
    found = check_leaks(parts)
    assert [(each.kind, each.a.dataset, each.b.dataset) for each in found] == [
        ("exact", "train", "val"),
        ("near", "train", "test"),
    ]
    assert len(check_leaks(parts, near=1.0)) == 2


def test_a_place_without_a_file_is_its_id() -> None:
    assert str(Place("train", "7")) == "train '7'"


FOLDER = Path(os.environ.get("COMPILM_DATA", "")) / "banking77"


@pytest.mark.skipif(
    not (FOLDER / "train.jsonl").is_file(),
    reason="COMPILM_DATA names no folder with banking77/train.jsonl",
)
def test_the_25_repeated_texts_of_banking77_are_found() -> None:
    """7 differ by case and space alone (exact), 18 by punctuation too (near, all words shared)."""
    train, test = (
        load(FOLDER / f"{name}.jsonl", inputs=["text"], id="id", name=name)
        for name in ("train", "test")
    )
    across = [one for one in duplicates(train, test) if one.a.dataset != one.b.dataset]
    same = {one.b.id: one.kind for one in across if one.similarity == 1.0}
    assert sorted(same.values()) == ["exact"] * 7 + ["near"] * 18
    with pytest.raises(DataError, match="7 in train"):
        check_leaks({"train": train, "test": test})
