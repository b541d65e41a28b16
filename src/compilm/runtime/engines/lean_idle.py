"""Whether a connection that should be quiet is: asked before each request that it is used for."""

from __future__ import annotations

import errno
import select
import socket
from collections.abc import Callable
from functools import cache

__all__ = ["readable"]

_QUIET = (errno.EAGAIN, errno.EWOULDBLOCK)


def readable(sock: socket.socket) -> bool:
    """Whether bytes, or the end, have come on a connection where nothing should.

    >>> here, there = socket.socketpair()
    >>> with here, there:
    ...     readable(here), there.send(b"?"), readable(here)
    (False, 1, True)
    """
    return _asks()(sock)


@cache
def _asks() -> Callable[[socket.socket], bool]:
    """The C library's own `recv`, which does not wait and keeps the interpreter.

    Every way of Python's hands it to another thread meanwhile: in a crowd of them a look that
    takes a microsecond would last as long as all others work.
    """
    if not hasattr(socket, "MSG_DONTWAIT"):  # Windows
        return lambda sock: bool(select.select([sock], [], [], 0)[0])
    import ctypes

    recv = ctypes.PyDLL(None, use_errno=True).recv
    recv.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    recv.restype = ctypes.c_ssize_t
    one, look = ctypes.create_string_buffer(1), socket.MSG_PEEK | socket.MSG_DONTWAIT
    return lambda sock: recv(sock.fileno(), one, 1, look) >= 0 or ctypes.get_errno() not in _QUIET
