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
from ...engine import Prefix, prefix_of
from ...programs import models

__all__ = ["digest_of"]


def digest_of(request: Any, *others: Any) -> str:
    """`sha256:` and 64 hex digits over everything that the request asks, and over `others`.

    Equal requests have equal digests in one version of this package, no longer: the text that is
    hashed is the shortest that tells any two requests apart, not the canonical one. System and
    messages come first: what requests begin with alike is hashed once.

    >>> from compilm.testing.layer_kit import request
    >>> digest_of(request("a")) == digest_of(request("a")) != digest_of(request("a"), "tenant")
    True
    """
    try:
        state = _messages(request, prefix := prefix_of(request))
        state.update(_settings(request, prefix))
        state.update(_json(others))
    except orjson.JSONEncodeError:  # half of a character, or a number beyond 64 bits
        return canonical.digest(["slowly", models.request_digest(request), *others])
    return f"sha256:{state.hexdigest()}"


def _messages(request: Any, prefix: Prefix | None) -> Any:
    """The state of the hash after system and messages."""
    if prefix is None:
        return _begun(request.system, request.messages)
    state = prefix.kept("cache key", lambda: _begun(prefix.system, prefix.messages)).copy()
    state.update(_spelled(request.messages[len(prefix.messages) :]))
    return state


def _settings(request: Any, prefix: Prefix | None) -> bytes:
    """Model, tools and settings."""
    if prefix is None:
        return _asked(request)
    # Kept with the settings, whose ids are then never another's.
    own = request.config, request.tools
    name = f"cache key {request.model} {id(own[0])} {id(own[1])}"
    asked: bytes = prefix.kept(name, lambda: (_asked(request), own))[0]
    return asked


def _begun(system: Any, messages: Iterable[Any]) -> Any:
    parts = [part_to_dict(part) for part in system] if isinstance(system, tuple) else system
    state = hashlib.sha256(_json(parts))
    state.update(_spelled(messages))
    return state


def _asked(request: Any) -> bytes:
    tools = [tool_to_dict(tool) for tool in request.tools]
    return _json(["asked", request.model, tools, config_to_dict(request.config)])


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
