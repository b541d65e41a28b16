"""The table of prices: what was given over what is shipped over what DSPy's package lists."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from ..errors import ConfigError
from .lists import beyond, shipped
from .price import FREE, Price, Tokens, tokens_of

__all__ = ["Charge", "Prices"]

_EMBEDDED = "embedded/"
_DATED = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{8})$")
_USUAL = frozenset({None, "auto", "default", "standard"})
_MEDIA = frozenset({"image", "audio", "video", "document", "binary"})


class Charge(NamedTuple):
    """What one answer used and cost; `None` where that is not known.

    `spared_usd` is what the provider's prompt cache saved, below 0 where filling it cost more.
    """

    tokens: Tokens | None
    usd: float | None
    spared_usd: float = 0.0


class Prices:
    """Prices by `provider/model`; an unknown one is `None`, never 0. Nothing is fetched.

    given: prices that count before all others, as `[prices]` in `compilm.toml` has them. Raises
    `ConfigError` for one that is none. A dated name, as providers answer with, has the price of
    the name without its date unless it is listed itself. The embedded engine is free.

    >>> prices = Prices({"openai/llama": {"input": 0.1, "output": 0.3}})
    >>> prices.find("openai/llama").output, prices.find("openai/gpt-5-mini-2025-08-07").output
    (0.3, 2.0)
    >>> print(prices.find("openai/unheard-of"))
    None
    """

    def __init__(self, given: Mapping[str, Price | Mapping[str, Any]] | None = None) -> None:
        self._given = {name: _given(name, one) for name, one in (given or {}).items()}
        # A server can answer with any name, so what is remembered is bounded.
        self.find = lru_cache(maxsize=1024)(self._find)

    def _find(self, model: str) -> Price | None:
        """The price of `provider/model`; `None` where it is not known."""
        if model.startswith(_EMBEDDED):
            return FREE
        plain = _DATED.sub("", model)
        for table in (lambda: self._given, shipped, beyond):
            found = table()
            price = found.get(model) or found.get(plain)
            if price is not None:
                return price
        return None

    def of_answer(self, model: str, answered: str) -> Price | None:
        """The price of an answer to `model`; if that has none, of the model that it says it is of.

        >>> Prices().of_answer("openai/our-alias", "gpt-5-mini").input
        0.25
        """
        found = self.find(model)
        return self.find(f"{model.partition('/')[0]}/{answered}") if found is None else found

    def usd(self, response: Any, model: str, request: Any = None) -> float | None:
        """What an answer by `model` cost in US dollars; `None` where it is not known.

        response: a `dspy.lm15.Response`, or the last event of its stream.

        It is not where the model has no price, the provider did not report the tokens, or something
        else than text at the usual price was billed: sound, pictures, tools that it runs, a tier.
        """
        return self.charge(response, model, request).usd

    def charge(self, response: Any, model: str, request: Any = None) -> Charge:
        """As `usd`, with the tokens, and what the provider's prompt cache has spared."""
        price = self.of_answer(model, getattr(response, "model", ""))
        tokens = tokens_of(response.usage, model)
        if price is FREE:
            return Charge(tokens, 0.0)
        if price is None or tokens is None or _is_special(response, request):
            return Charge(tokens, None)
        cost = price.usd(tokens, is_long=request is not None and is_long(request))
        is_plain = not (tokens.cached or tokens.written)
        return Charge(tokens, cost, 0.0 if is_plain else price.usd(tokens.plain) - cost)


def is_long(request: Any) -> bool:
    """Whether what the request puts into the provider's prompt cache is kept an hour."""
    cache = request.config.cache
    return cache is not None and cache.retention == "long"


def hosts_tools(request: Any) -> bool:
    """Whether the provider runs tools of its own, at fees that no price for tokens holds."""
    return any(tool.type == "builtin" for tool in request.tools)


def _is_special(response: Any, request: Any) -> bool:
    if request is not None and request.tools and hosts_tools(request):
        return True
    used = response.usage
    tier = (response.provider_data or {}).get("service_tier")
    if tier not in _USUAL or used.input_audio_tokens or used.output_audio_tokens:
        return True
    message = getattr(response, "message", None)
    if message is not None:
        for part in message.parts:
            if part.type in _MEDIA:
                return True
    return False


def _given(name: str, price: Price | Mapping[str, Any]) -> Price:
    if "/" not in name:
        raise ConfigError(f"prices name {name!r}: write provider/model, as openai/gpt-5-mini")
    if isinstance(price, Price):
        return price
    try:
        return Price.of(price, "given")
    except ConfigError as error:
        raise ConfigError(f"prices of {name!r}: {error}") from None
