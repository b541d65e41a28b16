"""The price lists that come along: ours, short and newer, and the one inside DSPy's package.

Both are files that are read, never fetched: DSPy itself asks the network for a newer list when it
is first asked for a price, which nothing here may wait for.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from types import MappingProxyType
from typing import Any

from .price import Price

__all__ = ["beyond", "shipped"]

_SNAPSHOT = Path("clients", "model_metadata")
_NAMES = {
    "input": "input_cost_per_token",
    "output": "output_cost_per_token",
    "cached": "cache_read_input_token_cost",
    "write": "cache_creation_input_token_cost",
    "write_long": "cache_creation_input_token_cost_above_1hr",
}
_TEXT = frozenset({"chat", "responses", "completion"})
_READING = Lock()  # `cache` alone would let every thread read
_OVER = re.compile(r"input_cost_per_token_above_(\d+)k_tokens")


@cache
def shipped() -> Mapping[str, Price]:
    """The prices of current models of OpenAI and Anthropic, by `provider/model`.

    Taken from the list that the file names, on the day it names.

    >>> shipped()["openai/gpt-5-mini"].output
    2.0
    """
    body = json.loads(files(__package__).joinpath("shipped.json").read_text())
    source = f"shipped, {body['read']}"
    return MappingProxyType({name: Price.of(one, source) for name, one in body["models"].items()})


def beyond() -> Mapping[str, Price]:
    """The prices of every other provider's models in the list inside DSPy's package.

    Empty where there is no such file. Reading it takes a tenth of a second, once: threads that
    come together wait for one of them.

    >>> beyond()["gemini/gemini-2.5-flash"].input > 0
    True
    """
    with _READING:
        return _beyond()


@cache
def _beyond() -> Mapping[str, Price]:
    spec = find_spec("dspy")
    for place in (spec.submodule_search_locations or ()) if spec is not None else ():
        folder = Path(place) / _SNAPSHOT
        try:
            data = json.loads(gzip.decompress((folder / "snapshot.json.gz").read_bytes()))
            made = json.loads((folder / "provenance.json").read_text())
        except (OSError, ValueError):  # a version of DSPy that keeps it elsewhere
            continue
        return MappingProxyType(dict(_priced(data, f"DSPy's list, {made.get('version')}")))
    return MappingProxyType({})


def _priced(data: Mapping[str, Any], source: str) -> Iterator[tuple[str, Price]]:
    """Every entry that has a price for text, as `provider/model`."""
    for name, entry in data.items():
        provider = entry.get("litellm_provider", "")
        rates = _rates(entry)
        # Some entries are 0 because nobody has filled them in: that is no price.
        is_known = {"input", "output"} <= set(rates) and (rates["input"] or rates["output"])
        if provider and is_known and entry.get("mode") in _TEXT:
            known = name if name.startswith(f"{provider}/") else f"{provider}/{name}"
            yield known, Price.of({**rates, **_dearer(entry)}, source)


def _rates(entry: Mapping[str, Any], end: str = "") -> dict[str, float]:
    found = {name: entry.get(key + end) for name, key in _NAMES.items()}
    return {n: round(rate * 1e6, 6) for n, rate in found.items() if isinstance(rate, (int, float))}


def _dearer(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The price of long prompts, from the lowest bound where there are several."""
    bounds = sorted(int(match[1]) for key in entry if (match := _OVER.fullmatch(key)))
    if not bounds:
        return {}
    rates = _rates(entry, f"_above_{bounds[0]}k_tokens")
    plain = _rates(entry)
    return {"over": {"tokens": bounds[0] * 1000, **plain, **rates}}
