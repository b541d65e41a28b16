"""New connections of the lean client in threads: addresses, a proxy's tunnel, TLS, under one end.

Looking a name up is the system's, which cannot be ended; all else is.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable

from ...errors import ConfigError
from .lean_route import Route, granted
from .trust import tls

__all__ = ["reached"]


def reached(route: Route, left: Callable[[], float]) -> socket.socket:
    """A connection over which requests can be sent; `OSError` where there is none, `ConfigError`
    where there cannot be one.

    `left` gives the seconds until the end that all of this has in common, and raises a
    `TimeoutError` after it.
    """
    proxy = route.proxy
    host, port = (route.to.hostname or "", route.port)
    if proxy is not None:
        host, port = proxy.hostname or "", proxy.port or 80
        if proxy.scheme == "https" and route.tls is not None:
            raise ConfigError(
                "the proxy of the environment speaks TLS itself, through which a thread has no TLS "
                "to the provider: name it with http://, or await the call"
            )
    made = _connected(host, port, left)
    try:
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
    """To the first of a name's addresses that answers; each has its share of the time."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    failure: OSError = OSError("the name has no address")
    for number, (family, kind, protocol, _, address) in enumerate(found):
        made = socket.socket(family, kind, protocol)
        try:
            made.settimeout(left() / (len(found) - number))
            made.connect(address)
        except OSError as error:
            made.close()
            failure = error
        else:
            return made
    raise failure


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
