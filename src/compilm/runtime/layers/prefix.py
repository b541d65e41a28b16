"""The part of a prompt that stays the same from call to call, marked for the provider's cache.

Anthropic caches up to a mark; what is read from there costs a fraction, and what is written a
quarter more than usual (the figures are in the price list). Others that cache do so unasked.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dspy import lm15

from ...programs.calling import caller
from ...programs.retrieving import Retrieving

__all__ = ["marked", "takes_marks"]

_STABLE = lm15.CacheConfig(prefix="stable")


def takes_marks(model: str) -> bool:
    """Whether this `provider/model` caches what is marked.

    >>> takes_marks("anthropic/claude-haiku-4-5"), takes_marks("openai/gpt-5-mini")
    (True, False)
    """
    return model.startswith("anthropic/")


def marked(request: Any) -> Any:
    """The request with marks after the system message and after the demonstrations.

    The demonstrations of a predictor that chooses them for each call get none: writing them would
    cost more each time, and nobody would read them. A request that says itself how it wants to be
    cached stays as it is.

    >>> from compilm.testing.layer_kit import request
    >>> asked = request("what?")
    >>> shown = lm15.Message.user("a?"), lm15.Message.assistant("b"), *asked.messages
    >>> marked(replace(asked, messages=shown)).config.cache.prefix_until_index
    1
    """
    if request.config.cache is not None:
        return request
    last = len(request.messages) - 2
    if last < 0 or isinstance(caller(), Retrieving):
        cache = _STABLE
    else:
        cache = lm15.CacheConfig(prefix_until_index=last)
    return replace(request, config=replace(request.config, cache=cache))
