"""The setting of the cache of near questions: a table that is checked as a whole."""

from __future__ import annotations

from typing import Any

from ..errors import ConfigError

__all__ = ["semantic"]

_KNOWN = {"threshold", "entries", "embedder", "same_words"}
_EXPECTED = (
    "expected { threshold = 0.95 }, above 0 and up to 1; also entries = 10000, same_words = true, "
    'embedder = "package.module:attribute"'
)


def semantic(value: Any) -> dict[str, Any]:
    """The table, checked; raises `ConfigError`. A threshold is its least, and has no default.

    >>> semantic({"threshold": 0.95})
    {'threshold': 0.95}
    """
    if not isinstance(value, dict) or "threshold" not in value or set(value) - _KNOWN:
        raise ConfigError(_EXPECTED)
    threshold, entries = value["threshold"], value.get("entries", 1)
    right = isinstance(threshold, (int, float)) and not isinstance(threshold, bool)
    right = right and 0 < threshold <= 1
    right = right and type(entries) is int and entries > 0
    right = right and isinstance(value.get("same_words", True), bool)
    embedder = value.get("embedder", "read-words-v1")
    if not (right and isinstance(embedder, str) and embedder.strip()):
        raise ConfigError(_EXPECTED)
    return dict(value)
