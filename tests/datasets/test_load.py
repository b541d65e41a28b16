"""Loading keeps what was asked for and names file, line and field of what falls short."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import dspy
import pytest

from compilm.datasets import as_dataset, load
from compilm.errors import DataError, UsageError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "claims.jsonl"


def write(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def error_of(path: Path, *rows: Any, **options: Any) -> DataError:
    with pytest.raises(DataError) as caught:
        load(write(path, *rows), **{"inputs": ["text"], **options})
    return caught.value


def test_a_file_becomes_examples_with_ids_places_and_groups(path: Path) -> None:
    rows = [{"n": 7, "text": "a", "thread": "t1", "label": "x"},
            {"n": "8", "text": "b", "thread": 2, "label": "y"}]  # fmt: skip
    data = load(write(path, *rows), inputs=["text"], id="n", group="thread")
    assert data.ids == ("7", "8")
    assert data.groups == ("t1", "2")
    assert data.places == (f"{path}:1", f"{path}:2")
    assert data.name == "claims.jsonl"
    assert data[0].inputs().toDict() == {"text": "a"}
    assert data[0].labels().toDict() == {"n": 7, "thread": "t1", "label": "x"}


def test_without_an_id_field_the_content_names_the_row(path: Path) -> None:
    rows = [{"text": "a"}, {"text": "b"}, {"text": "a"}, {"text": "a"}]
    first = load(write(path, *rows), inputs=["text"]).ids
    assert first[2:] == (f"{first[0]}-2", f"{first[0]}-3")
    assert len(first[0]) == 12
    assert load(write(path, *reversed(rows)), inputs=["text"]).ids[2] == first[1]


def test_fields_keeps_those_and_the_inputs(path: Path) -> None:
    rows = [{"id": 1, "text": "a", "label": "x", "secret": "s"}]
    data = load(write(path, *rows), inputs=["text"], id="id", fields=["label"])
    assert data[0].toDict() == {"text": "a", "label": "x"}


def test_a_field_that_is_not_required_may_be_absent_or_null(path: Path) -> None:
    data = load(write(path, {"text": "a", "label": None}, {"text": "b"}), inputs=["text"])
    assert data[0].toDict() == {"text": "a", "label": None}
    assert data.fields == ("text", "label")


def test_limit_stops_before_what_is_wrong(path: Path) -> None:
    assert len(load(write(path, {"text": "a"}, "wrong"), inputs=["text"], limit=1)) == 1


def test_a_file_that_would_fill_the_memory_is_refused_at_once_or_read_in_part(path: Path) -> None:
    write(path, {"text": "a"}, {"text": "b"})
    os.truncate(path, 1_000_000_000)  # the rest is a hole and takes no place on the disk
    with pytest.raises(DataError, match=r"has 1.0 GB, .* limit=20000") as caught:
        load(path, inputs=["text"])
    assert caught.value.file == str(path)
    assert len(load(path, inputs=["text"], limit=2)) == 2


def test_a_name_can_be_given(path: Path) -> None:
    assert load(write(path, {"text": "a"}), inputs=["text"], name="claims").name == "claims"


@pytest.mark.parametrize("option", ["inputs", "fields", "id", "group", "labels"])
def test_a_missing_field_says_which_fields_the_row_has(path: Path, option: str) -> None:
    asked: dict[str, Any] = {"inputs": ["txet"], "fields": ["txet"], "labels": {"txet": ["a"]}}
    error = error_of(path, {"text": "a", "n": 1}, **{option: asked.get(option, "txet")})
    assert (error.file, error.line, error.field) == (str(path), 1, "txet")
    assert str(error) == (
        f"{path}:1: field 'txet': missing: the row has 'text', 'n'. Did you mean 'text'?"
    )


def test_a_row_without_fields_is_said(path: Path) -> None:
    assert "missing: the row has none." in str(error_of(path, {}))


def test_a_null_input_is_refused(path: Path) -> None:
    error = error_of(path, {"text": "a"}, {"text": None})
    assert (error.file, error.line, error.field) == (str(path), 2, "text")
    assert "an input is null" in str(error)


@pytest.mark.parametrize("option", ["id", "group"])
@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "not null"),
        (True, "not True (a bool)"),
        (1.5, "not 1.5 (a float)"),
        (["a"], "not ['a'] (a list)"),
        (" ", "is empty"),
    ],
)
def test_an_id_or_group_of_the_wrong_type_is_refused(
    path: Path, option: str, value: Any, said: str
) -> None:
    error = error_of(path, {"text": "a", "k": "1"}, {"text": "b", "k": value}, **{option: "k"})
    assert (error.file, error.line, error.field) == (str(path), 2, "k")
    assert said in str(error)


def test_a_repeated_id_names_both_lines(path: Path) -> None:
    error = error_of(path, {"text": "a", "id": 1}, {"text": "b", "id": "1"}, id="id")
    assert (error.line, error.field) == (2, "id")
    assert "id '1' stands already in line 1" in str(error)


def test_a_repeated_id_on_one_line_is_found(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text('[{"t": "a", "id": 1}, {"t": "b", "id": 1}]', encoding="utf-8")
    with pytest.raises(DataError, match="id '1' stands already in line 1"):
        load(path, inputs=["t"], id="id")


def test_a_wrong_label_suggests_the_nearest(path: Path) -> None:
    labels = {"label": ["refund", "delivery"]}
    rows = [{"text": "a", "label": "refund"}, {"text": "b", "label": "Refnd"}]
    error = error_of(path, *rows, labels=labels)
    assert (error.file, error.line, error.field) == (str(path), 2, "label")
    assert "'Refnd' is no allowed label. Did you mean 'refund'?" in str(error)


def test_a_wrong_label_like_no_other_lists_the_allowed(path: Path) -> None:
    error = error_of(path, {"text": "a", "label": 3}, labels={"label": {"refund"}})
    assert "3 is no allowed label. It may be 'refund'." in str(error)


def test_every_item_of_a_list_of_labels_is_checked(path: Path) -> None:
    labels = {"tags": ["x", "y"]}
    assert load(write(path, {"t": "a", "tags": ["x", "y"]}), inputs=["t"], labels=labels)
    assert "'z'" in str(error_of(path, {"text": "a", "tags": ["x", "z"]}, labels=labels))


@pytest.mark.parametrize("name", ["x.jsonl", "x.json", "x.csv"])
def test_an_empty_file_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"has no rows: at least one is needed") as caught:
        load(tmp_path / name, inputs=["text"])
    assert caught.value.file == str(tmp_path / name)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"inputs": "text"}, "inputs is a list of names, not the text 'text': ['text']"),
        ({"inputs": ["text"], "fields": "label"}, "fields is a list of names"),
        ({"inputs": ["text"], "labels": {"label": "abc"}}, "label is a list of names"),
        ({"inputs": []}, "inputs is empty"),
        ({"inputs": ["text"], "limit": 0}, "limit is a number of rows from 1, not 0"),
    ],
)
def test_a_demand_that_is_none_is_a_usage_error(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        load([{"text": "a", "label": "b"}], **options)
    assert said in str(caught.value)


def test_nan_in_a_list_is_named_by_row_and_field() -> None:
    with pytest.raises(DataError, match="nan has no JSON form") as caught:
        load([{"text": "a"}, {"text": "b", "n": float("nan")}], inputs=["text"])
    assert (caught.value.line, caught.value.field) == (2, "n")


@pytest.mark.parametrize("value", ["caf\ud83d", ["fine", {"a\udc00": 1}]])
def test_half_a_character_is_named_by_row_and_field(tmp_path: Path, value: Any) -> None:
    file = tmp_path / "rows.jsonl"
    rows = ({"text": "whole \U0001f600"}, {"text": value})
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    with pytest.raises(DataError, match=r"rows\.jsonl:2: field 'text': holds half of a character"):
        load(file, inputs=["text"])


def test_a_value_within_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(DataError, match="field 'n'"):
        load([{"text": "a", "n": endless}], inputs=["text"])


def question(text: str, *inputs: str) -> dspy.Example:
    return dspy.Example(question=text, answer="x").with_inputs(*inputs)


def test_as_dataset_keeps_the_very_examples() -> None:
    given = [question("a", "question"), question("b", "question")]
    data = as_dataset(given, name="train")
    assert [mine is theirs for mine, theirs in zip(data, given, strict=True)] == [True, True]
    assert data.name == "train"
    assert as_dataset(iter(given)).ids == data.ids
    assert as_dataset(data, name="other") is data


def test_as_dataset_declares_inputs_where_told() -> None:
    data = as_dataset([dspy.Example(question="a", answer="x")], inputs=["question"])
    assert data.inputs == ("question",)


def test_as_dataset_reads_dicts_and_files_given_inputs(path: Path) -> None:
    assert as_dataset([{"q": "a"}], inputs=["q"], name="mine").name == "mine"
    assert len(as_dataset(write(path, {"q": "a"}), inputs=["q"])) == 1


@pytest.mark.parametrize("given", [[{"q": "a"}], "x.jsonl"])
def test_as_dataset_of_rows_needs_inputs(given: Any) -> None:
    with pytest.raises(UsageError, match="which fields are inputs is not known"):
        as_dataset(given)


@pytest.mark.parametrize("given", [[], (), iter([])])
def test_as_dataset_of_nothing_is_refused(given: Any) -> None:
    with pytest.raises(DataError, match="val: there are no examples"):
        as_dataset(given, name="val")


@pytest.mark.parametrize(
    ("second", "said"),
    [
        (dspy.Example(question="b"), "train:2: this example declares no inputs"),
        (question("b", "context"), "train:2: this example has none of its declared inputs"),
        (question("b", "answer"), "train:2: field 'answer': an input of example 2 alone"),
        (dspy.Example(q="b").with_inputs("q"), "train:2: field 'q': an input of example 2 alone"),
        (question("b", "answer", "question"), "field 'answer': an input of example 2 alone"),
        (dspy.Example(question={1: object()}).with_inputs("question"), "has no JSON form"),
    ],
)
def test_examples_that_disagree_on_inputs_are_named(second: dspy.Example, said: str) -> None:
    with pytest.raises(DataError) as caught:
        as_dataset([question("a", "question"), second], name="train")
    assert said in str(caught.value)


def test_an_example_that_lacks_an_input_of_the_first_is_named() -> None:
    with pytest.raises(DataError, match="field 'question': an input of example 1 alone"):
        as_dataset([question("a", "question", "answer"), question("b", "answer")])


def test_a_prediction_declares_no_inputs() -> None:
    with pytest.raises(DataError, match="declares no inputs"):
        as_dataset([dspy.Prediction(question="a")])
