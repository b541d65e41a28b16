"""A price, and the tokens it is asked for: counted apart, since providers report them mixed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any, Final, NamedTuple

from ..errors import ConfigError

__all__ = ["FREE", "Price", "Tokens", "tokens_of"]

_MILLION = 1e6
# Whose `output_tokens` leave out what was thought. This rule and that for caches are those of
# dspy 3.4 (`clients/costs.py`).
_THOUGHT_APART = frozenset({"gemini", "vertex", "vertex-express", "xai"})


class Tokens(NamedTuple):
    """Tokens that are billed, each counted once.

    input: read anew. cached: read from the provider's prompt cache. written: read anew and put
    into it. output: said and thought.
    """

    input: int = 0
    output: int = 0
    cached: int = 0
    written: int = 0

    @property
    def prompt(self) -> int:
        """Tokens that went in."""
        return self.input + self.cached + self.written

    @property
    def plain(self) -> Tokens:
        """The same without a prompt cache."""
        return Tokens(self.prompt, self.output)

    @property
    def total(self) -> int:
        """Tokens in and out."""
        return self.input + self.cached + self.written + self.output


def tokens_of(usage: Any, model: str) -> Tokens | None:
    """The tokens of a `dspy.lm15.Usage` by the rule of the model's provider.

    `None` where the provider did not report what went in and out, or reports what does not add up.

    >>> from dspy.lm15 import Usage
    >>> used = Usage(input_tokens=100, output_tokens=5, cache_read_tokens=60)
    >>> tokens_of(used, "openai/gpt-5-mini"), tokens_of(used, "anthropic/claude-haiku-4-5").input
    (Tokens(input=40, output=5, cached=60, written=0), 100)
    """
    if usage is None or usage.input_tokens is None or usage.output_tokens is None:
        return None
    cached, written = usage.cache_read_tokens or 0, usage.cache_write_tokens or 0
    fresh, output = usage.input_tokens, usage.output_tokens
    is_cache_apart, is_thought_apart = _reports(model)
    if not is_cache_apart:
        fresh -= cached + written
    if is_thought_apart:
        output += usage.reasoning_tokens or 0
    return Tokens(fresh, output, cached, written) if fresh >= 0 else None


@lru_cache(maxsize=1024)
def _reports(model: str) -> tuple[bool, bool]:
    """Whether the model's provider reports its prompt cache, and its thoughts, apart."""
    provider = model.partition("/")[0]
    is_anthropic = provider == "anthropic" or provider.endswith("-anthropic")
    return is_anthropic, provider in _THOUGHT_APART


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for a million tokens of each kind.

    `cached` and `write` are as `input` where they are not given; `write_long` is for what is kept
    an hour. `over` is the price of a whole call whose prompt is longer than `over_tokens`.

    >>> Price(input=2.0, output=10.0, cached=0.2).usd(Tokens(input=1000, output=100, cached=5000))
    0.004
    """

    input: float
    output: float
    cached: float | None = None
    write: float | None = None
    write_long: float | None = None
    over_tokens: int | None = None
    over: Price | None = None
    source: str = ""

    @classmethod
    def of(cls, table: Mapping[str, Any], source: str = "") -> Price:
        """The price in a table such as `{"input": 2.0, "output": 10.0}`; `ConfigError` for another.

        >>> Price.of({"input": 2, "output": 10, "over": {"tokens": 1000, "input": 4, "output": 15}})
        Price(input=2.0, output=10.0, ... over_tokens=1000, over=Price(input=4.0, ...
        """
        rates, over = {**table}, table.get("over")
        rates.pop("over", None)
        unknown = sorted(set(rates) - _RATES)
        wrong = [name for name, rate in rates.items() if not _is_rate(rate)]
        if unknown or wrong or not {"input", "output"} <= set(rates):
            raise ConfigError(
                f"a price is {dict(table)!r}: give input and output, and if they differ cached, "
                "write and write_long, each in US dollars for 1,000,000 tokens, 0 or more"
            )
        dear = None
        if over is not None:
            dear = cls.of({name: rate for name, rate in over.items() if name != "tokens"}, source)
        found: dict[str, Any] = {name: float(rate) for name, rate in rates.items()}
        bound = None if over is None else int(over["tokens"])
        return cls(**found, over_tokens=bound, over=dear, source=source)

    def usd(self, tokens: Tokens, *, is_long: bool = False) -> float:
        """What these tokens cost; `is_long` says that what was written is kept an hour."""
        if self.over is not None and tokens.prompt > (self.over_tokens or 0):
            return self.over.usd(tokens, is_long=is_long)
        cost = tokens.input * self.input + tokens.output * self.output
        if tokens.cached:
            cost += tokens.cached * (self.input if self.cached is None else self.cached)
        if tokens.written:
            cost += tokens.written * self._writing(is_long)
        return cost / _MILLION

    def most(self, prompt: int, output: int, *, is_long: bool = False) -> float:
        """What a call of this size can cost at most, whatever the provider's cache does.

        >>> Price(input=2.0, output=10.0, write=2.5).most(1_000_000, 0)
        2.5
        """
        if self.over is not None and prompt > (self.over_tokens or 0):
            return self.over.most(prompt, output, is_long=is_long)
        rate = max(self.input, self._writing(is_long), self.cached or 0.0)
        return (prompt * rate + output * self.output) / _MILLION

    def _writing(self, is_long: bool) -> float:
        if is_long and self.write_long is not None:
            return self.write_long
        return self.input if self.write is None else self.write


def _is_rate(value: Any) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and 0 <= value < float("inf")


_RATES = {one.name for one in fields(Price)} - {"over_tokens", "over", "source"}

FREE: Final = Price(0.0, 0.0, source="it runs in this process")
