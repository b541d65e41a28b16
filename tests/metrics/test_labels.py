"""Macro F1 and accuracy over labels."""

from __future__ import annotations

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compilm.errors import UsageError
from compilm.metrics import MacroF1, accuracy, macro_f1

PAIRS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abcd")), min_size=1)


@given(PAIRS)
def test_macro_f1_is_symmetric_and_bounded(pairs: list[tuple[str, str]]) -> None:
    golds, preds = zip(*pairs, strict=True)
    found = macro_f1(golds, preds)
    assert found.value == pytest.approx(macro_f1(preds, golds).value)
    assert 0 <= found.value <= 1
    assert set(found.per_class) == set(golds) | set(preds)
    assert found.n == len(pairs)
    assert (found.value == 1) == (accuracy(golds, preds) == 1)


def test_macro_f1_by_hand() -> None:
    found = macro_f1(["a", "a", "a", "b"], ["a", "a", "c", "a"])
    assert found.per_class == {"a": pytest.approx(2 / 3), "b": 0.0, "c": 0.0}
    assert float(found) == pytest.approx(2 / 9)


def test_a_label_that_stands_nowhere_has_f1_0() -> None:
    found = macro_f1(["a"], ["a"], labels=["a", "z"])
    assert found.per_class == {"a": 1.0, "z": 0.0}
    assert found.value == 0.5


@pytest.mark.parametrize(("golds", "preds"), [([], []), (["a"], []), (["a"], ["a", "b"])])
def test_labels_that_do_not_pair_are_refused(golds: list[str], preds: list[str]) -> None:
    with pytest.raises(UsageError, match="one prediction for each gold"):
        macro_f1(golds, preds)
    with pytest.raises(UsageError, match="one prediction for each gold"):
        accuracy(golds, preds)


def test_no_classes_are_refused() -> None:
    with pytest.raises(UsageError, match="names no class"):
        macro_f1(["a"], ["a"], labels=[])


def test_the_result_is_frozen_and_can_be_pickled() -> None:
    found = macro_f1(["a", "b"], ["a", "a"])
    assert pickle.loads(pickle.dumps(found)) == found
    assert copy.deepcopy(found) == MacroF1(found.value, found.per_class, 2)
    with pytest.raises(TypeError):
        found.per_class["a"] = 1.0  # type: ignore[index]
