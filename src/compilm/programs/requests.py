"""Requests, messages and their JSON: as lm15 makes them, at a fraction of its time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dspy import lm15
from dspy._vendor.lm15.serde import request_to_dict

__all__ = ["like", "message_as_text", "request_to_json", "sound", "text_message"]

_FIELDS = ("model", "messages", "system", "tools", "config")
_set = object.__setattr__


def like(request: lm15.Request, **changed: Any) -> lm15.Request:
    """The request with these fields in place of its own, which are sound: nothing is checked.

    lm15 looks at every message again when a request is made, at 32 demonstrations sixty times as
    long as the rest takes.

    >>> asked = lm15.Request(model="m", messages=(lm15.Message.user("hi"),))
    >>> like(asked, model="n") == lm15.Request(model="n", messages=asked.messages)
    True
    """
    made = object.__new__(lm15.Request)
    for name in _FIELDS:
        _set(made, name, changed[name] if name in changed else getattr(request, name))
    return made


def sound(kind: Any, **fields: Any) -> Any:
    """A value of lm15 made of all of its fields, which are sound: nothing is checked.

    >>> sound(lm15.TextPart, text="hi", continuation=(), type="text") == lm15.TextPart("hi")
    True
    """
    made = object.__new__(kind)
    for name, value in fields.items():
        _set(made, name, value)
    return made


def text_message(role: str, text: str) -> lm15.Message:
    """A message of one text.

    >>> text_message("user", "hi") == lm15.Message.user("hi")
    True
    """
    part = sound(lm15.TextPart, text=text, continuation=(), type="text")
    message: lm15.Message = sound(lm15.Message, role=role, parts=(part,), continuation=())
    return message


def request_to_json(request: lm15.Request, begun: Sequence[Any] = ()) -> dict[str, Any]:
    """A request as plain JSON, for a trace; its digest is the request's.

    `begun` are the first messages, where somebody has them already as they are to be written.

    >>> from compilm import canonical
    >>> from compilm.programs import models
    >>> from dspy.lm15 import Message, Request
    >>> request = Request(model="m", messages=(Message.user("hi"),))
    >>> canonical.digest(request_to_json(request)) == models.request_digest(request)
    True
    """
    said = [message_as_text(message) for message in request.messages[len(begun) :]]
    if None in said:
        return dict(request_to_dict(request))
    # lm15 takes a message of demonstrations apart in several steps; these are most of a request.
    return {**request_to_dict(_Shell(request)), "messages": [*begun, *said]}


def message_as_text(message: lm15.Message) -> dict[str, Any] | None:
    """A message of plain text as lm15 writes it; `None` for another.

    >>> message_as_text(lm15.Message.user("hi"))
    {'role': 'user', 'parts': [{'type': 'text', 'text': 'hi'}]}
    """
    parts = message.parts
    if message.continuation or not all(
        type(part) is lm15.TextPart and not part.continuation for part in parts
    ):
        return None
    said = [{"type": "text", "text": part.text} for part in parts]
    return {"role": message.role, "parts": said}


class _Shell:
    """A request without its messages."""

    messages = ()

    def __init__(self, request: lm15.Request) -> None:
        self.model, self.system = request.model, request.system
        self.tools, self.config = request.tools, request.config
