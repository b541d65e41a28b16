"""The writer: takes traces that are over and puts them into a journal, in a thread of its own.

A call never waits for it. Where it does not keep up, traces are dropped and counted; where the
journal cannot be written, they are counted and the log says so once.
"""

from __future__ import annotations

import logging
import os
import threading
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TypeAlias

from ...journal import Journal, Record, SqliteJournal
from ...policies.buckets import Bucket
from .body import body_of
from .live import LiveTrace
from .span import KIND

__all__ = ["Counts", "Writer"]

_log = logging.getLogger(__name__)
_GATHER = 1.0  # seconds for which traces may come together: a transaction costs as much as 40 rows
_PATIENCE = 5.0  # seconds that ending waits for a journal that does not answer
_BATCH = 256
_SAVED_UP = 10.0  # seconds' worth of the rate
_Item: TypeAlias = "LiveTrace | threading.Event"


@dataclass(slots=True)
class Counts:
    """What became of the traces: `written`, `dropped` for want of room, `failed` to be written.

    `skipped` calls came faster than they are recorded.
    """

    written: int = 0
    dropped: int = 0
    failed: int = 0
    skipped: int = 0


class Writer:
    """Writes to `journal`, which keeps the last `most` traces; `waiting` more may wait in memory.

    `rate` traces a second may begin, in each process, and ten seconds' worth at once.

    >>> from compilm.journal import MemoryJournal
    >>> Writer(MemoryJournal(), most=10, waiting=10).flush()
    True
    """

    def __init__(
        self, journal: Journal, most: int, waiting: int, rate: float | None = None
    ) -> None:
        self._journal, self._most, self._waiting = journal, most, waiting
        self._bucket = None if rate is None else Bucket(rate, max(1.0, rate * _SAVED_UP))
        self.counts = Counts()
        self._is_told = False
        self._since = most  # written since the oldest were forgotten: at first unknown
        self._begin()

    def _begin(self) -> None:
        """Have a queue of this process."""
        self._process = os.getpid()
        self._queue: SimpleQueue[_Item] = SimpleQueue()
        self._hurry = threading.Event()
        self._lock = threading.Lock()  # protects _thread, _bucket, counts.dropped and .skipped
        self._thread: threading.Thread | None = None

    def _look(self) -> None:
        """In a process that was forked: what waits is the parent's to write, by its connection."""
        if self._process == os.getpid():
            return
        if isinstance(self._journal, SqliteJournal):
            # The parent's is kept: closing it here is what SQLite must not see across a fork.
            self._parents, self._journal = self._journal, SqliteJournal(self._journal.path)
        self._begin()

    def admits(self, now: float) -> bool:
        """Whether one more trace may begin now, by the rate at which they may."""
        if self._bucket is None:
            return True
        self._look()
        with self._lock:
            if self._bucket.wait(1.0, now) > 0:
                self.counts.skipped += 1
                return False
            self._bucket.take(1.0, now)
            return True

    def put(self, trace: LiveTrace) -> None:
        """Have a trace written that is over; never waits."""
        self._look()
        held = self._queue.qsize()
        if held >= self._waiting:
            trace.release()
            with self._lock:
                self.counts.dropped += 1
            return
        self._queue.put(trace)
        if self._thread is None or not self._thread.is_alive():
            try:
                self._start()
            except RuntimeError as error:  # no thread to be had: the next call tries again
                self._failed(error, 0)
        if held * 2 >= self._waiting:
            self._hurry.set()

    def flush(self, seconds: float = _PATIENCE) -> bool:
        """Have everything written that was put until now; whether it was in so many seconds."""
        self._look()
        if self._thread is None:
            return True
        done = threading.Event()
        self._queue.put(done)
        try:
            self._start()
        except RuntimeError:  # no thread to be had
            return False
        self._hurry.set()
        return done.wait(seconds)

    def finish(self) -> None:
        """Write what there is and close the journal; one that hangs is left behind."""
        if self.flush(_PATIENCE):
            self._journal.close()
        else:
            _log.warning("the journal of traces does not answer: the last ones are lost")

    def _start(self) -> None:
        """Have a thread: at the first trace, and where there was none to be had."""
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(
                    target=self._work, name="compilm-traces", daemon=True
                )
                self._thread.start()

    def _work(self) -> None:
        while True:
            items = [self._queue.get()]
            if self._queue.qsize() < _BATCH:
                self._hurry.wait(_GATHER)
            while len(items) < _BATCH:
                try:
                    items.append(self._queue.get_nowait())
                except Empty:
                    self._hurry.clear()
                    break
            self._keep([each for each in items if isinstance(each, LiveTrace)])
            for each in items:
                if isinstance(each, threading.Event):
                    each.set()

    def _keep(self, traces: list[LiveTrace]) -> None:
        """Write a batch in one transaction, and let the oldest go from time to time."""
        records = [record for trace in traces if (record := self._record(trace)) is not None]
        if not records:
            return
        try:
            self._write(records)
            self._since += len(records)
            if self._since * 10 >= self._most:
                self._journal.forget(KIND, keep=self._most)
                self._since = 0
        except Exception as error:  # border: a trace that is not kept fails nobody
            self._failed(error, len(records))

    def _write(self, records: list[Record]) -> None:
        try:
            self._journal.extend(records)
        except Exception as error:  # border: told apart here, and passed on
            own = isinstance(error.__cause__, (TypeError, ValueError))
            if not own or len(records) == 1:
                raise
            # One of them cannot be written as text: it takes no other with it.
            for record in records:
                self._keep_one(record)
            return
        self.counts.written += len(records)

    def _keep_one(self, record: Record) -> None:
        try:
            self._write([record])
        except Exception as error:  # border: as above
            self._failed(error, 1)

    def _record(self, trace: LiveTrace) -> Record | None:
        try:
            return Record(KIND, trace.at, trace.id, body_of(trace))
        except Exception as error:  # border: values of a program may be anything
            self._failed(error, 1)
            return None
        finally:
            trace.release()

    def _failed(self, error: Exception, count: int) -> None:
        if not self._is_told:
            self._is_told = True
            told = "traces cannot be written (%s) and are lost; this is said once"
            _log.warning(told, type(error).__name__)
        self.counts.failed += count
