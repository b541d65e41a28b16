"""The queue: ask, list, claim, answer, expire. Of two who claim at one time, one gets it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import inf, isfinite
from pathlib import Path
from typing import Any

from .. import canonical
from ..clock import SYSTEM_CLOCK, Clock
from ..errors import ReviewTaken, UsageError
from .review import Review, Status, as_row, from_row
from .tables import Table, open_table

__all__ = ["Reviews", "check_fields"]

_FREE = "status = 'open' AND (claimed_until IS NULL OR claimed_until <= ? OR claimed_by = ?)"
_OWED = "(status = 'open' OR (status = 'expired' AND fallback IS NULL))"
_ANSWERABLE = f"{_OWED} AND (claimed_until IS NULL OR claimed_until <= ? OR claimed_by = ?)"


class Reviews:
    """Questions to people, in an SQLite file or in Postgres (`postgresql://…`).

    `place` is a path, an address, or `:memory:`. A claim is a lease: when it is over, others may
    claim. Every step is one atomic statement, so processes and machines may share a queue.

    >>> reviews = Reviews(":memory:")
    >>> asked = reviews.ask("May this be sent?", fields=("approved",))
    >>> reviews.claim(asked.id, by="ana").claimed_by
    'ana'
    >>> reviews.answer(asked.id, by="ana", answer={"approved": True}).status
    'answered'
    """

    def __init__(
        self,
        place: str | Path,
        *,
        clock: Clock = SYSTEM_CLOCK,
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex[:12],
    ) -> None:
        self._table: Table = open_table(place)
        self._clock, self._new_id = clock, new_id

    def ask(self, question: str, *, id: str | None = None, within: float | None = None,
            **more: Any) -> Review:  # fmt: skip
        """Put a question into the queue; `more` are fields of `Review`.

        With an `id` that is there already, that review is given and nothing is asked twice. After
        `within` seconds the `fallback` becomes the answer, or, without one, the review is expired.
        """
        now = self._clock.wall()
        fields = tuple(more.pop("fields", ()))
        review = Review(id or self._new_id(), question, fields=fields, asked_at=now, **more)
        if within is not None:
            if not isfinite(within):
                raise UsageError(f"within is {within!r}: give a number of seconds")
            review = replace(review, expires_at=now + within)
        row = as_row(_plain(review))
        marks = ", ".join("?" * len(row))
        statement = f"INSERT INTO compilm_reviews ({', '.join(row)}) VALUES ({marks})"
        self._table.run(f"{statement} ON CONFLICT (id) DO NOTHING", list(row.values()))
        return self.get(review.id)

    def get(self, id: str) -> Review:
        """The review with this id; the beginning of an id will do, where only one begins so."""
        id = _text(id)
        rows = self._table.run(
            "SELECT * FROM compilm_reviews WHERE substr(id, 1, ?) = ? ORDER BY id LIMIT 2",
            (len(id), id),
        )
        exact = [row for row in rows if row["id"] == id]
        if not id or len(exact or rows) != 1:
            what = "several reviews begin" if len(rows) > 1 and id else "no review begins"
            raise UsageError(f"{what} with {id!r}: see `compilm reviews list --status all`")
        return from_row((exact or rows)[0])

    def list(
        self, status: Status | None = None, *, program: str | None = None, limit: int = 1000
    ) -> Sequence[Review]:
        """Reviews of a status, or all, the oldest first; at most the first `limit` of them."""
        clauses: list[str] = ["1 = 1"]
        values: list[Any] = []
        if status is not None:
            stored = "open" if status == "claimed" else status
            clauses.append("status = ?")
            values.append(stored)
        if status == "claimed":
            clauses.append("claimed_until > ?")
        elif status == "open":
            clauses.append("(claimed_until IS NULL OR claimed_until <= ?)")
        values += [self._clock.wall()] if status in ("claimed", "open") else []
        if program is not None:
            clauses.append("program = ?")
            values.append(program)
        query = f"SELECT * FROM compilm_reviews WHERE {' AND '.join(clauses)}"
        rows = self._table.run(f"{query} ORDER BY asked_at, id LIMIT {int(limit)}", values)
        return [from_row(row) for row in rows]

    def claim(self, id: str | None = None, *, by: str, lease: float = 900.0) -> Review | None:
        """This review, or the oldest that is free, for `by` alone until `lease` seconds are over.

        Who holds it may claim again and so go on. Without an id `None` says that nothing is free;
        with one, `ReviewTaken` says who has it.
        """
        if not 0 < lease < inf:
            raise UsageError(f"lease is {lease!r}: give seconds above 0")
        now = self._clock.wall()
        head = "UPDATE compilm_reviews SET claimed_by = ?, claimed_until = ? WHERE"
        taken: tuple[Any, ...] = (_named(by), now + lease)
        if id is not None:
            found = self.get(id)
            rows = self._table.run(
                f"{head} id = ? AND {_FREE} RETURNING *", (*taken, found.id, now, by)
            )
            if not rows:
                raise self._taken(found.id, now)
            return from_row(rows[0])
        chosen = (
            "SELECT id FROM compilm_reviews WHERE status = 'open' AND "
            "(claimed_until IS NULL OR claimed_until <= ?) ORDER BY asked_at, id LIMIT 1"
        )
        rows = self._table.run(
            f"{head} id = ({chosen}{self._table.lock}) AND {_FREE} RETURNING *",
            (*taken, now, now, by),
        )
        return from_row(rows[0]) if rows else None

    def release(self, id: str, *, by: str) -> Review:
        """Give a claimed review back before its lease is over."""
        found = self.get(id)
        self._table.run(
            "UPDATE compilm_reviews SET claimed_by = NULL, claimed_until = NULL "
            "WHERE id = ? AND claimed_by = ? AND status = 'open'",
            (found.id, by),
        )
        return self.get(found.id)

    def answer(self, id: str, *, by: str, answer: Mapping[str, Any]) -> Review:
        """Answer a review, which ends it; the same answer of the same person again is no error.

        Raises `UsageError` where the answer has not the review's `fields`, `ReviewTaken` where
        somebody else has claimed or answered it.
        """
        found, now = self.get(id), self._clock.wall()
        check_fields(found, answer)
        told = json.dumps(_plain_json(dict(answer)))
        rows = self._table.run(
            "UPDATE compilm_reviews SET status = 'answered', answer = ?, answered_by = ?, "
            f"answered_at = ? WHERE id = ? AND {_ANSWERABLE} RETURNING *",
            (told, _named(by), now, found.id, now, by),
        )
        if rows:
            return from_row(rows[0])
        late = self.get(found.id)
        if late.answered_by == by and late.answer == json.loads(told):
            return late
        raise self._taken(found.id, now)

    def expire(self) -> Sequence[Review]:
        """End what is overdue and not claimed: with its fallback as the answer, or without any."""
        now = self._clock.wall()
        rows = self._table.run(
            "UPDATE compilm_reviews SET status = 'expired', answer = fallback, answered_at = ? "
            "WHERE status = 'open' AND expires_at <= ? "
            "AND (claimed_until IS NULL OR claimed_until <= ?) RETURNING *",
            (now, now, now),
        )
        return sorted((from_row(row) for row in rows), key=lambda each: (each.asked_at, each.id))

    def unresumed(self, program: str) -> Sequence[Review]:
        """Those of a program with an answer that its run has not gone on with."""
        rows = self._table.run(
            "SELECT * FROM compilm_reviews WHERE program = ? AND run <> '' AND "
            "answer IS NOT NULL AND resumed_at IS NULL ORDER BY answered_at, id",
            (program,),
        )
        return [from_row(row) for row in rows]

    def reopen(self, id: str, why: str) -> Review:
        """Ask again, with `why` as the reason: the run could not go on with this answer.

        A fallback that was the answer is none any more, and the review is not overdue again.
        """
        was_expired = "CASE WHEN status = 'expired' THEN NULL ELSE"
        self._table.run(
            "UPDATE compilm_reviews SET status = 'open', reason = ?, answer = NULL, "
            "answered_by = NULL, answered_at = NULL, claimed_by = NULL, claimed_until = NULL, "
            f"fallback = {was_expired} fallback END, expires_at = {was_expired} expires_at END "
            "WHERE id = ? AND status <> 'open' AND resumed_at IS NULL",
            (_text(why), id),
        )
        return self.get(id)

    def resumed(self, id: str) -> None:
        """Note that the run of this review has gone on."""
        self._table.run(
            "UPDATE compilm_reviews SET resumed_at = ? WHERE id = ?", (self._clock.wall(), id)
        )

    def examples(self, program: str | None = None) -> Iterator[dict[str, Any]]:
        """What people answered, as rows for the next compile."""
        for review in self.list("answered", program=program, limit=1_000_000):
            row = review.example()
            if row is not None:
                yield row

    def export(self, path: str | Path, program: str | None = None) -> int:
        """Write `examples` as JSON lines, which `compilm compile` reads; how many there are."""
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in self.examples(program)]
        Path(path).write_text("".join(lines), encoding="utf-8")
        return len(lines)

    def now(self) -> float:
        """The instant by the clock of the queue, in seconds since 1970 UTC."""
        return self._clock.wall()

    def close(self) -> None:
        """Release the file or the connection."""
        self._table.close()

    def _taken(self, id: str, now: float) -> ReviewTaken:
        found = self.get(id)
        if found.status != "open":
            by = f" by {found.answered_by}" if found.answered_by else ""
            return ReviewTaken(f"review {id} is {found.status}{by}")
        left = max((found.claimed_until or now) - now, 0.0)
        return ReviewTaken(
            f"review {id} is claimed by {found.claimed_by} for {left:.0f} s more", retry_after=left
        )


def _plain(review: Review) -> Review:
    texts = ("id", "question", "reason", "program", "run", "node")
    parts = ("draft", "details", "inputs", "fallback")
    kept: dict[str, Any] = {name: _text(getattr(review, name)) for name in texts}
    kept |= {name: _plain_json(getattr(review, name)) for name in parts}
    return replace(review, **kept)


def _plain_json(value: Any) -> Any:
    try:
        return canonical.plain(value)
    except (TypeError, RecursionError) as error:
        raise UsageError(f"what a review holds is plain JSON, and this is not: {error}") from error


def _text(value: str) -> str:
    """The text as any database takes it: no half of a character, no character 0."""
    return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def _named(by: str) -> str:
    if not isinstance(by, str) or not by.strip() or not by.isprintable():
        raise UsageError(f"by={by!r}: say who it is, so that others see whom to ask")
    return by


def check_fields(review: Review, answer: Mapping[str, Any]) -> None:
    """Raise `UsageError` where the answer has not the fields that the review asks for."""
    missing: Iterable[str] = [name for name in review.fields if name not in answer]
    unknown = [name for name in answer if review.fields and name not in review.fields]
    if missing or unknown or not answer:
        raise UsageError(
            f"review {review.id} is answered by {', '.join(review.fields) or 'values with names'}; "
            f"given is {', '.join(answer) or 'nothing'}"
        )
