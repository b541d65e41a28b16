"""A data set is a sequence of examples whose fingerprint knows content, not order."""

from __future__ import annotations

import pickle
import random
from typing import Any

import dspy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compilm.datasets import DataSet, load
from compilm.errors import DataError, UsageError

ROWS = [{"id": n, "text": f"text {n}", "label": "xy"[n % 2], "thread": n // 2} for n in range(6)]


@pytest.fixture
def data() -> DataSet:
    return load(ROWS, inputs=["text"], id="id", group="thread", name="claims")


def test_an_index_gives_an_example_and_a_slice_a_data_set(data: DataSet) -> None:
    assert data[1].text == "text 1"
    assert data[-1] is data.examples[-1]
    part = data[1:5:2]
    assert isinstance(part, DataSet)
    assert (part.ids, part.groups, part.places, part.name) == (
        ("1", "3"), ("0", "1"), ("", ""), "claims",
    )  # fmt: skip


def test_it_is_a_sequence(data: DataSet) -> None:
    assert len(data) == 6
    assert [each.id for each in data] == list(range(6))
    assert data[2] in data
    assert [each.id for each in reversed(data)] == [5, 4, 3, 2, 1, 0]


def test_a_subset_keeps_the_order_asked_for(data: DataSet) -> None:
    part = data.subset([4, 0], name="two")
    assert (part.ids, part.name) == (("4", "0"), "two")
    assert data.subset([]).ids == ()


def test_inputs_and_fields_stand_in_the_order_of_the_rows() -> None:
    data = load([{"b": 1, "a": 2, "z": 3}, {"c": 5, "a": 2, "b": 1}], inputs=["a", "b"])
    assert data.inputs == ("b", "a")
    assert data.fields == ("b", "a", "z", "c")


def test_it_shows_its_size_and_shape(data: DataSet) -> None:
    assert repr(data) == "<DataSet 'claims': 6 examples, text -> id, label, thread>"
    assert repr(data[:0]) == "<DataSet 'claims': empty>"
    assert repr(load([{"q": 1}], inputs=["q"])) == "<DataSet 'list': 1 example, q -> no labels>"


def test_equal_data_sets_are_equal_and_hash_alike(data: DataSet) -> None:
    twin = load(ROWS, inputs=["text"], id="id", group="thread", name="claims")
    assert data == twin
    assert hash(data) == hash(twin)
    assert data != data[:3]


def test_it_survives_pickling(data: DataSet) -> None:
    assert pickle.loads(pickle.dumps(data)) == data


@settings(max_examples=40, deadline=None)
@given(st.permutations(ROWS))
def test_the_fingerprint_ignores_the_order(rows: list[dict[str, object]]) -> None:
    here = load(rows, inputs=["text"])
    assert here.fingerprint == load(ROWS, inputs=["text"]).fingerprint


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=8), st.randoms())
def test_the_fingerprint_ignores_the_order_of_repeated_rows(
    texts: list[str], chance: random.Random
) -> None:
    rows = [{"t": text} for text in texts]
    mixed = chance.sample(rows, len(rows))
    first, second = load(rows, inputs=["t"]), load(mixed, inputs=["t"])
    assert first.fingerprint == second.fingerprint
    assert load([*rows, rows[0]], inputs=["t"]).fingerprint != first.fingerprint


def test_the_fingerprint_knows_content_and_ids(data: DataSet) -> None:
    other = [{**ROWS[0], "label": "z"}, *ROWS[1:]]
    assert load(other, inputs=["text"], id="id").fingerprint != data.fingerprint
    assert load(ROWS, inputs=["text"]).fingerprint != data.fingerprint
    assert data[:5].fingerprint != data.fingerprint


def test_sizes_that_disagree_are_refused(data: DataSet) -> None:
    wrong: list[dict[str, Any]] = [{"ids": ("1",)}, {"places": ("x",)}, {"groups": ("x",)}]
    for broken in wrong:
        with pytest.raises(UsageError, match="6 examples need 6 ids"):
            DataSet(data.examples, **{"ids": data.ids, **broken})


def test_repeated_ids_are_refused() -> None:
    one = dspy.Example(text="a").with_inputs("text")
    with pytest.raises(DataError, match="claims: id 'x' stands twice"):
        DataSet((one, one), ("x", "x"), name="claims")
