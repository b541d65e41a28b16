"""The C library's own `send` and `recv`, which do not wait and keep the interpreter.

Every way of Python's hands it to another thread meanwhile: in a crowd of them a call that takes
microseconds would last as long as all others work.
"""

from __future__ import annotations

import errno
import os
import select
import socket
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

__all__ = ["readable", "sent"]

_WAITS = (errno.EAGAIN, errno.EWOULDBLOCK, errno.EINTR)
_AT_ONCE = 1 << 16  # bytes that may be copied while all other threads wait


class _Calls(NamedTuple):
    readable: Callable[[socket.socket], bool]
    sent: Callable[[socket.socket, bytes], int]


def readable(sock: socket.socket) -> bool:
    """Whether bytes, or the end, have come on a connection where nothing should.

    >>> here, there = socket.socketpair()
    >>> with here, there:
    ...     readable(here), there.send(b"?"), readable(here)
    (False, 1, True)
    """
    return _calls().readable(sock)


def sent(sock: socket.socket, data: bytes) -> int:
    """How many bytes of `data` could be sent at once; 0 where that would wait, or is too much.

    Raises the `OSError` of a connection that is lost.

    >>> here, there = socket.socketpair()
    >>> with here, there:
    ...     sent(here, b"hello"), there.recv(9)
    (5, b'hello')
    """
    return _calls().sent(sock, data) if len(data) <= _AT_ONCE else 0


@cache
def _calls() -> _Calls:
    if not hasattr(socket, "MSG_DONTWAIT"):  # Windows
        return _Calls(_selected, lambda *_: 0)
    import ctypes

    library = ctypes.PyDLL(None, use_errno=True)
    for call in (library.recv, library.send):
        call.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int)
        call.restype = ctypes.c_ssize_t
    recv, send, failed = library.recv, library.send, ctypes.get_errno
    room, look = ctypes.create_string_buffer(1), socket.MSG_PEEK | socket.MSG_DONTWAIT
    # Where there is no such flag, on macOS, the signal is ignored as Python has it from its start.
    flags = socket.MSG_DONTWAIT | getattr(socket, "MSG_NOSIGNAL", 0)

    def readable(sock: socket.socket) -> bool:
        return recv(sock.fileno(), room, 1, look) >= 0 or failed() not in _WAITS

    def sent(sock: socket.socket, data: bytes) -> int:
        count: int = send(sock.fileno(), data, len(data), flags)
        if count < 0 and failed() not in _WAITS:
            raise OSError(failed(), os.strerror(failed()))
        return max(0, count)

    return _Calls(readable, sent)


def _selected(sock: socket.socket) -> bool:
    return sock.fileno() < 0 or bool(select.select([sock], [], [], 0)[0])
