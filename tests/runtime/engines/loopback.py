"""A server of raw bytes on loopback, in the loop of the test: what it says is up to the test."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from compilm.clock import SYSTEM_CLOCK, Clock
from compilm.runtime.engines.lean_tasks import AsyncHttp

__all__ = [
    "NAMED",
    "OK",
    "Loopback",
    "Talk",
    "asked",
    "client",
    "in_turn",
    "passing",
    "settled",
    "with_length",
]

Talk = Callable[["Loopback", asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
NAMED = "localhost"  # whom the certificate is for
PATIENCE = 10.0  # seconds; nothing here takes so long


def with_length(body: bytes, extra: bytes = b"", status: bytes = b"200 OK") -> bytes:
    """An answer whose length is declared."""
    return b"HTTP/1.1 %b\r\n%bcontent-length: %d\r\n\r\n%b" % (status, extra, len(body), body)


OK = with_length(b"yes")


async def asked(reader: asyncio.StreamReader) -> bytes:
    """One request, head and body; `IncompleteReadError` at the end of the connection."""
    head = await reader.readuntil(b"\r\n\r\n")
    size = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0] or 0)
    return head + await reader.readexactly(size)


async def settled(turns: int = 50) -> None:
    """Let the loop do what is due."""
    for _ in range(turns):
        await asyncio.sleep(0)


def in_turn(*answers: Sequence[bytes] | bytes, close_after: int | None = None) -> Talk:
    """Talks: the n-th request of the server gets the n-th answer (the last repeats).

    An answer in pieces is sent in so many packets. With `close_after` a connection is closed after
    so many answers, without a word about it before.
    """

    async def talk(
        server: Loopback, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        answered = 0
        while answered != close_after:
            place = len(server.requests)
            server.requests.append(await asked(reader))
            answer = answers[min(place, len(answers) - 1)]
            for piece in [answer] if isinstance(answer, bytes) else answer:
                writer.write(piece)
                await writer.drain()
                await settled(4)
            answered += 1

    return talk


class Loopback:
    """`async with Loopback(talk) as server:` serves `talk` for each connection at `url`.

    `requests` are those that `talk` noted, `connections` how many were opened, `ended` how many of
    them the client has closed.
    """

    def __init__(self, talk: Talk, *, context: ssl.SSLContext | None = None) -> None:
        self._talk, self._context = talk, context
        self.requests: list[bytes] = []
        self.connections = 0
        self.ended = asyncio.Semaphore(0)
        self._talks: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Loopback:
        self._server = await asyncio.start_server(
            self._met, "127.0.0.1", 0, ssl=self._context, limit=1 << 22
        )
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"{'http' if self._context is None else 'https'}://127.0.0.1:{self.port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for talk in self._talks:
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)
        await settled()

    async def _met(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._talks.add(task)
        try:
            await self._talk(self, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            self.ended.release()
        except asyncio.CancelledError:
            pass  # the test is over
        finally:
            self._talks.discard(task)
            writer.close()

    async def left(self) -> None:
        """Wait until the client has closed a connection."""
        async with asyncio.timeout(PATIENCE):
            await self.ended.acquire()


class client:
    """The client for an address, closed at the end of the block."""

    def __init__(self, url: str, most: int = 8, clock: Clock = SYSTEM_CLOCK) -> None:
        self._http = AsyncHttp(url, most, clock)

    async def __aenter__(self) -> AsyncHttp:
        return self._http

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()


def passing(port: int, heads: list[bytes], answer: bytes = b"200 Connection established") -> Any:
    """A proxy: it notes what it is asked, and passes bytes on to this port."""

    async def passed(reader: Any, writer: Any) -> None:
        while data := await reader.read(1 << 16):
            writer.write(data)
        writer.close()

    async def talk(server: Loopback, reader: Any, writer: Any) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        heads.append(head)
        tunnel = head.startswith(b"CONNECT")
        if tunnel:
            writer.write(b"HTTP/1.1 " + answer + b"\r\nvia: x\r\n\r\n")
        there, onward = await asyncio.open_connection("127.0.0.1", port)
        try:
            if not tunnel:
                onward.write(head)
            await asyncio.gather(passed(reader, onward), passed(there, writer))
        finally:
            onward.close()

    return talk
