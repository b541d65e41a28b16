"""A review: one question to a person, what helps to answer it, and what became of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

__all__ = ["Review", "Status"]

Status = Literal["open", "claimed", "answered", "expired"]


@dataclass(frozen=True, slots=True)
class Review:
    """A question that waits for a person, or waited for one. Times are seconds since 1970 UTC.

    reason says why a person is asked; draft is what a program would answer; fields are the names
    of the values that an answer gives; inputs are those of the program's call. fallback is the
    answer that is taken at `expires_at`, if nobody answered. While `claimed_until` lies ahead,
    only `claimed_by` may answer. `resumed_at` says when the run went on with the answer.

    >>> Review("r1", "May this be sent?", asked_at=10.0).status_at(20.0)
    'open'
    """

    id: str
    question: str
    reason: str = ""
    program: str = ""
    run: str = ""
    node: str = ""
    fields: tuple[str, ...] = ()
    draft: Mapping[str, Any] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, Any] = field(default_factory=dict)
    asked_at: float = 0.0
    expires_at: float | None = None
    fallback: Mapping[str, Any] | None = None
    status: str = "open"
    claimed_by: str | None = None
    claimed_until: float | None = None
    answer: Mapping[str, Any] | None = None
    answered_by: str | None = None
    answered_at: float | None = None
    resumed_at: float | None = None

    def status_at(self, now: float) -> Status:
        """What it is at an instant: an open one is `claimed` while a lease lasts."""
        if self.status == "answered":
            return "answered"
        if self.status == "expired":
            return "expired"
        return "claimed" if self.claimed_until is not None and self.claimed_until > now else "open"

    def to_json(self) -> dict[str, Any]:
        """As a JSON object: its fields by name."""
        return {**asdict(self), "fields": list(self.fields)}

    def example(self) -> dict[str, Any] | None:
        """The row for the next compile: the inputs with what the person answered, and an id.

        `None` where no person answered: a fallback is nobody's judgement.

        >>> said = Review("r1", "?", inputs={"q": "2+2?"}, status="answered", answer={"a": "4"})
        >>> said.example()
        {'q': '2+2?', 'a': '4', 'id': 'r1'}
        """
        if self.status != "answered" or self.answer is None:
            return None
        return {**self.inputs, **self.answer, "id": self.id}


_JSON = ("fields", "draft", "details", "inputs", "fallback", "answer")


def as_row(review: Review) -> dict[str, Any]:
    """The review as the columns of a table."""
    row = review.to_json()
    packed = {name: _packed(row[name]) for name in _JSON}
    return {**row, **packed}


def from_row(row: Mapping[str, Any]) -> Review:
    """The review that a row holds."""
    unpacked = {name: json.loads(row[name]) for name in _JSON if row[name] is not None}
    unpacked["fields"] = tuple(unpacked.get("fields", ()))
    return Review(**{**row, **unpacked})


def _packed(value: Any) -> str | None:
    return None if value is None else json.dumps(value, allow_nan=False)  # ASCII: any text goes in
