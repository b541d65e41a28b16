"""Rows of a file, read lazily: JSONL, JSON, CSV, TSV and Parquet, each with its line."""

from __future__ import annotations

import importlib
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import canonical
from ..errors import DataError, MissingExtra
from .closest import listed, meant
from .lines import open_file, text_lines
from .tables import table_rows
from .values import python

__all__ = ["SUFFIXES", "Row", "need", "read_rows"]

SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")
_BLANK = " \t\r\n"


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its values by field, and the line it starts on (from 1).

    In Parquet and in tables that are no files, `line` is the number of the row.

    >>> Row(3, {"text": "hi"}).values["text"]
    'hi'
    """

    line: int
    values: dict[str, Any]


def read_rows(path: str | Path, *, columns: Collection[str] | None = None) -> Iterator[Row]:
    r"""The rows of a data file, each read when it is asked for.

    JSONL, CSV and TSV take memory for one row at a time, Parquet for one batch, JSON for the
    file. JSON values keep their types, CSV values are text. `columns` is a hint: Parquet reads no
    others. Raises DataError with file and line.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "claims.csv")
    ...     _ = path.write_text("text,label\nlate payment,billing\n", encoding="utf-8")
    ...     list(read_rows(path))
    [Row(line=2, values={'text': 'late payment', 'label': 'billing'})]
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix in (".jsonl", ".ndjson"):
        return _jsonl(path)
    if suffix == ".json":
        return _json_list(path)
    if suffix in (".csv", ".tsv"):
        delimiter = "," if suffix == ".csv" else "\t"
        return (Row(line, values) for line, values in table_rows(path, delimiter))
    if suffix == ".parquet":
        return _parquet(path, columns)
    known = ", ".join(SUFFIXES)
    open_file(path).close()  # a file that is not there is the more useful complaint
    message = f"{path.suffix!r} is no format that is read here ({known}): convert or rename it."
    raise DataError(message + meant(suffix, SUFFIXES), file=str(path))


def need(library: str, *, purpose: str) -> Any:
    """The optional library, imported now, or MissingExtra that says what it is for."""
    try:
        return importlib.import_module(library)
    except ModuleNotFoundError:
        raise MissingExtra(library, extra="data", purpose=purpose) from None


def _jsonl(path: Path) -> Iterator[Row]:
    for number, text in text_lines(path):
        if text.strip(_BLANK):
            yield Row(number, _object(text.rstrip(_BLANK), path, number))


def _json_list(path: Path) -> Iterator[Row]:
    text = "".join(line.text for line in text_lines(path))
    line, counted = 1, 0
    for start, end in _elements(text, path):
        line += text.count("\n", counted, start)
        counted = start
        yield Row(line, _object(text[start:end], path, line))


def _elements(text: str, path: Path) -> Iterator[tuple[int, int]]:
    """Where each element of the JSON list in `text` starts and ends."""
    decode = json.JSONDecoder().raw_decode
    at = _skip(text, 0)
    if at == len(text):
        return
    if text[at] != "[":
        raise _broken(text, at, path, "a list of objects ([{...}, ...]) is expected")
    at = _skip(text, at + 1)
    closed = text[at : at + 1] == "]"
    while not closed:
        try:
            end = decode(text, at)[1]
        except json.JSONDecodeError as error:
            raise _broken(text, error.pos, path, _reason(error)) from None
        except RecursionError:
            raise _broken(text, at, path, "nested too deep") from None
        yield at, end
        at = _skip(text, end)
        closed = text[at : at + 1] == "]"
        if not closed:
            if text[at : at + 1] != ",":
                raise _broken(text, at, path, "',' or ']' is expected after an element")
            at = _skip(text, at + 1)
    if (rest := _skip(text, at + 1)) < len(text):
        raise _broken(text, rest, path, "the list has ended here, and more follows")


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _BLANK:
        at += 1
    return at


def _broken(text: str, at: int, path: Path, reason: str) -> DataError:
    line = text.count("\n", 0, at) + 1
    column = at - text.rfind("\n", 0, at)
    hint = "; one object a line is JSONL: name the file .jsonl" if text[:1] == "{" else ""
    return DataError(f"not JSON at column {column}: {reason}{hint}", file=str(path), line=line)


def _reason(error: json.JSONDecodeError) -> str:
    return error.msg.removesuffix(" at").removesuffix(" starting")  # meant to go on with a place


def _object(text: str, path: Path, line: int) -> dict[str, Any]:
    try:
        value = canonical.loads(text)
    except json.JSONDecodeError as error:
        hint = "; a list of objects belongs in a .json file" if text.lstrip()[:1] == "[" else ""
        message = f"not JSON at column {error.pos + 1}: {_reason(error)}{hint}"
        raise DataError(message, file=str(path), line=line) from None
    except ValueError as error:
        message = f"not JSON: {error}; correct the value or leave its field out"
        raise DataError(message, file=str(path), line=line) from None
    except RecursionError:
        raise DataError("not usable JSON: nested too deep", file=str(path), line=line) from None
    if not isinstance(value, dict):
        kind = "a list" if isinstance(value, list) else f"{value!r:.60}"
        message = f"{kind} stands here, and an object ({{...}}) is expected"
        raise DataError(message, file=str(path), line=line)
    return value


def _parquet(path: Path, columns: Collection[str] | None) -> Iterator[Row]:
    arrow = need("pyarrow", purpose="read Parquet")
    parquet = need("pyarrow.parquet", purpose="read Parquet")
    with open_file(path) as file:
        try:
            table = parquet.ParquetFile(file)
            names = table.schema_arrow.names
            if len(set(names)) < len(names):
                message = f"two columns have one name (it has {listed(names)}): rename one"
                raise DataError(message, file=str(path))
            wanted = [name for name in names if columns is None or name in columns]
            line = 0
            for batch in table.iter_batches(columns=wanted, batch_size=1024):
                for values in batch.to_pylist():
                    line += 1
                    yield Row(line, {name: python(value) for name, value in values.items()})
        except (arrow.ArrowException, OSError) as error:
            raise DataError(f"not readable as Parquet: {error}", file=str(path)) from None
