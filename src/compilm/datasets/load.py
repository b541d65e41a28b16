"""Loading: whatever holds rows becomes a data set, or an error says where and why not."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from ..errors import DataError, UsageError
from .checks import Kept, Wanted, check, wanted
from .data import DataSet, content_ids, example, of_examples
from .sources import Source, open_source

__all__ = ["as_dataset", "load"]

_WHOLE = 256_000_000  # bytes of a file that are read whole unasked; in memory they are four times


def load(
    source: Any,
    *,
    inputs: Sequence[str],
    id: str | None = None,
    group: str | None = None,
    fields: Sequence[str] | None = None,
    labels: Mapping[str, Collection[str]] | None = None,
    split: str | None = None,
    name: str | None = None,
    limit: int | None = None,
) -> DataSet:
    """A data set from a path, a hub name, a Hugging Face data set, a frame or a list.

    inputs: the fields that the program is given; the other fields are labels. id: the field whose
    text or whole number is the id (without it, a digest of the content). group: the field whose
    rows must not be parted by `split`. fields: the only other fields to keep. labels: the values
    that a field may take (each item, where the field is a list). split: which part of a hub data
    set. limit: read no more than the first so many rows; a file above 256 MB needs one.

    Files are `.jsonl`, `.ndjson`, `.json`, `.csv`, `.tsv` and `.parquet`, and what is read lazily
    takes only the memory of the examples kept. "org/name" is asked of the Hugging Face hub where
    neither that file nor the folder `org` exists. JSON values keep their types, CSV values are
    text; dates of tables become ISO text and class numbers their names; NaN in a pandas frame is
    a missing value, and anywhere else an error. Values of lists stay the objects they are.

    Raises DataError with file, line and field; MissingExtra where Parquet or the hub needs a
    library that is not installed.

    >>> rows = [{"id": 1, "text": "card is late", "label": "delivery"}]
    >>> load(rows, inputs=["text"], id="id", labels={"label": ["delivery", "refund"]}).ids
    ('1',)
    >>> load([{"txt": "card is late"}], inputs=["text"])
    Traceback (most recent call last):
    compilm.errors.DataError: list:1: field 'text': missing: the row has 'txt'. Did you mean 'txt'?
    """
    if limit is not None and limit < 1:
        raise UsageError(f"limit is a number of rows from 1, not {limit!r}")
    asked = wanted(inputs, id=id, group=group, fields=fields, labels=labels)
    opened = open_source(source, split=split, columns=asked.columns)
    if limit is None:
        _check_size(opened)
    kept, lines = _read(opened, asked, limit)
    return DataSet(
        examples=tuple(example(each.values, asked.inputs) for each in kept),
        ids=content_ids(each.id for each in kept) if id is None else tuple(e.id for e in kept),
        name=opened.name if name is None else name,
        places=tuple(f"{opened.file}:{line}" if opened.is_file else "" for line in lines),
        groups=() if group is None else tuple(each.group for each in kept),
    )


def as_dataset(data: Any, *, inputs: Sequence[str] | None = None, name: str = "data") -> DataSet:
    """`data` as a data set: one already is returned as it is, examples stay the same objects.

    Examples must declare their inputs, all the same ones, unless `inputs` does it here. Anything
    else that `load` reads needs `inputs`. Raises DataError with the number of the example.

    >>> import dspy
    >>> data = as_dataset([dspy.Example(text="hi", label="greeting").with_inputs("text")])
    >>> data.inputs
    ('text',)
    >>> as_dataset(data) is data
    True
    """
    if isinstance(data, DataSet):
        return data
    if isinstance(data, Iterator):
        data = list(data)
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        if not data:
            raise DataError("there are no examples: at least one is needed", file=name)
        if all(hasattr(item, "with_inputs") for item in data):
            return of_examples(data, inputs=inputs, name=name)
    if inputs is None:
        raise UsageError(
            "which fields are inputs is not known: pass inputs=[...], or examples that say so by "
            ".with_inputs(...)"
        )
    return load(data, inputs=inputs, name=name)


def _check_size(opened: Source) -> None:
    """Refuse at once what would fill the memory minutes later."""
    there = opened.is_file and os.path.isfile(opened.file)
    size = os.path.getsize(opened.file) if there else 0
    if size > _WHOLE:
        raise DataError(
            f"has {size / 1e9:.1f} GB, and rows are held in memory, four times as large: read the "
            "first so many rows with limit=20000 (in compilm.toml [data] limit = 20000), in a "
            "file whose rows are in no order; a limit above its rows reads all",
            file=opened.file,
        )


def _read(opened: Source, asked: Wanted, limit: int | None) -> tuple[list[Kept], list[int]]:
    kept: list[Kept] = []
    lines: list[int] = []
    first: dict[str, int] = {}
    for row in islice(opened.rows, limit):
        one = check(row, asked, opened.file)
        if asked.id is not None and one.id in first:
            message = f"id {one.id!r} stands already in line {first[one.id]}: ids must differ"
            raise DataError(message, file=opened.file, line=row.line, field=asked.id)
        first[one.id] = row.line
        kept.append(one)
        lines.append(row.line)
    if not kept:
        raise DataError("has no rows: at least one is needed", file=opened.file)
    return kept, lines
