"""One connection of the lean client in tasks: a request goes out, its answer is parsed as it comes.

The parsing is llhttp's, by httptools. What is here is whose answer it is, how much of it may come,
and when it is whole.
"""

from __future__ import annotations

import asyncio
from typing import Any

from .wire import WireFailure

__all__ = ["HEAD", "WHOLE", "Connection", "CutShort", "Unanswered"]

HEAD = 1 << 16
"""Bytes of a head, at most."""
WHOLE = 1 << 26
"""Bytes of a body, at most."""
_AHEAD = 1 << 18  # bytes of a body that may wait for their reader, before the sender must


class Unanswered(ConnectionError):
    """The connection was lost before a byte of the answer came."""


class CutShort(ConnectionError):
    """The connection was closed in the middle of an answer."""


class Connection(asyncio.Protocol):
    """Takes one request after the other: `ask`, then `whole`, or `chunk` until it gives none.

    `loop` is the one it belongs to. `reusable` is whether another request may follow, `fields` are
    the raw headers of the last answer, `status` its status.
    """

    transport: asyncio.Transport
    socket: Any
    fields: list[tuple[bytes, bytes]]
    _pieces: list[bytes]

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        from httptools import HttpResponseParser

        self._loop = loop
        self._parser: Any = HttpResponseParser(self)
        self._waiter: asyncio.Future[None] | None = None
        self._asked = self._done = self._lost = self._kept = self._paused = False
        self._failure: Exception | None = None
        self.status, self.fields, self._pieces = 0, [], []
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
        self._asked, self._done, self._kept = True, False, False
        self._failure = None
        self.status, self.fields, self._pieces = 0, [], []
        self._came = self._size = self._ahead = 0
        self._headed, self._streamed = False, streamed
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
        if not self._asked:  # nothing was asked, or what was asked is answered
            self._kept = False
            self.transport.abort()
            return
        self._came += len(data)
        try:
            self._parser.feed_data(data)
        except Exception as error:  # border: httptools raises classes of its own
            self._unparsed(error)
        else:
            if not self._headed and self._came > HEAD:
                self._fail(WireFailure("malformed", "its head is too long"))

    def _unparsed(self, error: Exception) -> None:
        self._kept = False
        if self._asked:
            known = error.__context__
            bad = WireFailure("malformed", f"it is not HTTP ({type(error).__name__})")
            self._fail(known if isinstance(known, WireFailure) else bad)
        else:  # the answer is whole: what follows it is not wanted
            self.transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is closed, by either side."""
        self._lost, self._kept = True, False
        self._parser = None  # it knows this object
        if self._asked:
            if error is None and self._headed and not self._framed():
                self._end()
            elif not self._came:
                self._fail(Unanswered(*error.args) if error is not None else Unanswered())
            else:
                self._fail(error if isinstance(error, OSError) else CutShort())
        if not self.gone.done():
            self.gone.set_result(None)

    def _framed(self) -> bool:
        """Whether the head says where the body ends; else it does with the connection."""
        for name, value in self.fields:
            name = name.lower()
            if name == b"content-length":
                return True
            if name == b"transfer-encoding" and value.lower().rstrip().endswith(b"chunked"):
                return True
        return False

    def _fail(self, failure: Exception) -> None:
        self._failure, self._asked, self._done = failure, False, True
        self._kept = False
        self._wake()
        if not self._lost:
            self.transport.abort()

    def _end(self) -> None:
        self._asked, self._done = False, True
        self._wake()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    # What the parser tells.

    def on_message_begin(self) -> None:
        """An answer begins."""
        if not self._asked:
            raise WireFailure("malformed", "there is an answer too much")

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header came."""
        self.fields.append((name, value))

    def on_headers_complete(self) -> None:
        """The head is whole."""
        status = self._parser.get_status_code()
        if status < 200:  # it says that the answer is still to come
            self.fields = []
            return
        self.status, self._headed = status, True
        if self._streamed:
            self._wake()

    def on_body(self, data: bytes) -> None:
        """A piece of the body came."""
        self._size += len(data)
        if self._size > WHOLE:
            raise WireFailure("malformed", "its body is too long")
        self._pieces.append(data)
        if self._streamed:
            self._ahead += len(data)
            if self._ahead > _AHEAD and not self._paused:
                self._paused = True
                self.transport.pause_reading()
            self._wake()

    def on_message_complete(self) -> None:
        """The answer is whole."""
        if self._headed:
            self._kept = self._parser.should_keep_alive()
            self._end()
