"""What is asked of every row, and the check that one row keeps it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .. import canonical
from ..errors import DataError, UsageError
from .closest import listed, meant
from .content import json_form
from .rows import Row

__all__ = ["Kept", "Wanted", "check", "wanted"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which fields a row must have, which are kept, and which values a label may take."""

    inputs: tuple[str, ...]
    id: str | None
    group: str | None
    fields: tuple[str, ...] | None
    labels: Mapping[str, tuple[str, ...]]

    @property
    def required(self) -> tuple[str, ...]:
        """The fields that every row must have."""
        named = (*self.inputs, *(self.fields or ()), *self.labels, self.id, self.group)
        return tuple(dict.fromkeys(name for name in named if name is not None))

    @property
    def columns(self) -> tuple[str, ...] | None:
        """The only fields that are read, or None for all."""
        return None if self.fields is None else self.required

    def keeps(self, name: str) -> bool:
        """Whether the field becomes part of the example."""
        return self.fields is None or name in self.fields or name in self.inputs


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of one row; without an id column, `id` is the digest of the content."""

    id: str
    group: str
    values: dict[str, Any]


def wanted(
    inputs: Sequence[str],
    *,
    id: str | None,
    group: str | None,
    fields: Sequence[str] | None,
    labels: Mapping[str, Collection[str]] | None,
) -> Wanted:
    """The demand on every row, or a UsageError where it is no demand."""
    for what, names in (("inputs", inputs), ("fields", fields), *(labels or {}).items()):
        if isinstance(names, str):
            raise UsageError(f"{what} is a list of names, not the text {names!r}: [{names!r}]")
    if not inputs:
        raise UsageError("inputs is empty: name at least one field that the program is given")
    allowed = {name: tuple(values) for name, values in (labels or {}).items()}
    kept = None if fields is None else tuple(fields)
    return Wanted(tuple(inputs), id, group, kept, allowed)


def check(row: Row, asked: Wanted, file: str) -> Kept:
    """What is kept of the row; DataError with file, line and field where the row falls short."""
    for name in asked.required:
        if name not in row.values:
            has = f"missing: the row has {listed(map(str, row.values))}."
            raise _wrong(has + meant(name, map(str, row.values)), row, file, name)
    for name in asked.inputs:
        if row.values[name] is None:
            message = "an input is null: give it a value, or remove the row"
            raise _wrong(message, row, file, name)
    for name, allowed in asked.labels.items():
        _check_label(row, name, allowed, file)
    values = {name: value for name, value in row.values.items() if asked.keeps(name)}
    content = json_form(values.items(), file=file, line=row.line)
    return Kept(
        id=canonical.digest(content) if asked.id is None else _key(row, asked.id, file),
        group="" if asked.group is None else _key(row, asked.group, file),
        values=values,
    )


def _check_label(row: Row, name: str, allowed: tuple[str, ...], file: str) -> None:
    value = row.values[name]
    for one in value if isinstance(value, list) else [value]:
        if one not in allowed:
            hint = meant(str(one), allowed) or f" It may be {listed(allowed)}."
            raise _wrong(f"{one!r} is no allowed label.{hint}", row, file, name)


def _key(row: Row, name: str, file: str) -> str:
    value = row.values[name]
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        kind = "null" if value is None else f"{value!r:.60} (a {type(value).__name__})"
        raise _wrong(f"must be text or a whole number, not {kind}", row, file, name)
    if not str(value).strip():
        raise _wrong("is empty: every row needs one", row, file, name)
    return str(value)


def _wrong(message: str, row: Row, file: str, field: str) -> DataError:
    return DataError(message, file=file, line=row.line, field=field)
