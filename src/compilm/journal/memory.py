"""A journal in memory."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any

from .record import Record, Watched, dump, dumped, is_claimed

__all__ = ["MemoryJournal"]


class MemoryJournal(Watched):
    """A journal that lives as long as the process.

    >>> journal = MemoryJournal()
    >>> journal.append(Record("note", 0.0, "r1", {"text": "hello"})).seq
    1
    >>> [record.body for record in journal.read("r1")]
    [{'text': 'hello'}]
    """

    def __init__(self) -> None:
        super().__init__()
        self._records: list[Record] = []
        self._seq = 0
        self._claims: set[str] = set()
        self._lock = threading.Lock()  # protects all three

    def append(self, record: Record) -> Record:
        body = json.loads(dump(record))
        with self._lock:
            kept = self._added(record, body)
        self._tell(kept)
        return kept

    def extend(self, records: Sequence[Record]) -> None:
        bodies = [json.loads(dumped(record)) for record in records]
        with self._lock:
            for record, body in zip(records, bodies, strict=True):
                self._added(record, body)

    def _added(self, record: Record, body: dict[str, Any]) -> Record:
        self._seq += 1
        kept = replace(record, body=body, seq=self._seq)
        self._records.append(kept)
        return kept

    def read(
        self,
        run: str | None = None,
        *,
        kinds: Collection[str] = (),
        after: int = 0,
        last: int | None = None,
    ) -> Iterator[Record]:
        with self._lock:
            records = self._records[:]
        found = (
            record
            for record in records
            if record.seq > after
            and (run is None or record.run == run)
            and (not kinds or record.kind in kinds)
        )
        yield from found if last is None else deque(found, maxlen=last)

    def forget(self, kind: str, *, keep: int) -> None:
        with self._lock:
            those = [record.seq for record in self._records if record.kind == kind]
            gone = set(those[: max(len(those) - keep, 0)])
            self._records = [record for record in self._records if record.seq not in gone]

    def claim(self, run: str) -> Callable[[], None]:
        with self._lock:
            if run in self._claims:
                raise is_claimed(run)
            self._claims.add(run)
        return lambda: self._claims.discard(run)

    def close(self) -> None:
        """Nothing to release."""
