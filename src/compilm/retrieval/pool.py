"""Connections to Postgres that threads share: few, bounded, and none that was left broken."""

from __future__ import annotations

import os
import queue
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from ..errors import LimitReached, MissingExtra, UsageError

__all__ = ["Pool", "psycopg_of"]


def psycopg_of(purpose: str) -> Any:
    """The library, or `MissingExtra`."""
    try:
        import psycopg
    except ImportError as error:
        raise MissingExtra("psycopg", extra="postgres", purpose=purpose) from error
    return psycopg


class Pool:
    """At most `size` connections to the database at `url`, opened when they are needed.

    Opening one, waiting for one and each statement take `patience` seconds at most. A connection
    is tried before it is given again: a server that was restarted costs nobody a failure. Safe
    under threads and forks.
    """

    def __init__(self, url: str, *, size: int, patience: float) -> None:
        if size < 1 or not patience > 0:
            raise UsageError(
                f"{size} connections and waits of {patience:g} s reach nothing: give more of each"
            )
        self._psycopg = psycopg_of("search passages in Postgres")
        self._url, self._size, self._patience = url, size, patience
        self._pid, self._slots = os.getpid(), self._empty()

    def _empty(self) -> queue.LifoQueue[Any]:
        slots: queue.LifoQueue[Any] = queue.LifoQueue()
        for _ in range(self._size):
            slots.put(None)
        return slots

    @contextmanager
    def connection(self) -> Iterator[Any]:
        """A connection in a transaction: committed at the end, rolled back after an error."""
        if self._pid != os.getpid():  # a fork: the parent's connections are the parent's
            self._pid, self._slots = os.getpid(), self._empty()
        try:
            kept = self._slots.get(timeout=self._patience)
        except queue.Empty:
            raise LimitReached(
                f"all {self._size} connections were in use for {self._patience:g} s: ask for more "
                "connections, or ask less at once",
                retry_after=self._patience,
            ) from None
        try:
            if kept is None or not self._is_well(kept):
                kept = self._opened()
            with kept.transaction():
                yield kept
        finally:
            self._slots.put(None if kept is None or kept.closed else kept)

    def close(self) -> None:
        """Close the connections that are idle; the next one asked for is a new one."""
        idle = []
        with suppress(queue.Empty):
            while True:
                idle.append(self._slots.get_nowait())
        for kept in idle:
            if kept is not None:
                kept.close()
            self._slots.put(None)

    def __del__(self) -> None:
        if hasattr(self, "_pid") and self._pid == os.getpid():
            self.close()

    def _opened(self) -> Any:
        return self._psycopg.connect(
            self._url,
            autocommit=True,  # transactions are begun by name, so that an idle one holds nothing
            connect_timeout=max(1, round(self._patience)),
            options=f"-c statement_timeout={int(self._patience * 1000)}",
        )

    def _is_well(self, kept: Any) -> bool:
        try:
            kept.execute("")
        except self._psycopg.OperationalError:
            kept.close()
            return False
        return True
