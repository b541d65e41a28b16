"""What both wires of OpenAI say alike: who asks, in which tier, and where prefixes are kept."""

from __future__ import annotations

from typing import Any

from .parts import unsupported
from .wire import Notes, Payload

__all__ = ["account_fields", "cache_fields"]


def account_fields(body: Payload, config: Any, native: bool) -> None:
    """Put in the user, the tier and whether the answer is stored; `native` is OpenAI's service."""
    if config.user_id is not None:
        body["safety_identifier" if native else "user"] = config.user_id
    for name in ("service_tier", "store"):
        if getattr(config, name) is not None:
            body[name] = getattr(config, name)


def cache_fields(body: Payload, cache: Any, native: bool, notes: Notes, wire: str) -> None:
    """Servers of these wires cache prefixes by themselves; a key steers, a mark is not needed."""
    if cache is None:
        return
    if cache.resource is not None:
        raise unsupported(wire, "a stored cache", "prefixes are cached by themselves here")
    if native and cache.key is not None:
        body["prompt_cache_key"] = cache.key
    if native and cache.retention == "long":
        body["prompt_cache_retention"] = "24h"
    if not native:
        for name in ("key", "retention"):
            if getattr(cache, name) is not None:
                reason = "this server is not known to take it"
                notes.add(f"config.cache.{name}", "dropped", reason, getattr(cache, name))
    if cache.mode == "off":
        notes.add("config.cache.mode", "dropped", "prefix caching has no switch here", "off")
