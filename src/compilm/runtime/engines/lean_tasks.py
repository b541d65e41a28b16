"""The lean client's half for tasks: pooled connections to one address in each event loop."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from ...clock import Clock
from .lean_connection import Connection
from .lean_parsing import Fields, named
from .lean_pool import Pool, dropped
from .lean_route import Route
from .loops import PerLoop
from .wire import WireFailure

__all__ = ["Answer", "AsyncExchange", "AsyncHttp"]


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer."""

    status: int
    fields: Fields
    data: bytes

    @property
    def headers(self) -> dict[str, str]:
        """By name, in lower case."""
        return named(self.fields)


class AsyncExchange:
    """An answer as it comes in: `status`, lower-case `headers`, and the body."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.status, self.headers = connection.status, named(connection.fields)

    async def read(self) -> bytes:
        """The rest of the body."""
        return b"".join([chunk async for chunk in self.chunks()])

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The body as it arrives; `OSError` if it ends before its declared length."""
        while chunk := await self._connection.chunk():
            yield chunk


class AsyncHttp:
    """Connections for tasks, at most `most` in each event loop."""

    def __init__(self, base_url: str, most: int, clock: Clock) -> None:
        self._route = Route(base_url)
        self._pools: PerLoop[Pool] = PerLoop(partial(Pool, self._route, most, clock), dropped)

    def open(self) -> None:
        """Make the pool of the running loop, if there is none yet."""
        self._pools.here()

    def head(self, path: str, headers: Mapping[str, str]) -> bytes:
        """What all requests to a path have in common."""
        return self._route.head(path, headers)

    async def post(self, head: bytes, body: bytes) -> Answer:
        """Send, and give the whole answer."""
        pool = self._pools.here()
        try:
            connection = await pool.asked(_request(head, body), streamed=False)
        except OSError as error:
            raise WireFailure("transport", type(error).__name__) from None
        answer = Answer(connection.status, connection.fields, connection.whole())
        pool.back(connection)
        return answer

    @asynccontextmanager
    async def streamed(self, head: bytes, body: bytes) -> AsyncGenerator[AsyncExchange, None]:
        """Send, and give what comes; the connection is kept if the body was read whole."""
        pool = self._pools.here()
        try:
            connection = await pool.asked(_request(head, body), streamed=True)
            try:
                yield AsyncExchange(connection)
            finally:
                pool.back(connection)
        except OSError as error:
            raise WireFailure("transport", type(error).__name__) from None

    async def aclose(self) -> None:
        """Close the connections of the running loop."""
        pool = self._pools.leave()
        if pool is not None:
            await pool.aclose()


def _request(head: bytes, body: bytes) -> bytes:
    return b"%b%d\r\n\r\n%b" % (head, len(body), body)
