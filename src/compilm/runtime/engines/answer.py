"""A response as lm15 makes it, without a second look at what was read from a body just now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dspy import lm15

from ...programs.requests import sound
from .wire import Asked, Payload

__all__ = ["counted", "response", "text_part"]


def response(
    payload: Payload,
    asked: Asked,
    request: lm15.Request,
    parts: Sequence[Any],
    *,
    finish: str,
    usage: lm15.Usage,
    logprobs: Any = None,
    kept: Payload | None = None,
) -> lm15.Response:
    """The response of a body whose `parts`, of an assistant and at least one, were read."""
    name, model = payload.get("id") or None, payload.get("model") or request.model
    is_named = type(model) is str and (name is None or type(name) is str)
    make: Any = sound if is_named else _checked
    made: lm15.Response = make(
        lm15.Response,
        id=name,
        model=model,
        message=sound(lm15.Message, role="assistant", parts=tuple(parts), continuation=()),
        finish_reason=finish,
        usage=usage,
        logprobs=logprobs,
        provider_data=kept,
        adaptations=asked.notes,
        logprobs_complete=True,
    )
    return made


def counted(
    sent: Any = None,
    got: Any = None,
    total: Any = None,
    *,
    read: Any = None,
    written: Any = None,
    thought: Any = None,
    heard: Any = None,
    spoken: Any = None,
) -> lm15.Usage:
    """Tokens as reported: prompt, answer and both; of a cache; of thoughts; of sound in and out.

    >>> counted(3, 4) == lm15.Usage(input_tokens=3, output_tokens=4)
    True
    """
    counts = (sent, got, total, read, written, thought, heard, spoken)
    is_sound = all(count is None or (type(count) is int and count >= 0) for count in counts)
    make: Any = sound if is_sound else _checked
    if is_sound and total is None and sent is not None and got is not None:
        total = sent + got
    made: lm15.Usage = make(
        lm15.Usage,
        input_tokens=sent,
        output_tokens=got,
        total_tokens=total,
        cache_read_tokens=read,
        cache_write_tokens=written,
        reasoning_tokens=thought,
        input_audio_tokens=heard,
        output_audio_tokens=spoken,
    )
    return made


def text_part(text: Any) -> Any:
    """A part of text; lm15's own error for what is none."""
    if type(text) is not str:
        return lm15.TextPart(text)
    return sound(lm15.TextPart, text=text, continuation=(), type="text")


def _checked(kind: Any, **fields: Any) -> Any:
    return kind(**fields)
