"""A lean HTTP client for one address: pooled keep-alive connections, one POST each, no retries.

In threads it is `http.client` of the standard library under a pool; in tasks it is aiohttp. Why
these two, with figures: design/dependencies.md.
"""

from __future__ import annotations

import http.client
import io
import select
import socket
import threading
from base64 import b64encode
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from ...clock import Clock
from .loops import PerLoop
from .trust import tls
from .wire import WireFailure

__all__ = ["AsyncHttp", "Exchange", "SyncHttp"]


class _Route:
    """How to reach an address: directly, or by the proxy that the environment names."""

    def __init__(self, base_url: str) -> None:
        from urllib.request import getproxies, proxy_bypass

        self.to = urlsplit(base_url)
        found = getproxies().get(self.to.scheme)
        bypassed = proxy_bypass(self.to.hostname or "")
        self.proxy: SplitResult | None = urlsplit(found) if found and not bypassed else None
        self.tls = tls() if self.to.scheme == "https" else None

    @property
    def port(self) -> int:
        return self.to.port or (443 if self.tls else 80)

    def path(self, path: str) -> str:
        return self.to.path.rstrip("/") + path

    def connection(self, timeout: float) -> http.client.HTTPConnection:
        host, port = (self.to.hostname or "", self.port)
        if self.proxy is not None:
            host, port = self.proxy.hostname or "", self.proxy.port or 80
        if self.tls is None:
            return http.client.HTTPConnection(host, port, timeout=timeout)
        made = http.client.HTTPSConnection(host, port, timeout=timeout, context=self.tls)
        if self.proxy is not None:
            made.set_tunnel(self.to.hostname or "", self.port, self._proxy_headers())
        return made

    def _proxy_headers(self) -> dict[str, str]:
        if self.proxy is None or self.proxy.username is None:
            return {}
        user = f"{unquote(self.proxy.username)}:{unquote(self.proxy.password or '')}"
        return {"proxy-authorization": "Basic " + b64encode(user.encode()).decode()}

    def target(self, path: str) -> tuple[str, dict[str, str]]:
        """What stands in the request line, and the headers a plain proxy needs."""
        if self.proxy is not None and self.tls is None:
            whole = f"{self.to.scheme}://{self.to.netloc}{self.path(path)}"
            return whole, {"host": self.to.netloc, **self._proxy_headers()}
        return self.path(path), {}


class _Reads(io.RawIOBase):
    """A socket's bytes, each read bounded by one common end: dripping cannot outlast it."""

    def __init__(self, sock: socket.socket, clock: Clock, end: float) -> None:
        self._sock, self._clock, self.end = sock, clock, end
        self._raw = sock.makefile("rb", buffering=0)  # keeps the socket open for the body

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self.end - self._clock.now()
        if left <= 0:
            raise TimeoutError
        self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Bounded:
    """What `http.client` takes for a socket when it reads a response."""

    def __init__(self, reads: _Reads) -> None:
        self._reads = reads

    def makefile(self, mode: str) -> io.BufferedReader:
        assert mode == "rb"
        return io.BufferedReader(self._reads, 1 << 16)


class Exchange:
    """One answer as it comes in: `status`, lower-case `headers`, and the body."""

    def __init__(self, response: http.client.HTTPResponse, reads: _Reads) -> None:
        self._response, self._reads = response, reads
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}

    def read(self) -> bytes:
        """The whole body."""
        return self._response.read()

    def chunks(self) -> Iterator[bytes]:
        """The body as it arrives; `OSError` if it ends before its declared length."""
        while chunk := self._response.read1(1 << 16):
            yield chunk
        if self._response.length:
            raise ConnectionError("the body is shorter than declared")

    def extend(self, end: float) -> None:
        """From here on, reads are bounded by this second of the clock."""
        self._reads.end = end


class SyncHttp:
    """Connections for threads: at most `most`, the last used first."""

    def __init__(self, base_url: str, most: int, clock: Clock) -> None:
        self._route, self._clock = _Route(base_url), clock
        self._room = threading.BoundedSemaphore(most)
        self._idle: list[http.client.HTTPConnection] = []  # append and pop are atomic

    @contextmanager
    def post(
        self, path: str, headers: dict[str, str], body: bytes, end: float
    ) -> Iterator[Exchange]:
        """Send, and give what comes; the connection is kept if the body was read whole."""
        if not self._room.acquire(timeout=max(0.0, end - self._clock.now())):
            raise WireFailure("timeout", "every connection was in use")
        connection: http.client.HTTPConnection | None = None
        whole = False
        try:
            connection = self._connected(end)
            exchange, response = self._sent(connection, path, headers, body, end)
            yield exchange
            whole = response.isclosed() and not response.will_close
        except TimeoutError:
            raise WireFailure("timeout") from None
        except (http.client.HTTPException, OSError) as error:
            raise WireFailure("transport", type(error).__name__) from None
        finally:
            if connection is not None:
                if whole:
                    self._idle.append(connection)
                else:
                    connection.close()
            self._room.release()

    def _connected(self, end: float) -> http.client.HTTPConnection:
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                break
            if connection.sock is not None and not _readable(connection.sock):
                return connection
            connection.close()  # the other side closed it while it was idle
        left = end - self._clock.now()
        if left <= 0:
            raise TimeoutError
        connection = self._route.connection(left)
        connection.connect()
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return connection

    def _sent(
        self,
        connection: http.client.HTTPConnection,
        path: str,
        headers: dict[str, str],
        body: bytes,
        end: float,
    ) -> tuple[Exchange, http.client.HTTPResponse]:
        left = end - self._clock.now()
        if left <= 0:
            raise TimeoutError
        connection.sock.settimeout(left)
        reads = _Reads(connection.sock, self._clock, end)

        def answered(_: Any, *args: Any, **named: Any) -> http.client.HTTPResponse:
            return http.client.HTTPResponse(_Bounded(reads), *args, **named)  # type: ignore[arg-type]

        connection.response_class = answered  # type: ignore[assignment]
        target, extra = self._route.target(path)
        connection.request("POST", target, body, {**headers, **extra})
        response = connection.getresponse()
        return Exchange(response, reads), response

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle.pop().close()

    __del__ = close


def _readable(sock: socket.socket) -> bool:
    """Whether bytes, or the end, have come on a connection where nothing should."""
    if not hasattr(select, "poll"):  # Windows
        return bool(select.select([sock], [], [], 0)[0])
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))


def _dropped(session: Any) -> None:
    """Give up a session whose loop is gone, without the complaint aiohttp would print."""
    connector = session.connector
    session.detach()
    if connector is not None:
        # Its first step marks it as closed; the rest would wait, in a loop that is no more.
        steps = connector.close().__await__()
        with suppress(RuntimeError, StopIteration):
            next(steps)


class AsyncHttp:
    """Connections for tasks, at most `most` in each event loop."""

    def __init__(self, base_url: str, most: int) -> None:
        self._route, self._most = _Route(base_url), most
        self._base = base_url.rstrip("/")
        self._urls: dict[str, Any] = {}
        self._sessions: PerLoop[Any] = PerLoop(self._session, _dropped)

    def _session(self) -> Any:
        import aiohttp

        connector = aiohttp.TCPConnector(
            limit=self._most, ssl=self._route.tls or False, keepalive_timeout=60.0
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
            skip_auto_headers=("user-agent", "accept-encoding"),
        )

    def open(self) -> None:
        """Make the session of the running loop, if there is none yet."""
        self._sessions.here()

    def _url(self, path: str) -> Any:
        from yarl import URL

        found = self._urls.get(path)
        if found is None:
            found = self._urls[path] = URL(self._base + path)
        return found

    @asynccontextmanager
    async def post(
        self, path: str, headers: dict[str, str], body: bytes
    ) -> AsyncGenerator[Any, None]:
        """Send, and give aiohttp's response; it is closed unless its body was read whole."""
        import aiohttp

        proxy = self._route.proxy.geturl() if self._route.proxy is not None else None
        response = None
        try:
            response = await self._sessions.here().post(
                self._url(path), data=body, headers=headers, allow_redirects=False, proxy=proxy
            )
            yield response
        except (aiohttp.ClientError, ConnectionError) as error:
            raise WireFailure("transport", type(error).__name__) from None
        finally:
            if response is not None and not response.content.at_eof():
                response.close()

    async def aclose(self) -> None:
        """Close the connections of the running loop."""
        session = self._sessions.leave()
        if session is not None:
            await session.close()
