"""What a journal holds and promises: records, appended and read, by whatever keeps them."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ..errors import JournalError

__all__ = ["Journal", "Record", "Watched", "Watcher", "dump", "dumped", "is_claimed"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Record:
    """One thing that happened: its kind, when (seconds since 1970 UTC), in which run, and what.

    `seq` is its place in the journal, given on append; it grows, gaps may occur.
    """

    kind: str
    at: float
    run: str
    body: dict[str, Any]
    seq: int = 0


Watcher = Callable[[Record], None]


class Journal(Protocol):
    """Where records go and come from, safe to use from many threads."""

    def append(self, record: Record) -> Record:
        """The record as kept, with its `seq`; on disk (where there is one) when this returns."""
        ...

    def extend(self, records: Sequence[Record]) -> None:
        """All of these, or none, in one go; for what need not be there at once.

        A body may hold what orjson takes: `orjson.Fragment` for what is JSON already, and numbers
        that are not finite become null. Watchers are not told.
        """
        ...

    def read(
        self,
        run: str | None = None,
        *,
        kinds: Collection[str] = (),
        after: int = 0,
        last: int | None = None,
    ) -> Iterator[Record]:
        """Records in order: of one run or all, of some kinds or all, with `seq` above `after`.

        With `last`, only the last so many of them.
        """
        ...

    def forget(self, kind: str, *, keep: int) -> None:
        """Let all records of this kind go but the last `keep`: for traces, never for a run."""
        ...

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Call `watcher` after every append; what this returns ends it."""
        ...

    def claim(self, run: str) -> Callable[[], None]:
        """Keep everybody else out of `run`, in this process too, until what this returns is called.

        Raises `JournalError` where somebody is in it.
        """
        ...

    def close(self) -> None:
        """Release the file. Appending afterwards is a `JournalError`."""
        ...


class Watched:
    """The part every journal shares: watchers, told after the append and never able to fail it."""

    def __init__(self) -> None:
        self._watchers: list[Watcher] = []

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher)

    def _tell(self, record: Record) -> None:
        for watcher in tuple(self._watchers):
            try:
                watcher(record)
            except Exception:  # border: a display or tracker must never fail the run
                _log.warning("a watcher of the journal failed and goes on", exc_info=True)


def is_claimed(run: str) -> JournalError:
    """The error of a claim that came second."""
    return JournalError(
        f"run {run!r} is being worked on by another process or task; wait for it, or stop it first"
    )


def dump(record: Record) -> str:
    try:
        text = _encoded(record.body, ensure_ascii=False)
        if not text.isascii() and not _is_utf8(text):
            text = _encoded(record.body, ensure_ascii=True)
    except (TypeError, ValueError, RecursionError) as error:
        raise JournalError(f"a {record.kind!r} record is not plain JSON: {error}") from error
    return text


def _encoded(body: dict[str, Any], *, ensure_ascii: bool) -> str:
    return json.dumps(body, ensure_ascii=ensure_ascii, allow_nan=False, separators=(",", ":"))


def _is_utf8(text: str) -> bool:
    """Whether no half of a character is in it, as models that stop in the middle of one send."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def dumped(record: Record) -> str:
    """As `dump`, at a tenth of its cost."""
    import orjson

    plain = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME
    try:
        return orjson.dumps(record.body, option=plain).decode()
    except TypeError as error:
        raise JournalError(f"a {record.kind!r} record is not plain JSON: {error}") from error
