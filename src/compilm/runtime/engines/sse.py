"""Server-sent events out of bytes as they arrive: only the data is read (HTML standard, 9.2)."""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["Events"]


class Events:
    r"""Splits a byte stream into the data of its events; an event that is cut off is none.

    >>> events = Events()
    >>> list(events.feed(b'event: x\r\ndata: {"a":')), list(events.feed(b' 1}\r\n\r\n: ping\n\n'))
    ([], [b'{"a": 1}'])
    """

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The data of each event that this chunk completes."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            line = line.removesuffix(b"\r")
            if line.startswith(b"data:"):
                self._data.append(line[5:].removeprefix(b" "))
            elif not line and self._data:
                data, self._data = b"\n".join(self._data), []
                yield data
