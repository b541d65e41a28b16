"""New connections of the lean client in tasks: names, addresses, a proxy's tunnel, TLS."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from contextlib import suppress
from itertools import chain, zip_longest
from typing import Any

from ...clock import Clock
from .lean_connection import Connection
from .lean_route import Route, granted
from .trust import tls

__all__ = ["Dialer", "first_of", "spread"]

_KNOWN = 10.0  # seconds for which the addresses of a name are not asked for again
_STAGGER = 0.25  # seconds until the next address is tried beside one that does not answer
Address = tuple[int, Any]


class Dialer:
    """Opens connections along a route, in one event loop. Errors are `OSError`."""

    def __init__(self, route: Route, clock: Clock) -> None:
        self._route, self._clock = route, clock
        self._loop = asyncio.get_running_loop()
        self._asked: asyncio.Task[list[Address]] | None = None
        self._until, self._turn = 0.0, 0

    async def dialled(self) -> Connection:
        """A connection over which requests can be sent."""
        route, proxy = self._route, self._route.proxy
        host, port = route.first
        plain = await first_of(spread(await self._addresses(host, port), self._turn))
        self._turn += 1
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        first = route.tls if proxy is None else tls() if proxy.scheme == "https" else None
        named: dict[str, Any] = {"ssl": first, "server_hostname": host} if first else {}
        if proxy is not None and route.tls is not None:
            return await self._tunnelled(plain, route.tls, named)
        loop = self._loop
        _, made = await loop.create_connection(lambda: Connection(loop), sock=plain, **named)
        return made

    async def _tunnelled(
        self, plain: socket.socket, context: ssl.SSLContext, named: dict[str, Any]
    ) -> Connection:
        """TLS to the address, inside what the proxy passes on."""
        transport, asked = await self._loop.create_connection(
            lambda: _Asked(self._loop), sock=plain, **named
        )
        try:
            transport.write(self._route.tunnel())
            await asked.granted
            made = Connection(self._loop)
            inner = await self._loop.start_tls(
                transport, made, context, server_hostname=self._route.to.hostname
            )
        except BaseException:  # border: nobody else would close it; it passes
            transport.abort()
            raise
        if inner is None:
            raise ConnectionError("the connection was lost before TLS began")
        made.connection_made(inner)
        return made

    async def _addresses(self, host: str, port: int) -> list[Address]:
        """Where a name is; asked for once, however many connections are opened."""
        with suppress(ValueError):
            family = socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET
            return [(family, (host, port))]
        if self._asked is None or self._clock.now() >= self._until:
            self._asked = asyncio.ensure_future(self._resolved(host, port))
            self._asked.add_done_callback(_seen)
            self._until = self._clock.now() + _KNOWN
        asked = self._asked
        try:
            return await asyncio.shield(asked)
        except OSError:
            if self._asked is asked:
                self._asked = None
            raise

    async def _resolved(self, host: str, port: int) -> list[Address]:
        try:
            found = await self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except UnicodeError:
            raise OSError("it is no name of a host") from None
        return [(family, address) for family, _, _, _, address in found]

    def close(self) -> None:
        """Ask no more."""
        if self._asked is not None:
            self._asked.cancel()
            self._asked = None


def _seen(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()  # whoever waits is told; if nobody does, nobody is to be warned


def spread(addresses: list[Address], turn: int) -> list[Address]:
    """In turn one of each family, the best family first, beginning with another each `turn`.

    >>> spread([(10, "a"), (10, "b"), (2, "c"), (2, "d")], turn=1)
    [(10, 'b'), (2, 'd'), (10, 'a'), (2, 'c')]
    """
    families = list(dict.fromkeys(family for family, _ in addresses))
    groups = [[each for each in addresses if each[0] == family] for family in families]
    turned = [group[turn % len(group) :] + group[: turn % len(group)] for group in groups]
    return [each for each in chain.from_iterable(zip_longest(*turned)) if each is not None]


async def first_of(addresses: list[Address], stagger: float = _STAGGER) -> socket.socket:
    """The first connection that stands; the next is begun after `stagger` s, or on an error."""
    if len(addresses) == 1:
        return await _connected(addresses[0])
    tried: list[asyncio.Task[socket.socket]] = []
    won: asyncio.Task[socket.socket] | None = None
    try:
        while won is None:
            left = addresses[len(tried) :]
            if left:
                tried.append(asyncio.ensure_future(_connected(left[0])))
            running = [task for task in tried if not task.done()]
            if not running:
                break
            limit = stagger if len(left) > 1 else None
            await asyncio.wait(running, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
            won = next((task for task in tried if task.done() and not task.exception()), None)
    finally:
        await _left(tried, won)
    if won is not None:
        return won.result()
    errors = [task.exception() for task in tried if not task.cancelled()]
    raise next((error for error in errors if error), OSError("the name has no address"))


async def _left(tried: list[asyncio.Task[socket.socket]], won: Any) -> None:
    """Give up the tries that did not win."""
    losers = [task for task in tried if task is not won]
    for task in losers:
        task.cancel()
    for ended in await asyncio.gather(*losers, return_exceptions=True):
        if isinstance(ended, socket.socket):
            ended.close()


async def _connected(address: Address) -> socket.socket:
    plain = socket.socket(address[0], socket.SOCK_STREAM)
    try:
        plain.setblocking(False)
        await asyncio.get_running_loop().sock_connect(plain, address[1])
    except BaseException:  # border: nobody else would close it; it passes
        plain.close()
        raise
    return plain


class _Asked(asyncio.Protocol):
    """A proxy that was asked for a tunnel; `granted` ends with its answer."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.granted: asyncio.Future[None] = loop.create_future()
        self._head = b""

    def data_received(self, data: bytes) -> None:
        self._head += data
        if self.granted.done():
            return
        try:
            if granted(self._head):
                self.granted.set_result(None)
        except ConnectionError as error:
            self.granted.set_exception(error)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.granted.done():
            self.granted.set_exception(error or ConnectionError("the proxy left"))
