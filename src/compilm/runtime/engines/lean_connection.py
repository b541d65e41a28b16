"""One connection of the lean client in tasks: a request goes out, its answer comes in."""

from __future__ import annotations

import asyncio
from typing import Any

from .lean_parsing import CutShort, Parsing, Unanswered
from .wire import WireFailure

__all__ = ["Connection"]

_AHEAD = 1 << 18  # bytes of a body that may wait for their reader, before the sender must


class Connection(Parsing, asyncio.Protocol):
    """Takes one request after the other: `ask`, then `whole`, or `chunk` until it gives none.

    `loop` is the one it belongs to. `reusable` is whether another request may follow.
    """

    transport: asyncio.Transport
    socket: Any

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._loop = loop
        self._waiter: asyncio.Future[None] | None = None
        self._lost = self._paused = False
        self._failure: Exception | None = None
        self.born = self.idle_since = 0.0
        self.gone: asyncio.Future[None] = loop.create_future()

    # What a task does.

    async def ask(self, request: bytes, *, streamed: bool) -> None:
        """Send a request; back when its answer is whole, or if `streamed` when its head is there.

        `Unanswered` if nothing came before the connection was lost, `ConnectionError` if it was
        lost later, `WireFailure` for what is not HTTP or is too long.
        """
        if self._lost:
            raise Unanswered
        self._expect()
        self._failure, self._ahead, self._streamed = None, 0, streamed
        self.transport.write(request)
        while not (self._headed if streamed else self._done):
            await self._news()

    async def _news(self) -> None:
        """Wait for more of the answer; raises what befell it."""
        if self._failure is not None:
            raise self._failure
        if self._done:
            return
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
        if self._failure is not None:
            raise self._failure

    def whole(self) -> bytes:
        """The body of an answer that was not streamed."""
        taken, self._pieces = self._pieces, []
        return taken[0] if len(taken) == 1 else b"".join(taken)

    async def chunk(self) -> bytes:
        """What came of the body since the last time, at least a byte; none at its end."""
        while not self._pieces:
            if self._done and self._failure is None:
                return b""
            await self._news()
        return b"".join(self._taken())

    def _taken(self) -> list[bytes]:
        taken, self._pieces, self._ahead = self._pieces, [], 0
        if self._paused and not self._lost:
            self._paused = False
            self.transport.resume_reading()
        return taken

    @property
    def reusable(self) -> bool:
        """Whether the answer was read to its end and the connection may serve another request."""
        return (
            self._done
            and self._kept
            and not self._lost
            and not self._pieces
            and not self.transport.is_closing()
            and not self.transport.get_write_buffer_size()
        )

    @property
    def idle(self) -> bool:
        """Whether nothing has come, or been lost, since it was last used."""
        return not self._lost and not self.transport.is_closing()

    def abort(self) -> None:
        """Close, whatever is under way."""
        if not self._lost:
            self.transport.abort()

    # What the event loop tells.

    def connection_made(self, transport: Any) -> None:
        """The transport is there."""
        self.transport, self.socket = transport, transport.get_extra_info("socket")

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        if self._done:  # nothing was asked, or what was asked is answered
            self._kept = False
            self.transport.abort()
            return
        try:
            self._parse(data)
        except WireFailure as failure:
            if self._done:  # the answer is whole: what follows it is not wanted
                self.transport.abort()
            else:
                self._fail(failure)

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is closed, by either side."""
        self._lost, self._kept = True, False
        self._parser = None  # it knows this object
        if not self._done:
            if error is None and self._closes():
                self._done = True
                self._wake()
            elif not self._came:
                self._fail(Unanswered(*error.args) if error is not None else Unanswered())
            else:
                self._fail(error if isinstance(error, OSError) else CutShort())
        if not self.gone.done():
            self.gone.set_result(None)

    def _fail(self, failure: Exception) -> None:
        self._failure, self._done, self._kept = failure, True, False
        self._wake()
        if not self._lost:
            self.transport.abort()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    # What the parser tells.

    def on_headers_complete(self) -> None:
        """The head is whole."""
        super().on_headers_complete()
        if self._headed and self._streamed:
            self._wake()

    def on_body(self, data: bytes) -> None:
        """A piece of the body came."""
        super().on_body(data)
        if self._streamed:
            self._ahead += len(data)
            if self._ahead > _AHEAD and not self._paused:
                self._paused = True
                self.transport.pause_reading()
            self._wake()

    def on_message_complete(self) -> None:
        """The answer is whole."""
        super().on_message_complete()
        if self._done:
            self._wake()
