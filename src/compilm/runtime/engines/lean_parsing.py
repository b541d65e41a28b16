"""What llhttp, by httptools, makes of an answer's bytes: its status, its head, its body in pieces.

Whose answer it is, how much of it may come, and when it is whole; where the bytes come from is for
those who inherit: a task's connection, and a thread's.
"""

from __future__ import annotations

from typing import Any

from .wire import WireFailure

__all__ = ["HEAD", "WHOLE", "CutShort", "Fields", "Parsing", "Unanswered", "named"]

Fields = list[tuple[bytes, bytes]]

HEAD = 1 << 16
"""Bytes of a head, at most."""
WHOLE = 1 << 26
"""Bytes of a body, at most."""


class Unanswered(ConnectionError):
    """The connection was lost before a byte of the answer came."""


class CutShort(ConnectionError):
    """The connection was closed in the middle of an answer."""


class Parsing:
    """One answer after the other; `fields` are the raw headers of the last one.

    `_headed`: its head is there. `_done`: it is whole, and nothing is expected. `_kept`: by its
    head, another request may follow. `_pieces`: what came of its body and was not taken.
    """

    fields: Fields
    _pieces: list[bytes]

    def __init__(self) -> None:
        from httptools import HttpResponseParser

        self._parser: Any = HttpResponseParser(self)
        self._expect()
        self._done = True

    def _expect(self) -> None:
        """From here on, what comes is a new answer."""
        self.status, self.fields, self._pieces = 0, [], []
        self._came = self._size = 0
        self._headed = self._done = self._kept = False

    def _parse(self, data: bytes) -> None:
        """Take bytes in; a `WireFailure` for what is not HTTP, too long, or not asked for."""
        self._came += len(data)
        try:
            self._parser.feed_data(data)
        except Exception as error:  # border: httptools raises classes of its own
            self._kept = False
            known = error.__context__
            if isinstance(known, WireFailure):
                raise known from None
            told = f"it is not HTTP ({type(error).__name__})"
            raise WireFailure("malformed", told) from None
        if not self._headed and self._came > HEAD:
            raise WireFailure("malformed", "its head is too long")

    def _grew(self, size: int) -> None:
        self._size += size
        if self._size > WHOLE:
            raise WireFailure("malformed", "its body is too long")

    def _closes(self) -> bool:
        """Whether the end of the connection, which came, is the end of the answer's body."""
        return self._headed and not any(map(_frames, self.fields))

    # What the parser tells.

    def on_message_begin(self) -> None:
        """An answer begins."""
        if self._done:
            raise WireFailure("malformed", "there is an answer too much")

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header came; what follows a body is counted with it, and nothing else."""
        if self._headed:
            self._grew(len(name) + len(value))
        else:
            self.fields.append((name, value))

    def on_headers_complete(self) -> None:
        """The head is whole."""
        status = self._parser.get_status_code()
        if status < 200:  # it says that the answer is still to come
            self.fields = []
            return
        self.status, self._headed = status, True

    def on_body(self, data: bytes) -> None:
        """A piece of the body came."""
        self._grew(len(data))
        self._pieces.append(data)

    def on_message_complete(self) -> None:
        """The answer is whole."""
        if self._headed:
            self._kept, self._done = self._parser.should_keep_alive(), True


def _frames(field: tuple[bytes, bytes]) -> bool:
    """Whether a header says where the body ends; without one it does with the connection."""
    name, value = field[0].lower(), field[1].lower().rstrip()
    return name == b"content-length" or (
        name == b"transfer-encoding" and value.endswith(b"chunked")
    )


def named(fields: Fields) -> dict[str, str]:
    """Headers by name, in lower case.

    >>> named([(b"Retry-After", b"3")])
    {'retry-after': '3'}
    """
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in fields}
