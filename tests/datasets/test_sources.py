"""Rows of frames, Hugging Face data sets, hub names and lists, as plain Python values."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import dspy
import numpy as np
import pandas as pd
import pytest

import datasets
from compilm.datasets import as_dataset, load
from compilm.errors import DataError, MissingExtra, UsageError


def values_of(source: Any, **options: Any) -> list[dict[str, Any]]:
    return [dict(each.items()) for each in load(source, inputs=["text"], **options)]


def labeled() -> Any:
    features = datasets.Features(
        {
            "text": datasets.Value("string"),
            "label": datasets.ClassLabel(names=["no", "yes"]),
            "tags": datasets.List(datasets.ClassLabel(names=["x", "y"])),
            "deep": {"kind": datasets.ClassLabel(names=["p", "q"]), "n": datasets.Value("int8")},
        }
    )
    columns = {
        "text": ["a", "b", "c"],
        "label": [1, -1, None],
        "tags": [[0, 1], [], None],
        "deep": [{"kind": 1, "n": 5}, {"kind": 0, "n": 6}, None],
    }
    return datasets.Dataset.from_dict(columns, features=features)


NAMED = [
    {"text": "a", "label": "yes", "tags": ["x", "y"], "deep": {"kind": "q", "n": 5}},
    {"text": "b", "label": None, "tags": [], "deep": {"kind": "p", "n": 6}},
    {"text": "c", "label": None, "tags": None, "deep": None},
]


def test_class_numbers_become_their_names_at_any_depth() -> None:
    assert values_of(labeled()) == NAMED


def test_a_streamed_data_set_gives_the_same_rows() -> None:
    assert values_of(labeled().to_iterable_dataset(), limit=2) == NAMED[:2]


def test_classes_in_numpy_rows_are_named_too() -> None:
    numpy_rows = labeled().select([0]).with_format("numpy")
    assert values_of(numpy_rows)[0]["tags"] == ["x", "y"]


def test_a_stream_of_unknown_columns_is_read() -> None:
    stream = datasets.IterableDataset.from_generator(lambda: iter([{"text": "a", "n": 1}]))
    assert values_of(stream, fields=["n"]) == [{"text": "a", "n": 1}]


def test_only_the_fields_asked_for_are_kept_of_a_hugging_face_set() -> None:
    assert values_of(labeled(), fields=["label"])[0] == {"text": "a", "label": "yes"}


def test_as_dataset_of_a_hugging_face_set_names_its_classes_too() -> None:
    assert as_dataset(labeled(), inputs=["text"])[0].label == "yes"


def test_a_split_is_picked_from_a_dataset_dict() -> None:
    parts = datasets.DatasetDict(train=labeled(), test=labeled().select([2]))
    assert values_of(parts, split="test") == NAMED[2:]
    with pytest.raises(UsageError, match=r"split=\.\.\.: it has 'train', 'test'"):
        values_of(parts)
    with pytest.raises(UsageError, match=r"no split 'tset': .* Did you mean 'test'\?"):
        values_of(parts, split="tset")


def test_a_frame_gives_plain_values_and_none_for_what_is_missing() -> None:
    frame = pd.DataFrame(
        {
            "text": ["a", "b"],
            "score": [0.5, np.nan],
            "count": pd.array([1, None], dtype="Int64"),
            "day": pd.to_datetime(["2024-05-01", None]),
            "vector": [np.array([1, 2]), [np.float64(0.5)]],
        }
    )
    assert values_of(frame) == [
        {"text": "a", "score": 0.5, "count": 1, "day": "2024-05-01T00:00:00", "vector": [1, 2]},
        {"text": "b", "score": None, "count": None, "day": None, "vector": [0.5]},
    ]
    assert type(load(frame, inputs=["text"])[0]["count"]) is int


def test_a_missing_input_in_a_frame_is_named_by_row() -> None:
    with pytest.raises(DataError, match="an input is null") as caught:
        load(pd.DataFrame({"text": ["a", np.nan]}), inputs=["text"])
    assert (caught.value.file, caught.value.line, caught.value.field) == ("frame", 2, "text")


def test_only_the_fields_asked_for_are_kept_of_a_frame() -> None:
    frame = pd.DataFrame({"text": ["a"], "label": ["x"], "other": [object()]})
    assert values_of(frame, fields=["label"]) == [{"text": "a", "label": "x"}]


@pytest.mark.parametrize("columns", [["text", "text"], ["text", 0]])
def test_frame_columns_need_names_of_their_own(columns: list[Any]) -> None:
    with pytest.raises(DataError, match="every column needs a name of its own"):
        load(pd.DataFrame([["a", "b"]], columns=columns), inputs=["text"])


def test_lists_generators_and_examples_are_rows() -> None:
    rows = [{"text": "a", "n": 1}, dspy.Example(text="b", n=2)]
    expected = [{"text": "a", "n": 1}, {"text": "b", "n": 2}]
    assert values_of(rows) == expected
    assert values_of(each for each in rows) == expected
    assert load(rows, inputs=["text"]).name == "list"


def test_values_of_a_list_stay_the_objects_they_are() -> None:
    history = dspy.History(messages=[{"role": "user", "content": "hi"}])
    assert load([{"text": history}], inputs=["text"])[0]["text"] is history


@pytest.mark.parametrize(
    ("item", "said"),
    [("a", "'a' (a str) is neither a dict nor an example"), ({1: "a"}, "a name in text: '1'")],
)
def test_an_item_that_is_no_row_is_named_by_number(item: Any, said: str) -> None:
    with pytest.raises(DataError) as caught:
        load([{"text": "a"}, item], inputs=["text"])
    assert (caught.value.file, caught.value.line) == ("list", 2)
    assert said in str(caught.value)


@pytest.mark.parametrize("source", [3, {"text": ["a"]}, {}, b"text"])
def test_what_holds_no_rows_is_refused_by_type(source: Any) -> None:
    with pytest.raises(UsageError, match=f"a {type(source).__name__} holds no rows: give a path"):
        load(source, inputs=["text"])


def test_split_belongs_to_hub_names_and_dataset_dicts(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="this is none"):
        load([{"text": "a"}], inputs=["text"], split="train")
    with pytest.raises(UsageError, match="is a file"):
        load(tmp_path / "x.csv", inputs=["text"], split="train")


def test_a_hub_name_is_loaded_by_its_split(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def load_dataset(name: str, *, split: str | None) -> Any:
        asked.append((name, split))
        return labeled() if split else datasets.DatasetDict(train=labeled())

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    data = load("some-org/some.set", inputs=["text"], split="train")
    assert (data.name, len(data), asked) == (
        "some-org/some.set",
        3,
        [("some-org/some.set", "train")],
    )
    with pytest.raises(UsageError, match="it has 'train'"):
        load("some-org/some.set", inputs=["text"])


def test_offline_the_hub_is_a_data_error_that_says_what_happened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(
        DataError, match=r"no such file, .* cannot be loaded \(.*[Oo]ffline"
    ) as caught:
        load("no-such-org/no-such-set", inputs=["text"], split="train")
    assert caught.value.file == "no-such-org/no-such-set"
    assert caught.value.__cause__ is not None


def test_a_hub_error_without_words_is_told_by_its_type(monkeypatch: pytest.MonkeyPatch) -> None:
    def load_dataset(name: str, *, split: str | None) -> Any:
        raise TimeoutError

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(DataError, match=r"cannot be loaded \(TimeoutError\)"):
        load("some-org/some-set", inputs=["text"], split="train")


def test_without_the_library_a_hub_name_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtra, match="'datasets' is needed to load 'org/name' from"):
        load("org/name", inputs=["text"], split="train")


def test_a_path_into_a_folder_that_exists_is_no_hub_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.jsonl").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"not found\. Did you mean 'train\.jsonl'\?"):
        load("data/train", inputs=["text"])
    with pytest.raises(DataError, match="is a folder"):
        load("data", inputs=["text"])


def test_a_word_that_is_neither_file_nor_hub_name_is_a_missing_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="not found"):
        load("a/b/c", inputs=["text"])
