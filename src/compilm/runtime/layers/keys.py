"""The key of a call in the exact cache: one digest over all that is asked, in one pass."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import orjson
from dspy import lm15

# As in `programs.models`: DSPy exports no public serializer of its requests.
from dspy._vendor.lm15.serde import config_to_dict, message_to_dict, part_to_dict, tool_to_dict

from ... import canonical
from ...programs import models

__all__ = ["digest_of"]


def digest_of(request: Any, *others: Any) -> str:
    """`sha256:` and 64 hex digits over everything that the request asks, and over `others`.

    Equal requests have equal digests in one version of this package, no longer: the text that is
    hashed is the shortest that tells any two requests apart, not the canonical one.

    >>> from compilm.testing.layer_kit import request
    >>> digest_of(request("a")) == digest_of(request("a")) != digest_of(request("a"), "tenant")
    True
    """
    try:
        state = hashlib.sha256(_system(request.system))
        state.update(_spelled(request.messages))
        tools = [tool_to_dict(tool) for tool in request.tools]
        state.update(_json(["asked", request.model, tools, config_to_dict(request.config), others]))
    except orjson.JSONEncodeError:  # half of a character, or a number beyond 64 bits
        return canonical.digest(["slowly", models.request_digest(request), *others])
    return f"sha256:{state.hexdigest()}"


def _system(system: Any) -> bytes:
    return _json([part_to_dict(part) for part in system] if isinstance(system, tuple) else system)


def _spelled(messages: Iterable[Any]) -> bytes:
    """Each message as its role and its text, or whole where it holds more; one after another.

    Of two rows of messages the bytes are those of the one, then those of the other.
    """
    told: list[Any] = []
    for message in messages:
        part = message.parts[0]
        is_more = len(message.parts) > 1 or message.continuation
        if is_more or type(part) is not lm15.TextPart or part.continuation:
            told.append(message_to_dict(message))
        else:
            told += (message.role, part.text)
    return _json(told)[1:-1] + b"," if told else b""


def _json(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
