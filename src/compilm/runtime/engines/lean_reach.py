"""New connections of the lean client in threads: addresses, a proxy's tunnel, TLS, under one end.

Looking a name up is the system's, which cannot be ended; all else is.
"""

from __future__ import annotations

import os
import selectors
import socket
import ssl
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

from ...errors import ConfigError
from .lean_route import Route, granted
from .trust import tls

__all__ = ["reached"]

_STAGGER = 0.25  # seconds until the next address is tried beside one that does not answer


def reached(route: Route, left: Callable[[], float]) -> socket.socket:
    """A connection over which requests can be sent. `OSError` or, for a name that is none,
    `UnicodeError` where there is none; `ConfigError` where there cannot be one.

    `left` gives the seconds until the end that all of this has in common, and raises a
    `TimeoutError` after it.
    """
    proxy = route.proxy
    host, port = route.first
    if proxy is not None and proxy.scheme == "https" and route.tls is not None:
        raise ConfigError(
            "the proxy of the environment speaks TLS itself, through which a thread has no TLS to "
            "the provider: name it with http://, or await the call"
        )
    made = _connected(host, port, left)
    try:
        made.settimeout(left())
        made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if proxy is not None and proxy.scheme == "https":
            made = _secured(made, tls(), host, left)
        if proxy is not None and route.tls is not None:
            _ask(made, route, left)
        if route.tls is not None:
            made = _secured(made, route.tls, route.to.hostname or "", left)
    except BaseException:  # border: nobody else would close it; it passes
        made.close()
        raise
    return made


def _connected(host: str, port: int, left: Callable[[], float]) -> socket.socket:
    """The first connection that stands; the next address is tried beside one that is silent."""
    addresses = deque(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    failure, made = OSError("the name has no address"), None
    with selectors.DefaultSelector() as waiting:
        try:
            while made is None and (addresses or waiting.get_map()):
                limit = left()
                try:
                    if addresses:
                        waiting.register(_begun(addresses.popleft()), selectors.EVENT_WRITE)
                    made = _first(waiting, min(limit, _STAGGER) if addresses else limit)
                except OSError as error:
                    failure = error
        finally:
            for lost in [key.fileobj for key in waiting.get_map().values()]:
                cast(socket.socket, lost).close()
    if made is None:
        raise failure
    return made


def _begun(found: tuple[Any, ...]) -> socket.socket:
    """A connection on its way to one address, of a kind that this machine may not have."""
    family, kind, protocol, _, address = found
    made = socket.socket(family, kind, protocol)
    try:
        made.setblocking(False)
        with suppress(BlockingIOError):
            made.connect(address)
    except BaseException:  # border: nobody else would close it; it passes
        made.close()
        raise
    return made


def _first(waiting: selectors.BaseSelector, limit: float) -> socket.socket | None:
    """One that stands now, or within `limit` seconds; the `OSError` of one that failed."""
    for key, _ in waiting.select(limit):
        made = cast(socket.socket, key.fileobj)
        waiting.unregister(made)
        code = made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if not code:
            return made
        made.close()
        raise OSError(code, os.strerror(code))
    return None


def _secured(
    made: socket.socket, context: ssl.SSLContext, name: str, left: Callable[[], float]
) -> socket.socket:
    made.settimeout(left())  # it bounds the handshake as a whole
    return context.wrap_socket(made, server_hostname=name)


def _ask(made: socket.socket, route: Route, left: Callable[[], float]) -> None:
    """Have the proxy pass on what follows."""
    made.settimeout(left())
    made.sendall(route.tunnel())
    head = b""
    while not granted(head):
        made.settimeout(left())
        said = made.recv(1)  # what follows the head is TLS's
        if not said:
            raise ConnectionError("the proxy left")
        head += said
