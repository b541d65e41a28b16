"""The digest of a request in the keys of the exact cache; what many requests share costs once."""

from __future__ import annotations

import hashlib
from typing import Any

# As in `programs.models`: DSPy exports no public serializer of its requests.
from dspy._vendor.lm15.serde import (
    config_to_dict,
    message_to_dict,
    part_to_dict,
    tool_to_dict,
)

from ... import canonical
from ...engine import prefix_of

__all__ = ["digest_of"]


def digest_of(request: Any, *others: Any) -> str:
    """`sha256:` and 64 hex digits over everything that the request asks, and over `others`.

    One canonical JSON a line: system and messages first, so that requests which begin alike share
    that part of the work; the digest is the same if they do not.

    >>> from compilm.testing.layer_kit import request
    >>> digest_of(request("a")) == digest_of(request("a")) != digest_of(request("a"), "tenant")
    True
    """
    prefix = prefix_of(request)
    if prefix is None:
        state, rest = _begun(request.system, ()), request.messages
        asked = _asked(request)
    else:
        state = prefix.kept("cache key", lambda: _begun(prefix.system, prefix.messages)).copy()
        rest = request.messages[len(prefix.messages) :]
        # Kept with the settings, whose ids are then never another's.
        own = request.config, request.tools
        name = f"cache key {request.model} {id(own[0])} {id(own[1])}"
        asked = prefix.kept(name, lambda: (_asked(request), own))[0]
    for message in rest:
        state.update(_line(message_to_dict(message)))
    state.update(asked)
    state.update(f"{others!r}".encode("utf-8", "surrogatepass"))
    return "sha256:" + str(state.hexdigest())


def _begun(system: Any, messages: tuple[Any, ...]) -> Any:
    parts = [part_to_dict(part) for part in system] if isinstance(system, tuple) else system
    state = hashlib.sha256(_line(parts))
    for message in messages:
        state.update(_line(message_to_dict(message)))
    return state


def _asked(request: Any) -> bytes:
    """Model, tools and settings."""
    tools = [tool_to_dict(tool) for tool in request.tools]
    return _line([request.model, tools, config_to_dict(request.config)])


def _line(value: Any) -> bytes:
    return f"{canonical.dumps(value)}\n".encode("utf-8", "surrogatepass")
