"""Which answers are kept, and their form: JSON of the answer as it will be given again."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import lru_cache
from typing import Any

import orjson
from dspy import lm15

from ...programs import models
from .resume import was_resumed

__all__ = ["as_near", "is_worth_keeping", "near_of", "read", "usage_of", "written"]

_MARK = "compilm_cache"
_WHOLE = frozenset({"stop", "tool_call"})
_NOTHING = lm15.Usage(input_tokens=0, output_tokens=0, total_tokens=0)
_SHORT = 4096  # bytes of an answer that is worth remembering
_CHANGEABLE = b'"tool_call"', b'"continuation"', b'"data"', b'"adaptations"'


def is_worth_keeping(response: Any) -> bool:
    """Whether this answer may stand for later ones: whole, in one piece, not refused or filtered.

    >>> from dataclasses import replace
    >>> from compilm.testing.layer_kit import CountingEngine, request
    >>> answer = CountingEngine().pair.sync.complete(request("yes"))
    >>> is_worth_keeping(answer), is_worth_keeping(replace(answer, finish_reason="length"))
    (True, False)
    """
    parts = response.message.parts
    refused = any(isinstance(part, lm15.RefusalPart) for part in parts)
    is_whole = response.finish_reason in _WHOLE and not was_resumed(response)
    return is_whole and bool(parts) and not refused


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


def as_near(response: Any, similarity: float, question: str) -> Any:
    """A kept answer, marked as one to another question: how near, and that question's digest."""
    told = (response.provider_data or {})[_MARK]
    near = {"similarity": round(similarity, 4), "question": question}
    return replace(response, provider_data={_MARK: {**told, "near": near}})


def near_of(response: Any) -> dict[str, Any] | None:
    """The similarity and the digest of the question that was answered, if it was another.

    >>> from compilm.testing.layer_kit import CountingEngine, request
    >>> kept = read(written(CountingEngine().pair.sync.complete(request("yes"))))
    >>> print(near_of(kept), near_of(as_near(kept, 0.98, "sha256:1f")))
    None {'similarity': 0.98, 'question': 'sha256:1f'}
    """
    found = (response.provider_data or {}).get(_MARK)
    near = found.get("near") if isinstance(found, dict) else None
    return None if near is None else dict(near)


def written(response: Any) -> bytes:
    """An answer as it will be given again: it used nothing, and says what it used once."""
    used = {
        name: count
        for name in ("input_tokens", "output_tokens")
        if (count := getattr(response.usage, name)) is not None
    }
    body = models.response_to_json(replace(response, usage=_NOTHING))
    body["provider_data"] = {_MARK: {"usage": used}}
    return json.dumps(body, separators=(",", ":"), allow_nan=False).encode()


def read(value: bytes) -> Any:
    """The answer that `written` wrote; any error for what it did not write.

    Short answers that are asked for again and again are parsed once: making the objects costs
    more than a look into a file or a network on this machine.

    >>> from compilm.testing.layer_kit import CountingEngine, request
    >>> answer = CountingEngine().pair.sync.complete(request("yes"))
    >>> found = read(written(answer))
    >>> found.text, found.usage.total_tokens, usage_of(found)
    ('yes', 0, {'input_tokens': 10, 'output_tokens': 5})
    """
    found = _remembered(value) if len(value) <= _SHORT else None
    return _parsed(value) if found is None else found


def _parsed(value: bytes) -> Any:
    body = _json(value)
    body["provider_data"][_MARK]  # what is not ours has none, or is no mapping at all
    return models.response_from_json(body)


@lru_cache(256)
def _remembered(value: bytes) -> Any:
    """The answer for all who ask; `None` where one could change it, as a tool call's input."""
    return None if any(mark in value for mark in _CHANGEABLE) else _parsed(value)


def _json(value: bytes) -> Any:
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:  # half of a character is JSON to Python alone
        return json.loads(value)
