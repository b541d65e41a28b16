"""CSV and TSV: records under a sound header, or the line that breaks them."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compilm.datasets import Row, read_rows
from compilm.errors import DataError


def rows_of(path: Path, content: str) -> list[Row]:
    path.write_bytes(content.encode())
    return list(read_rows(path))


def test_values_are_text_and_the_line_is_where_a_record_starts(tmp_path: Path) -> None:
    content = '\ufefftext,n\r\n"two\r\nlines, one ""value""",1\r\n\r\nb,\r\n'
    assert rows_of(tmp_path / "x.csv", content) == [
        Row(2, {"text": 'two\r\nlines, one "value"', "n": "1"}),
        Row(5, {"text": "b", "n": ""}),
    ]


def test_tsv_is_separated_by_tabs(tmp_path: Path) -> None:
    assert rows_of(tmp_path / "x.TSV", "a\tb\n1,5\t2\n") == [Row(2, {"a": "1,5", "b": "2"})]


@pytest.mark.parametrize("content", ["", "\n\n", "text,label\n"])
def test_a_file_without_records_has_no_rows(tmp_path: Path, content: str) -> None:
    assert rows_of(tmp_path / "x.csv", content) == []


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8")),
                         min_size=2, max_size=2), min_size=1))  # fmt: skip
def test_what_the_csv_writer_writes_is_read_back(tmp_path_factory: Any, cells: Any) -> None:
    out = io.StringIO(newline="")
    csv.writer(out, quoting=csv.QUOTE_ALL).writerows([["a", "b"], *cells])
    found = rows_of(tmp_path_factory.mktemp("csv") / "x.csv", out.getvalue())
    assert [list(row.values.values()) for row in found] == cells


@pytest.mark.parametrize(
    ("content", "line", "said"),
    [
        ("a,b\n1,2\n1,2,3\n", 3, "3 values under 2 names: a value with ',' in it needs quotes"),
        ("a,b\n1\n", 2, "1 values under 2 names: nothing stands for 'b'"),
        ("\na,,c,\n", 2, "the header has no name for column 2, 4"),
        ("a,b,a\n", 1, "the header repeats 'a'"),
        ("a;b\n1;2\n", 1, "values seem to be separated by ';'"),
        ("a\tb\n1\t2\n", 1, "values seem to be separated by '\\t'"),
        ('a,b\n1,2\n"open,2\n3,4\n', 3, "a quote that opens in this record is never closed"),
        ('a,b\n"x"y,2\n', 2, "a quote inside a quoted value is written twice"),
        ("a,b\n1,2\rx\n", 2, "not readable as CSV"),
        ('a,b\n"' + "x\n" * 100_000, 2, "longer than 131,072 characters"),
    ],
)
def test_a_broken_table_is_named_by_line(
    tmp_path: Path, content: str, line: int, said: str
) -> None:
    path = tmp_path / "x.csv"
    with pytest.raises(DataError) as caught:
        rows_of(path, content)
    assert (caught.value.file, caught.value.line) == (str(path), line)
    assert said in str(caught.value)
