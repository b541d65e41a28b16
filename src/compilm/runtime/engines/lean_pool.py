"""Connections of one event loop: the last used first, a bound on all, and an age for each."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import suppress

from ...clock import Alarm, Clock
from .lean_connection import Connection
from .lean_dial import Dialer
from .lean_parsing import Unanswered
from .lean_quiet import readable
from .lean_route import Route

__all__ = ["Pool", "dropped"]

IDLE = 60.0
"""Seconds after which a connection that nobody used is closed."""
AGE = 600.0
"""Seconds after which a connection serves no further request: names get new addresses."""
STALE = 1.0
"""Seconds of idleness after which a provider may be closing a connection as it is taken."""
_PATIENCE = 1.0  # seconds for connections to say that they are closed


class Pool:
    """At most `most` connections. What `asked` gives goes back by `back`, whatever came of it."""

    def __init__(self, route: Route, most: int, clock: Clock) -> None:
        self._clock, self._dialer = clock, Dialer(route, clock)
        self.loop, self.process = asyncio.get_running_loop(), os.getpid()
        self._room = asyncio.Semaphore(most)
        self._idle: list[Connection] = []  # the longest idle first
        self.open: set[Connection] = set()
        self._sweeping: Alarm | None = None
        self._closed = False
        self._guard = self._guarded()
        with suppress(StopIteration):
            self._guard.asend(None).send(None)

    async def _guarded(self) -> AsyncGenerator[None, None]:
        """What a loop ends, by `shutdown_asyncgens`, before it is closed: `asyncio.run` does so."""
        try:
            yield
        finally:
            waits = [each.gone for each in self.open]
            self.abort()
            if waits:
                await asyncio.wait(waits, timeout=_PATIENCE)

    async def asked(self, request: bytes, *, streamed: bool) -> Connection:
        """A connection over which `request` was sent, with its answer: see `Connection.ask`.

        A request that was lost before a byte of its answer came is sent a second time, if it went
        over a connection that had been idle for a second or more: it was closed while it idled.
        """
        await self._room.acquire()
        connection: Connection | None = None
        try:
            connection = self._taken()
            if connection is not None:
                stale = self._clock.now() - connection.idle_since >= STALE
                try:
                    await connection.ask(request, streamed=streamed)
                    return connection
                except Unanswered:
                    if not stale:
                        raise
                self._left(connection)
            connection = await self._dialled()
            await connection.ask(request, streamed=streamed)
        except BaseException:  # border: a connection in doubt is not kept; the error passes
            self.back(connection)
            raise
        return connection

    def back(self, connection: Connection | None) -> None:
        """The answer was read, or is not wanted any more."""
        self._room.release()
        if connection is None:
            return
        if connection.reusable and not self._closed:
            connection.idle_since = self._clock.now()
            self._idle.append(connection)
            if self._sweeping is None:
                self._sweeping = self._clock.alarm(IDLE, self._swept)
        else:
            self._left(connection)

    def _taken(self) -> Connection | None:
        now = self._clock.now()
        while self._idle:
            connection = self._idle.pop()
            young = now - connection.born < AGE and now - connection.idle_since < IDLE
            # The end of a connection may have come while the loop has not looked.
            if young and connection.idle and not readable(connection.socket):
                return connection
            self._left(connection)
        return None

    async def _dialled(self) -> Connection:
        connection = await self._dialer.dialled()
        connection.born = self._clock.now()
        self.open.add(connection)
        return connection

    def _left(self, connection: Connection) -> None:
        connection.abort()
        self.open.discard(connection)

    def _swept(self) -> None:
        """Close what was idle too long; look again while something is idle."""
        self._sweeping, now = None, self._clock.now()
        while self._idle and now - self._idle[0].idle_since >= IDLE:
            self._left(self._idle.pop(0))
        for lost in [each for each in self._idle if not each.idle]:
            self._idle.remove(lost)
            self._left(lost)
        if self._idle:
            due = self._idle[0].idle_since + IDLE - now
            self._sweeping = self._clock.alarm(due, self._swept)

    async def aclose(self) -> None:
        """Close all connections, also those in use, and wait until they are."""
        await self._guard.aclose()

    def abort(self) -> None:
        """Close all connections, from the thread of the loop."""
        self._closed = True
        self._dialer.close()
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        self._idle.clear()
        while self.open:
            self.open.pop().abort()


def dropped(pool: Pool) -> None:
    """Give up a pool that nobody closed: from any thread, and also when its loop is no more."""
    if pool.process == os.getpid() and not pool.loop.is_closed():
        with suppress(RuntimeError):  # closed this moment
            pool.loop.call_soon_threadsafe(pool.abort)
    # Else its loop is closed, or the parent's, whose selector is not to be touched from here.
