"""What an answer on a wire consists of, whichever wire it is, and how faults spoil it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

__all__ = ["Spoken", "event", "pieces"]

_PIECE = 9  # characters of a streamed fragment
_EMPTY: dict[str, dict[str, Any]] = {
    "chat": {"choices": []},
    "responses": {"output": []},
    "messages": {"content": []},
}


class Spoken:
    """One response on one wire. `whole` is the JSON body, `events` are the bytes of a stream.

    The last `marks` of the events say that the answer is finished. `form` is `chat`, `responses`
    or `messages`.
    """

    def __init__(self, form: str, whole: dict[str, Any], events: list[bytes], marks: int) -> None:
        self.form, self.whole, self.events, self.marks = form, whole, events, marks

    def error(self, kind: str, message: str) -> dict[str, Any]:
        """An error body of this wire."""
        said = {"type": kind, "message": message}
        return {"type": "error", "error": said} if self.form == "messages" else {"error": said}

    def error_event(self, kind: str, message: str) -> bytes:
        """An error in the middle of a stream of this wire."""
        if self.form == "chat":
            return b"data: " + json.dumps(self.error(kind, message)).encode() + b"\n\n"
        if self.form == "messages":
            return event("error", error={"type": kind, "message": message})
        return event("error", code=kind, message=message, param=None)

    def empty(self) -> dict[str, Any]:
        """The body with nothing said in it."""
        return {**self.whole, **_EMPTY[self.form]}

    def marks_of_nothing(self) -> list[bytes]:
        """The events that end a stream in which nothing was said."""
        if self.form == "responses":  # whose last event has the whole answer
            return [event("response.completed", response=self.empty())]
        return list(self.events[-self.marks :])

    def unfinished(self) -> dict[str, Any]:
        """The body without the mark that the answer is finished."""
        if self.form == "chat":
            choice = {**self.whole["choices"][0], "finish_reason": None}
            return {**self.whole, "choices": [choice]}
        return {**self.whole, "stop_reason": None, "status": "in_progress"}


def pieces(text: str) -> Iterator[str]:
    """A text in the fragments that a stream brings.

    >>> list(pieces("a longer answer"))
    ['a longer ', 'answer']
    """
    for start in range(0, len(text), _PIECE):
        yield text[start : start + _PIECE]


def event(kind: str, **fields: Any) -> bytes:
    r"""One named event of a stream.

    >>> event("ping")
    b'event: ping\ndata: {"type": "ping"}\n\n'
    """
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()
