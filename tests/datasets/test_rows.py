"""Rows of JSONL, JSON and Parquet, with the line of everything that is wrong."""

from __future__ import annotations

import decimal
import itertools
import json
import sys
import tracemalloc
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compilm.datasets import Row, load, read_rows
from compilm.errors import DataError, MissingExtra


def rows_of(path: Path, content: str) -> list[Row]:
    path.write_bytes(content.encode())
    return list(read_rows(path))


def error_of(path: Path, content: str) -> DataError:
    with pytest.raises(DataError) as caught:
        rows_of(path, content)
    assert caught.value.file == str(path)
    return caught.value


def test_jsonl_keeps_types_and_counts_blank_lines(tmp_path: Path) -> None:
    content = '{"a": 1, "b": [true, null, 0.5]}\r\n\r\n{"a": {"c": "x"}}'
    assert rows_of(tmp_path / "x.jsonl", content) == [
        Row(1, {"a": 1, "b": [True, None, 0.5]}),
        Row(3, {"a": {"c": "x"}}),
    ]


def test_separators_inside_strings_survive(tmp_path: Path) -> None:
    text = "one\u2028two\u0085three\u2029four"
    content = json.dumps({"t": text}, ensure_ascii=False) + "\n"
    assert rows_of(tmp_path / "x.ndjson", content) == [Row(1, {"t": text})]
    assert rows_of(tmp_path / "x.csv", f"t\r\n{text}\r\n") == [Row(2, {"t": text})]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.dictionaries(st.text(), st.text() | st.integers() | st.none())))
def test_what_json_writes_is_read_back(tmp_path_factory: Any, values: list[Any]) -> None:
    path = tmp_path_factory.mktemp("rows") / "x.jsonl"
    lines = (json.dumps(each, ensure_ascii=False).encode("utf-8") for each in values)
    path.write_bytes(b"\n".join(lines))
    assert [row.values for row in read_rows(path)] == values
    path.with_suffix(".json").write_text(json.dumps(values, indent=1), encoding="utf-8")
    assert [row.values for row in read_rows(path.with_suffix(".json"))] == values


@pytest.mark.parametrize(
    ("content", "line", "said"),
    [
        ('{"a": 1}\n{"a": }\n', 2, "not JSON at column 7"),
        ('{"a": 1}\n{"a": "x\n', 2, "not JSON at column 7: Unterminated string"),
        ('[{"a": 1},\n {"a": 2}]', 1, "a list of objects belongs in a .json file"),
        ('{"a": 1}\n[1]\n', 2, "a list stands here"),
        ('"text"\n', 1, "'text' stands here, and an object ({...}) is expected"),
        ('{"a": NaN}\n', 1, "NaN is not JSON"),
        ('{"a": 1, "a": 2}\n', 1, "key 'a' stands twice"),
        ("[" * 200_000, 1, "nested too deep"),
    ],
)
def test_a_wrong_jsonl_line_is_named(tmp_path: Path, content: str, line: int, said: str) -> None:
    error = error_of(tmp_path / "x.jsonl", content)
    assert error.line == line
    assert said in str(error)


def test_a_json_list_gives_the_line_each_object_starts_on(tmp_path: Path) -> None:
    content = '\ufeff [\n {"a": 1}, {"a": "]\\n,"},\n\n {\n "a": 3}\n]\n'
    found = rows_of(tmp_path / "x.json", content)
    assert [(row.line, row.values["a"]) for row in found] == [(2, 1), (2, "]\n,"), (4, 3)]


@pytest.mark.parametrize("content", ["", " \n", "[]", "[ ]\n"])
def test_an_empty_json_file_has_no_rows(tmp_path: Path, content: str) -> None:
    assert rows_of(tmp_path / "x.json", content) == []


@pytest.mark.parametrize(
    ("content", "line", "said"),
    [
        ('{"a": 1}\n{"a": 2}', 1, "one object a line is JSONL"),
        ('"a"', 1, "a list of objects ([{...}, ...]) is expected"),
        ('[{"a": 1}\n {"a": 2}]', 2, "column 2: ',' or ']' is expected"),
        ('[{"a": 1},\n {"a": }]', 2, "column 8"),
        ('[{"a": 1},\n]', 2, "column 1"),
        ('[{"a": 1}', 1, "',' or ']' is expected"),
        ("[", 1, "Expecting value"),
        ('[{"a": 1}]\n[]', 2, "the list has ended"),
        ('[{"a": 1},\n2]', 2, "2 stands here"),
        ('[\n{"a": Infinity}]', 2, "Infinity is not JSON"),
        ("[" * 200_000, 1, "nested too deep"),
    ],
)
def test_a_wrong_json_list_is_named(tmp_path: Path, content: str, line: int, said: str) -> None:
    error = error_of(tmp_path / "x.json", content)
    assert error.line == line
    assert said in str(error)


def test_an_unknown_suffix_lists_the_known_ones(tmp_path: Path) -> None:
    assert "'.josnl' is no format that is read here (.jsonl" in str(
        error := error_of(tmp_path / "x.josnl", "{}")
    )
    assert "Did you mean '.jsonl'?" in str(error)


def test_an_unknown_suffix_of_a_missing_file_is_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not found"):
        read_rows(tmp_path / "x.xyz")


def write_parquet(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def test_parquet_values_become_plain_python(tmp_path: Path) -> None:
    path = write_parquet(
        tmp_path / "x.parquet",
        text=["a", "b"],
        day=[date(2024, 5, 1), None],
        parts=[[1, 2], []],
        nested=[{"k": 1.5}, None],
    )
    assert list(read_rows(path)) == [
        Row(1, {"text": "a", "day": "2024-05-01", "parts": [1, 2], "nested": {"k": 1.5}}),
        Row(2, {"text": "b", "day": None, "parts": [], "nested": None}),
    ]


def test_parquet_reads_only_the_columns_asked_for(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "x.parquet", a=[1], b=[2])
    assert list(read_rows(path, columns=["b", "absent"])) == [Row(1, {"b": 2})]


def test_what_has_no_json_form_is_named_by_row_and_field(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "x.parquet", t=["a", "b"], n=[1.0, float("nan")])
    with pytest.raises(DataError, match="nan has no JSON form") as caught:
        load(path, inputs=["t"])
    assert (caught.value.file, caught.value.line, caught.value.field) == (str(path), 2, "n")
    path = write_parquet(tmp_path / "y.parquet", t=["a"], n=[decimal.Decimal("1.5")])
    with pytest.raises(DataError, match="a Decimal has no JSON form"):
        load(path, inputs=["t"])


def test_a_file_that_is_not_parquet_is_said(tmp_path: Path) -> None:
    assert "not readable as Parquet" in str(error_of(tmp_path / "x.parquet", "hello, not parquet"))


def test_parquet_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]), path)
    with pytest.raises(DataError, match="two columns have one name"):
        list(read_rows(path))


def test_parquet_without_pyarrow_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_parquet(tmp_path / "x.parquet", a=[1])
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match=r"'pyarrow' is needed to read Parquet.*compilm\[data\]"):
        list(read_rows(path))


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_a_large_file_is_read_only_as_far_as_asked(tmp_path: Path, suffix: str) -> None:
    """32 MB; were all of it read, the peak would show, and the broken end would be an error."""
    path = tmp_path / f"large{suffix}"
    line = '{"text": "' + "x" * 1000 + '"}\n' if suffix == ".jsonl" else "x" * 1000 + "\n"
    with path.open("w", encoding="utf-8") as file:
        file.write("" if suffix == ".jsonl" else "text\n")
        file.writelines(itertools.repeat(line, 32_000))
        file.write('{"broken\n' if suffix == ".jsonl" else '"unclosed\n')
    assert path.stat().st_size > 30_000_000
    tracemalloc.start()
    data = load(path, inputs=["text"], limit=50)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(data) == 50
    assert peak < 2_000_000


def test_reading_through_a_large_file_keeps_one_row_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "large.jsonl"
    with path.open("w", encoding="utf-8") as file:
        file.writelines(itertools.repeat('{"text": "' + "x" * 10_000 + '"}\n', 500))
    tracemalloc.start()
    count = sum(1 for _ in read_rows(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 500
    assert peak < 1_000_000
