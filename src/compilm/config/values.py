"""What each key may hold: a reader per key that gives the value or says what is expected."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from ..errors import ConfigError
from .address import redis_url, reviews_place
from .near import semantic
from .settings import SplitSettings

__all__ = [
    "KEYS",
    "PATHS",
    "ROLE_KEYS",
    "SECTIONS",
    "TOOL_KEYS",
    "TOP",
    "Wrong",
    "is_text",
    "parse_budget",
    "reader",
]


_INFINITE = float("inf")


class Wrong(Exception):
    """A value is not what its key expects; the text says what is expected."""


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise Wrong("a text that is not empty")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",")]
    if not isinstance(value, (list, tuple)) or not all(isinstance(v, str) and v for v in value):
        raise Wrong('a list of texts, as ["a", "b"]')
    return tuple(value)


def _text_or_texts(value: Any) -> str | tuple[str, ...]:
    if isinstance(value, (list, tuple)):
        return _texts(value)
    if not isinstance(value, str) or not value.strip():
        raise Wrong("a text, or a list with one text for each model")
    return value


def _one_of(*known: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if value not in known:
            raise Wrong(f"one of {', '.join(known)}")
        return str(value)

    return read


def _one_of_each(*known: str) -> Callable[[Any], str | tuple[str, ...]]:
    """One text for all models, or one for each."""

    def read(value: Any) -> str | tuple[str, ...]:
        found = _text_or_texts(value)
        if not set(found if isinstance(found, tuple) else (found,)) <= set(known):
            raise Wrong(f"one of {', '.join(known)}, or a list with one for each model")
        return found

    return read


def _number(low: float = -_INFINITE, high: float = _INFINITE) -> Callable[[Any], float]:
    def read(value: Any) -> float:
        right = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not right or not low <= value <= high or abs(value) == _INFINITE:
            raise Wrong(f"a finite number{_range(low, high)}")
        return float(value)

    return read


def _whole(low: int, high: float = _INFINITE) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise Wrong(f"a whole number{_range(low, high)}")
        return value

    return read


def _range(low: float, high: float) -> str:
    if high < _INFINITE:
        return f" from {low:g} to {high:g}"
    return "" if low == -_INFINITE else f" of at least {low:g}"


def _table(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Wrong("a table, as { key = value }")
    return value


def _labels(value: Any) -> dict[str, tuple[str, ...]]:
    if not isinstance(value, dict):
        raise Wrong('allowed values by field, as { team = ["orders", "returns"] }')
    return {name: _texts(allowed) for name, allowed in value.items()}


_UNITS = {"rollouts": int, "calls": int, "tokens": int, "usd": float, "seconds": float}
_DURATIONS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BUDGET = (
    "{ rollouts = 1000, usd = 5.0 } (also calls, tokens, seconds) or text as "
    '"1000rollouts", "2000calls", "2usd", "20m", joined by commas'
)


def parse_budget(text: str) -> dict[str, float]:
    """The ceilings written in `text`; a whole number for all units but usd and seconds.

    >>> parse_budget("2usd, 500calls, 1h30m")
    {'usd': 2.0, 'calls': 500, 'seconds': 5400.0}
    """
    found: dict[str, float] = {}
    for part in text.split(","):
        unit, amount = _ceiling(part.strip().lower().replace("_", "").replace(" ", ""))
        if unit in found:
            raise ConfigError(f"budget {text!r} names {unit} twice; keep one of them")
        found[unit] = amount
    return _positive(found, text)


def _ceiling(part: str) -> tuple[str, float]:
    if durations := re.fullmatch(r"(?:\d+(?:\.\d+)?[smhd])+", part):
        pieces = re.findall(r"([\d.]+)([smhd])", durations.group())
        return "seconds", sum(float(amount) * _DURATIONS[unit] for amount, unit in pieces)
    match = re.fullmatch(r"\$?(\d+(?:\.\d+)?)([a-z]*)", part)
    unit = "usd" if part.startswith("$") else match.group(2) if match else ""
    unit = next((known for known in _UNITS if unit and unit in (known, known[:-1])), unit)
    if match is None or unit not in _UNITS:
        raise ConfigError(f"budget {part!r} is not understood; expected {_BUDGET}")
    return unit, _amount(unit, float(match.group(1)), part)


def _amount(unit: str, amount: float, shown: object) -> float:
    if _UNITS[unit] is int:
        if amount != int(amount):
            raise ConfigError(f"budget {shown!r}: {unit} are counted in whole numbers")
        return int(amount)
    return amount


def _positive(budget: dict[str, float], shown: object) -> dict[str, float]:
    for unit, amount in budget.items():
        if not 0 < amount < _INFINITE:
            raise ConfigError(f"budget {shown!r}: {unit} must be above 0")
    return budget


def _budget(value: Any) -> dict[str, float]:
    if isinstance(value, str):
        return parse_budget(value)
    if not isinstance(value, dict):
        raise Wrong(_BUDGET)
    for unit, amount in value.items():
        if unit not in _UNITS or isinstance(amount, bool) or not isinstance(amount, (int, float)):
            raise Wrong(_BUDGET)
    return _positive({unit: _amount(unit, value[unit], value) for unit in value}, value)


def _split(value: Any) -> SplitSettings:
    expected = "{ train = 0.4, val = 0.3, test = 0.3, seed = 0 }, shares that sum to 1"
    if not isinstance(value, dict) or set(value) - {"train", "val", "test", "seed"}:
        raise Wrong(expected)
    shares = {name: _number(0, 1)(value.get(name, 0.0)) for name in ("train", "val", "test")}
    if abs(sum(shares.values()) - 1) > 1e-6 or shares["train"] == 0:
        raise Wrong(expected)
    return SplitSettings(**shares, seed=_whole(0)(value.get("seed", 0)))


def _constraints(value: Any) -> dict[str, float | bool]:
    known = ("usd_per_1000", "tokens", "min_score", "show_val")
    if not isinstance(value, dict) or set(value) - set(known):
        raise Wrong(f"a table of {', '.join(known)}, such as {{ tokens = 2000 }}")
    return {
        name: (_flag if name == "show_val" else _number(0))(said) for name, said in value.items()
    }


def _prices(value: Any) -> dict[str, dict[str, float]]:
    """Dollars for a million tokens by model; which kinds there are, `compilm.prices` knows."""
    expected = '{ "openai/llama" = { input = 0.2, output = 0.6 } }, US dollars for 1,000,000 tokens'
    if not isinstance(value, dict) or not all(isinstance(one, dict) for one in value.values()):
        raise Wrong(expected)
    rate = _number(0)
    return {
        model: {kind: rate(amount) for kind, amount in one.items()} for model, one in value.items()
    }


_COUNTED = ("calls_per_day", "tokens_per_day", "tokens_per_call")
_LIMITS = (*_COUNTED, "usd_per_day", "usd_per_call")


def _limits(*known: str) -> Callable[[Any], dict[str, float]]:
    """Hard limits by name."""

    def read(value: Any) -> dict[str, float]:
        if not isinstance(value, dict) or set(value) - set(known):
            raise Wrong(f"a table of {', '.join(known)}, such as {{ usd_per_day = 20.0 }}")
        return {
            name: _whole(0)(most) if name in _COUNTED else _number(0)(most)
            for name, most in value.items()
        }

    return read


def _hedge(value: Any) -> float | str:
    if value in ("auto", "never"):
        return str(value)
    try:
        return _number(0.001, 86_400)(value)
    except Wrong as wrong:
        raise Wrong(f'"auto", "never" or {wrong}') from None


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise Wrong("true or false")
    return value


ROLE_KEYS: dict[str, Callable[[Any], Any]] = {
    "model": _texts,
    "base_url": _text_or_texts,
    "temperature": _number(0, 2),
    "max_tokens": _whole(1),
    "key_env": _text_or_texts,
    "engine": _one_of("dspy", "lean", "sdk"),
    "order": _one_of("given", "cost", "latency"),
    "api": _one_of_each("chat", "responses", "messages"),
}
TOOL_KEYS: dict[str, Callable[[Any], Any]] = {
    "command": _texts,
    "url": _text,
    "env": _texts,
    "key_env": _text,
    "cwd": _text,
    "log": _text,
    "remote": _flag,
    "only": _texts,
    "idempotent": _texts,
    "timeout": _number(0.001, 86_400),
}
_NAMED = {"lm": ROLE_KEYS, "tools": TOOL_KEYS}  # sections of sections, as [lm.ROLE]
KEYS: dict[str, Callable[[Any], Any]] = {
    "program": _text,
    "name": _text,
    "args": _table,
    "metric": _text,
    "prices": _prices,
    "data.path": _text,
    "data.inputs": _texts,
    "data.labels": _labels,
    "data.id": _text,
    "data.group": _text,
    "data.stratify": _text,
    "data.limit": _whole(1),
    "data.split": _split,
    "data.train": _text,
    "data.val": _text,
    "data.test": _text,
    "compile.level": _whole(0, 3),
    "compile.optimizer": _text,
    "compile.optimizer_options": _table,
    "compile.budget": _budget,
    "compile.seed": _whole(0),
    "compile.freeze": _texts,
    "compile.constraints": _constraints,
    "compile.out": _text,
    "compile.journal": _text,
    "compile.concurrency": _whole(1, 4096),
    "gate.fail_under": _number(),
    "gate.max_regression": _number(0),
    "runtime.concurrency": _whole(1, 4096),
    "runtime.timeout": _number(0.001, 86_400),
    "runtime.deadline": _number(0.001, 86_400),
    "runtime.tool_timeout": _number(0.001, 86_400),
    "runtime.attempts": _whole(1, 100),
    "runtime.hedge": _hedge,
    "runtime.breaker": _whole(1, 1000),
    "runtime.requests_per_minute": _number(0.01),
    "runtime.tokens_per_minute": _number(1),
    "runtime.budget": _limits(*_LIMITS),
    "runtime.tenant_budget": _limits("calls_per_day", "tokens_per_day", "usd_per_day"),
    "runtime.prompt_cache": _flag,
    "runtime.resume": _flag,
    "runtime.cache": _one_of("none", "memory", "sqlite", "redis"),
    "runtime.cache_ttl": _number(0.001),
    "runtime.cache_path": _text,
    "runtime.redis_url": redis_url,
    "runtime.redis_password_env": _text,
    "runtime.semantic": semantic,
    "runtime.trace": _one_of("none", "numbers", "texts"),
    "runtime.trace_sample": _number(0, 1),
    "runtime.trace_rate": _number(0.001),
    "runtime.trace_keep": _whole(1),
    "runtime.trace_path": _text,
    "runtime.reviews": reviews_place,
    "runtime.rendering": _one_of("ahead", "call"),
    "track.mlflow": _text,
}
TOP = ("program", "name", "args", "metric", "prices")
SECTIONS = ("data", "lm", "tools", "compile", "gate", "runtime", "track")
PATHS = {
    *("data.path", "data.train", "data.val", "data.test"),
    *("compile.out", "compile.journal", "runtime.cache_path", "runtime.trace_path"),
}


def reader(key: str) -> Callable[[Any], Any] | None:
    """The reader of a dotted key; None where there is no such key.

    >>> reader("compile.seed")(3), reader("compile.sed")
    (3, None)
    """
    parts = key.split(".")
    if len(parts) == 3 and parts[0] in _NAMED and parts[1]:
        return _NAMED[parts[0]].get(parts[2])
    return KEYS.get(key)


def is_text(key: str) -> bool:
    """Whether the key holds one text, taken as it stands.

    >>> is_text("program"), is_text("compile.seed")
    (True, False)
    """
    return reader(key) is _text
