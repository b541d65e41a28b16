"""What a ledger holds, as frozen values: entries, their sums, and a table of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from typing import Any

__all__ = ["Book", "Entry"]

_KEYS = ("role", "predictor", "model", "tenant")


@dataclass(frozen=True, slots=True)
class Entry:
    """What one role, predictor, model and tenant used; seconds are wall time.

    A *call* is what a program asks of a role; `hits` of them were answered from the cache and
    `failures` not at all; they took `seconds` in all and `longest` at most. An *attempt* is a
    request that was sent, and all took `provider_seconds`: `errors` of them failed, and `lost` of
    those may be billed without our hearing of it. `input`, `cached`, `written` and
    `output` are tokens, each counted once. `unpriced` attempts used tokens without a known price.
    `known_usd` is what the others cost, `spared_usd` what the hits would have cost, and
    `prompt_usd` what the provider's prompt cache has spared (below 0: it cost more than that),
    these two as far as prices are known.
    `model` is empty in the entries that count calls, and the others count attempts.
    """

    role: str = ""
    predictor: str = ""
    model: str = ""
    tenant: str = ""
    calls: int = 0
    hits: int = 0
    failures: int = 0
    seconds: float = 0.0
    longest: float = 0.0
    attempts: int = 0
    errors: int = 0
    lost: int = 0
    provider_seconds: float = 0.0
    input: int = 0
    cached: int = 0
    written: int = 0
    output: int = 0
    unpriced: int = 0
    known_usd: float = 0.0
    spared_usd: float = 0.0
    prompt_usd: float = 0.0

    @property
    def usd(self) -> float | None:
        """What it cost; `None` where the price of one attempt is not known.

        >>> Entry(known_usd=0.5).usd, Entry(known_usd=0.5, unpriced=1).usd
        (0.5, None)
        """
        return None if self.unpriced else self.known_usd

    @property
    def tokens(self) -> int:
        """Tokens in and out."""
        return self.input + self.cached + self.written + self.output

    @property
    def money(self) -> str:
        """What it cost in words; an unknown price is said.

        >>> Entry(known_usd=0.5).money, Entry(known_usd=0.5, unpriced=2, lost=1).money
        ('$0.5000', '$0.5000; without a price: 2; may be billed: 1')
        """
        told = [f"${self.known_usd:,.4f}"]
        told += [f"without a price: {self.unpriced:,}"] if self.unpriced else []
        told += [f"may be billed: {self.lost:,}"] if self.lost else []
        return "; ".join(told)

    def plus(self, other: Entry) -> Entry:
        """Both, under the keys of this one; `longest` is the longer."""
        sums = {name: getattr(self, name) + getattr(other, name) for name in _COUNTS}
        keys = {name: getattr(self, name) for name in _KEYS}
        return Entry(**keys, **{**sums, "longest": max(self.longest, other.longest)})

    def to_json(self) -> dict[str, Any]:
        """The figures by name; `usd` is null where it is not known."""
        named = {name: getattr(self, name) for name in _COUNTS}
        return {**named, "tokens": self.tokens, "usd": self.usd}


_COUNTS = tuple(one.name for one in fields(Entry) if one.name not in _KEYS)


@dataclass(frozen=True, slots=True)
class Book:
    """What a ledger held at one instant.

    >>> book = Book((Entry("default", "draft", calls=2), Entry("default", "check", calls=1)))
    >>> book.total.calls, [entry.calls for entry in book.by("role")]
    (3, [3])
    """

    entries: tuple[Entry, ...] = ()

    @property
    def total(self) -> Entry:
        """The sum of all."""
        return _sum(self.entries)

    def by(self, *keys: str) -> tuple[Entry, ...]:
        """Sums by some of role, predictor, model and tenant, dearest first.

        Calls have no model (one of several may answer), so by model attempts alone are told.
        """
        unknown = set(keys) - set(_KEYS)
        if unknown:
            raise ValueError(f"no entries by {sorted(unknown)[0]!r}: give {', '.join(_KEYS)}")
        groups: dict[tuple[str, ...], list[Entry]] = {}
        for entry in self.entries:
            if entry.model or "model" not in keys:
                groups.setdefault(tuple(getattr(entry, key) for key in keys), []).append(entry)
        sums = [_sum(found, **dict(zip(keys, key, strict=True))) for key, found in groups.items()]
        return tuple(sorted(sums, key=lambda one: (-one.known_usd, -one.tokens, -one.calls)))

    def table(self, *keys: str) -> str:
        """A table by some of role, predictor, model and tenant, and the sum."""
        shown = keys or ("role", "predictor")
        return "\n".join(_lines([*self.by(*shown), self.total], shown))

    def __str__(self) -> str:
        return "\n\n".join([self.table("role", "predictor"), self.table("model")])


def _sum(entries: Iterable[Entry], **keys: Any) -> Entry:
    total = Entry(**keys)
    for entry in entries:
        total = total.plus(entry)
    return total


_HEAD = ("calls", "hits", "attempts", "errors", "tokens in", "cached", "out", "mean s", "cost")


def _lines(entries: list[Entry], keys: tuple[str, ...]) -> Iterator[str]:
    rows = [(*keys, *_HEAD), *((*_names(entry, keys), *_cells(entry)) for entry in entries)]
    rows[-1] = ("total", *("" for _ in keys[1:]), *rows[-1][len(keys) :])
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    for row in rows:
        left = [cell.ljust(width) for cell, width in zip(row[: len(keys)], widths, strict=False)]
        right = [
            cell.rjust(width)
            for cell, width in zip(row[len(keys) : -1], widths[len(keys) : -1], strict=True)
        ]
        yield "  ".join([*left, *right, row[-1]]).rstrip()


def _names(entry: Entry, keys: tuple[str, ...]) -> Iterator[str]:
    for key in keys:
        yield getattr(entry, key) or "-"


def _cells(entry: Entry) -> tuple[str, ...]:
    sent = entry.input + entry.cached + entry.written
    counts = (entry.calls, entry.hits, entry.attempts, entry.errors, sent, entry.cached)
    seconds = entry.seconds if entry.calls else entry.provider_seconds
    count = entry.calls or entry.attempts
    mean = f"{seconds / count:.2f}" if count else "-"
    return (*(f"{count:,}" for count in counts), f"{entry.output:,}", mean, entry.money)
