"""CSV and TSV records under their header, with the line each record starts on."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from ..errors import DataError
from .closest import listed
from .lines import text_lines

__all__ = ["table_rows"]


def table_rows(path: Path, delimiter: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Line and values of each record; every value is text, and blank lines are left out.

    Raises DataError for a header with an empty or repeated name, a record with more or fewer
    values than the header has names, and broken quotes.
    """
    records = _records(path, delimiter)
    first = next(records, None)
    if first is None:
        return
    header = _header(path, *first)
    for line, cells in records:
        if len(cells) != len(header):
            raise DataError(_ragged(cells, header, delimiter), file=str(path), line=line)
        yield line, dict(zip(header, cells, strict=True))


def _records(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    lines = (line.text for line in text_lines(path))
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DataError(_unreadable(str(error)), file=str(path), line=line) from None
        if cells:
            yield line, cells


def _unreadable(reason: str) -> str:
    if "limit" in reason:
        return (
            f"a value here is longer than {csv.field_size_limit():,} characters: a quote may be "
            "unclosed; if not, use JSONL or raise csv.field_size_limit"
        )
    if "end of data" in reason:
        return "a quote that opens in this record is never closed: close it, or double it"
    return f"not readable as CSV: {reason}; a quote inside a quoted value is written twice"


def _header(path: Path, line: int, names: list[str]) -> list[str]:
    empty = [str(place) for place, name in enumerate(names, start=1) if not name.strip()]
    repeated = [name for name, count in Counter(names).items() if count > 1]
    message = ""
    if empty:
        message = f"the header has no name for column {', '.join(empty)}: name every column"
    elif repeated:
        message = f"the header repeats {listed(repeated)}: give every column its own name"
    elif len(names) == 1 and (other := next((mark for mark in ";\t" if mark in names[0]), "")):
        message = (
            f"the header is the one name {names[0]!r}: values seem to be separated by {other!r}; "
            "save with commas as .csv, or with tabs as .tsv"
        )
    if message:
        raise DataError(message, file=str(path), line=line)
    return names


def _ragged(cells: list[str], header: list[str], delimiter: str) -> str:
    if len(cells) > len(header):
        cause = f"a value with {delimiter!r} in it needs quotes around it"
    else:
        cause = f"nothing stands for {listed(header[len(cells) :])}"
    return f"{len(cells)} values under {len(header)} names: {cause}"
