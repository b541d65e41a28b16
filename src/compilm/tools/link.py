"""One living session with an MCP server, held by the one task that may open and close it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.util import find_spec
from typing import Any

from ..errors import ConfigError, MissingExtra
from .failures import Unreachable
from .place import Place

__all__ = ["Link", "require_mcp"]

_MOST_BYTES = 32 * 1024 * 1024  # of one event over HTTP; the SDK's own bound is 1 MB
_READ = 300.0  # seconds between two events of a stream; the bound of a call is shorter


def require_mcp() -> None:
    """Raise `MissingExtra` where the SDK is not installed."""
    if find_spec("mcp") is None:
        raise MissingExtra("mcp", extra="mcp", purpose="call the tools of MCP servers")


class Link:
    """A session that is being opened, is open, or is over; all of it on one event loop.

    `changed` is called when the server says that its tools have changed.
    """

    mode = "auto"  # of the SDK: what the server speaks, from 2024's protocol to 2026's

    def __init__(self, place: Place, changed: Callable[[], object]) -> None:
        self._place, self._changed = place, changed
        self._stop = asyncio.Event()
        self._busy = 0
        self.is_over = False
        self.client: Any = None
        loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[None] = loop.create_future()
        self._ready.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._task = loop.create_task(self._keep())

    async def __aenter__(self) -> Any:
        """The SDK's client, once it is connected. A call holds the link while it lasts."""
        self._busy += 1
        try:
            await asyncio.shield(self._ready)
        except BaseException:  # border: the link is not held by a call that ends; it passes
            self._let_go()
            raise
        return self.client

    async def __aexit__(self, *_: object) -> None:
        self._let_go()

    def _let_go(self) -> None:
        self._busy -= 1
        if self.is_over and not self._busy:
            self._stop.set()

    def retire(self) -> None:
        """No new call may use it; it closes when the last one has left."""
        self.is_over = True
        if not self._busy:
            self._stop.set()

    async def close(self) -> None:
        """Close it now; calls that are under way fail."""
        self.is_over = True
        self._stop.set()
        await asyncio.wait((self._task,))

    async def _keep(self) -> None:
        try:
            async with AsyncExitStack() as stack:
                async with asyncio.timeout(self._place.connect):
                    self.client = await stack.enter_async_context(self._client())
                listener = asyncio.create_task(self._listen())
                stack.callback(listener.cancel)
                self._ready.set_result(None)
                await self._stop.wait()
        except Exception as error:  # border: whoever waits for the link is told
            self._fail(error)
        finally:
            self.is_over = True
            if not self._ready.done():
                self._ready.cancel()

    def _fail(self, error: Exception) -> None:
        if self._ready.done():
            return
        cause: BaseException = error
        while isinstance(cause, BaseExceptionGroup):
            cause = cause.exceptions[0]
        if isinstance(cause, ConfigError):
            self._ready.set_exception(cause)
            return
        named, why = self._place, f"{type(cause).__name__}: {cause}".rstrip(": ")
        if isinstance(cause, TimeoutError):
            why = f"it did not greet within {named.connect:g} s"
        told = f"the MCP server {named.name!r} cannot be reached: {why}"
        if named.command and named.log is None:
            told += "; with log= (a file) you see what it says"
        self._ready.set_exception(Unreachable(told))

    def _client(self) -> Any:
        from mcp import Client
        from mcp_types import Implementation

        return Client(
            _Transport(self._streams(), self._ended),
            message_handler=self._heard,
            client_info=Implementation(name="compilm", version="0"),
            cache=None,
            mode=self.mode,
        )

    def _ended(self) -> None:
        """The server's side of the connection closed."""
        self.is_over = True
        self._stop.set()

    @asynccontextmanager
    async def _streams(self) -> AsyncIterator[Any]:
        if self._place.url is None:
            async with self._started() as streams:
                yield streams
        else:
            async with self._asked(self._place.url) as streams:
                yield streams

    @asynccontextmanager
    async def _started(self) -> AsyncIterator[Any]:
        from mcp import StdioServerParameters
        from mcp.client.stdio import stdio_client

        command, *args = self._place.command
        given = StdioServerParameters(
            command=command, args=args, env=self._place.variables(), cwd=self._place.cwd
        )
        with open(self._place.log or os.devnull, "a", encoding="utf-8") as log:
            async with stdio_client(given, errlog=log) as streams:
                yield streams

    @asynccontextmanager
    async def _asked(self, url: str) -> AsyncIterator[Any]:
        import httpx2
        from mcp.client.streamable_http import streamable_http_client

        timeout = httpx2.Timeout(self._place.connect, read=_READ)
        async with (
            httpx2.AsyncClient(headers=self._place.headers(), timeout=timeout) as http,
            streamable_http_client(
                url, http_client=http, max_sse_event_size=_MOST_BYTES
            ) as streams,
        ):
            yield streams

    async def _heard(self, message: Any) -> None:
        """A notification, as servers before 2026 send them."""
        if getattr(message, "method", "") == "notifications/tools/list_changed":
            self._changed()

    async def _listen(self) -> None:
        """Servers of 2026 tell of changes only those who listen."""
        from mcp.client.subscriptions import ListenNotSupportedError, SubscriptionLost
        from mcp.shared.exceptions import MCPError

        offered = self.client.server_capabilities.tools
        if offered is None or not offered.list_changed:
            return
        try:
            async with self.client.listen(tools_list_changed=True) as changes:
                async for _ in changes:
                    self._changed()
        except ListenNotSupportedError:
            return
        except (SubscriptionLost, MCPError, TimeoutError):
            self._changed()  # what was missed is not known
            self.retire()


class _Transport:
    """A transport of the SDK that tells when the other side has closed."""

    def __init__(self, streams: Any, ended: Callable[[], object]) -> None:
        self._streams, self._ended = streams, ended

    async def __aenter__(self) -> tuple[Any, Any]:
        read, write = await self._streams.__aenter__()
        return _Read(read, self._ended), write

    async def __aexit__(self, *what: Any) -> Any:
        return await self._streams.__aexit__(*what)


class _Read:
    """The stream of what the server says, which tells when it is at its end."""

    def __init__(self, inner: Any, ended: Callable[[], object]) -> None:
        self._inner, self._ended = inner, ended

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def __aiter__(self) -> _Read:
        return self

    async def __anext__(self) -> Any:
        try:
            return await self._inner.__anext__()
        except StopAsyncIteration:
            self._ended()
            raise

    async def __aenter__(self) -> _Read:
        await self._inner.__aenter__()
        return self

    async def __aexit__(self, *what: Any) -> Any:
        return await self._inner.__aexit__(*what)
