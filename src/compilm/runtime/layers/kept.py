"""The mark of an answer that was kept: what it used when it was made."""

from __future__ import annotations

from typing import Any

__all__ = ["marked", "usage_of"]

_MARK = "compilm_cache"


def marked(usage: Any) -> dict[str, Any]:
    """The `provider_data` of an answer that is given again, with the usage it had.

    >>> from dspy.lm15 import Usage
    >>> marked(Usage(input_tokens=10))
    {'compilm_cache': {'usage': {'input_tokens': 10}}}
    """
    used = {
        name: count
        for name in ("input_tokens", "output_tokens")
        if (count := getattr(usage, name)) is not None
    }
    return {_MARK: {"usage": used}}


def usage_of(response: Any) -> dict[str, int] | None:
    """What the answer cost in tokens when it was made; `None` for one that was not kept.

    >>> from compilm.runtime.caches import MemoryStore
    >>> from compilm.runtime.layers.cache import Cache
    >>> from compilm.testing.layer_kit import CountingEngine, request
    >>> pair = Cache(MemoryStore())(CountingEngine().pair)
    >>> first, second = (pair.sync.complete(request("yes")) for _ in range(2))
    >>> print(usage_of(first), usage_of(second))
    None {'input_tokens': 10, 'output_tokens': 5}
    """
    found = (response.provider_data or {}).get(_MARK)
    return dict(found["usage"]) if isinstance(found, dict) else None
