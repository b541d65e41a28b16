"""A trace as it is read back: frozen spans, in the order in which they began."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from ...errors import JournalError
from ...journal import Record

__all__ = ["FORMAT", "KIND", "Event", "Kind", "Span", "Trace"]

KIND = "trace"
FORMAT = 1
Kind: TypeAlias = Literal["program", "predictor", "call", "attempt", "tool", "retrieval"]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened at one instant; `at` is seconds since 1970 UTC."""

    name: str
    at: float
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a trace: `number` is its place, `parent` the place of the one it is part of.

    `start` is seconds since 1970 UTC. `error` is the name of the class it ended in. `values` are
    numbers, names of models and other settings; `texts` holds what was said, where that is kept.
    """

    number: int
    parent: int | None
    kind: Kind
    name: str
    start: float
    seconds: float
    error: str | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    texts: Mapping[str, Any] = field(default_factory=dict)
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class Trace:
    """One call of a program, whole: its spans, and the digest of the artifact that ran.

    `keeps` is `numbers` or `texts`. `about` says how the models of the roles were asked, in traces
    that can be replayed. `left_out` spans came after the most that one trace holds.
    """

    id: str
    program: str
    digest: str
    keeps: str
    spans: tuple[Span, ...]
    about: Mapping[str, Any] = field(default_factory=dict)
    left_out: int = 0
    seq: int = 0

    @classmethod
    def of(cls, record: Record) -> Trace:
        """The trace that a record of the journal holds; `JournalError` if it holds none.

        >>> Trace.of(Record("trace", 0.0, "3f2a", {"format": 99}))
        Traceback (most recent call last):
        compilm.errors.JournalError: trace 3f2a has format 99 and this version reads 1: upgrade
        """
        body = record.body
        if body.get("format") != FORMAT:
            raise JournalError(
                f"trace {record.run} has format {body.get('format')} and this version reads "
                f"{FORMAT}: upgrade"
            )
        try:
            told = body["spans"]
            most = told[0].get("us", 0)
            spans = tuple(_span(n, each, record.at, most) for n, each in enumerate(told))
            return cls(
                record.run, body["program"], body["digest"], body["keeps"], spans,
                body.get("about", {}), body.get("left_out", 0), record.seq,
            )  # fmt: skip
        except (KeyError, TypeError, AttributeError) as error:
            raise JournalError(
                f"trace {record.run} is damaged ({type(error).__name__}: {error})"
            ) from error

    @property
    def root(self) -> Span:
        """The span of the program."""
        return self.spans[0]

    @property
    def calls(self) -> tuple[Span, ...]:
        """The calls of models, in the order in which they began."""
        return tuple(span for span in self.spans if span.kind == "call")

    def under(self, number: int | None) -> Iterator[Span]:
        """The spans that are part of the span of this number."""
        return (span for span in self.spans if span.parent == number)

    def total(self, name: str) -> int | None:
        """The sum over the calls that tell this number; `None` where none does."""
        told = [span.values[name] for span in self.calls if span.values.get(name) is not None]
        return sum(told) if told else None


_OWN = frozenset(("kind", "name", "at_us", "us", "parent", "error", "events", "texts"))


def _span(number: int, body: dict[str, Any], at: float, most_us: int) -> Span:
    """A span as it was written; one that nobody ended went on until the trace was over."""
    values = {name: value for name, value in body.items() if name not in _OWN}
    at_us, us = body.get("at_us", 0), body.get("us")
    if us is None:
        values["unfinished"], us = True, max(most_us - at_us, 0)
    return Span(
        number,
        body.get("parent"),
        body["kind"],
        body["name"],
        at + at_us / 1e6,
        us / 1e6,
        body.get("error"),
        values,
        body.get("texts", {}),
        tuple(Event(name, at + us / 1e6, said) for name, us, said in body.get("events", ())),
    )
