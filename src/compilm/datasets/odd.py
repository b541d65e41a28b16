"""Labels worth a second look: those that a row lacks, and those that are no possible answer."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from .closest import listed, meant
from .data import DataSet

__all__ = ["Odd", "odd_labels"]


@dataclass(frozen=True, slots=True)
class Odd:
    """A label that looks wrong: where it stands ("claims.jsonl:12", or its id), field, and why."""

    place: str
    field: str
    text: str

    def __str__(self) -> str:
        return f"{self.place}: field {self.field!r}: {self.text}"


def odd_labels(data: DataSet, answers: Mapping[str, Collection[Any]]) -> tuple[Odd, ...]:
    """What looks wrong among the labels of `data`, in its order.

    answers: by field, the values that a program can give there at all. A field that most
    examples lack is taken to be optional; one that a few lack is told.

    >>> from compilm.datasets import load
    >>> rows = [{"n": 1, "text": "a", "team": "refunds"}, {"n": 2, "text": "b", "team": "refnuds"}]
    >>> data = load(rows, inputs=["text"], id="n")
    >>> print(*odd_labels(data, {"team": ["refunds", "orders"]}))
    '2': field 'team': 'refnuds' is none of 'refunds', 'orders'. Did you mean 'refunds'?
    """
    labels = [name for name in data.fields if name not in data.inputs]
    most = len(data) / 2
    expected = [name for name in labels if sum(name in each for each in data) > most]
    return tuple(
        Odd(_place(data, index), name, text)
        for index, each in enumerate(data)
        for name in labels
        if (text := _wrong(each, name, expected, answers))
    )


def _place(data: DataSet, index: int) -> str:
    return (data.places[index] if data.places else "") or repr(data.ids[index])


def _wrong(each: Any, name: str, expected: Collection[str], answers: Mapping[str, Any]) -> str:
    if name not in each:
        return "missing, though most rows have it" if name in expected else ""
    if name not in answers or each[name] in answers[name]:
        return ""
    known = listed(map(str, answers[name]))
    return f"{each[name]!r} is none of {known}.{meant(str(each[name]), map(str, answers[name]))}"
