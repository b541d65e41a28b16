"""Prices are known, free, or unknown and said so; every token is billed once."""

from __future__ import annotations

import gzip
import json
import re
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from dspy import lm15
from hypothesis import given
from hypothesis import strategies as st

from compilm.errors import ConfigError
from compilm.prices import FREE, Price, Prices, Tokens, lists, tokens_of
from compilm.prices.lists import shipped
from compilm.testing.layer_kit import request

COUNT = st.integers(0, 10**7)
RATE = st.floats(0, 100)


def answer(model: str = "m", **used: Any) -> lm15.Response:
    return lm15.Response(
        id=None,
        model=model,
        message=lm15.Message.assistant((lm15.TextPart("yes"),)),
        finish_reason="stop",
        usage=lm15.Usage(**used),
    )


WHOLE = {"input_tokens": 1_000_000, "output_tokens": 0}


def test_a_price_is_known_or_unknown_and_never_0() -> None:
    prices = Prices()
    assert prices.usd(answer(**WHOLE), "openai/gpt-5-mini") == 0.25
    assert prices.usd(answer(**WHOLE), "openai/unheard-of") is None
    assert prices.usd(answer(**WHOLE), "scripted/model") is None
    assert prices.find("ollama/llama3") is None  # listed with 0 for in and out: nobody knows


def test_the_embedded_engine_is_known_to_be_free() -> None:
    assert Prices().find("embedded/base") is FREE
    assert Prices().usd(answer(), "embedded/base") == 0.0


@pytest.mark.parametrize(
    "used",
    [{}, {"input_tokens": 5}, {"input_tokens": 5, "output_tokens": 1, "cache_read_tokens": 9}],
    ids=["nothing", "half", "more cached than sent"],
)
def test_what_was_not_reported_has_no_price(used: dict[str, int]) -> None:
    assert Prices().usd(answer(**used), "openai/gpt-5-mini") is None


def test_what_is_billed_otherwise_has_no_price() -> None:
    prices, model = Prices(), "openai/gpt-5-mini"
    tier = replace(answer(**WHOLE), provider_data={"service_tier": "priority"})
    sound = answer(**WHOLE, input_audio_tokens=5)
    picture = lm15.Message.assistant((lm15.ImagePart(url="https://example.org/a.png"),))
    searched = replace(request(), tools=(lm15.BuiltinTool("web_search"),))
    assert prices.usd(tier, model) is None
    assert prices.usd(sound, model) is None
    assert prices.usd(replace(answer(**WHOLE), message=picture), model) is None
    assert prices.usd(answer(**WHOLE), model, searched) is None
    usual = replace(answer(**WHOLE), provider_data={"service_tier": "default"})
    assert prices.usd(usual, model, request()) == 0.25


def test_a_date_in_the_name_changes_nothing_unless_it_is_listed() -> None:
    prices = Prices()
    assert prices.find("openai/gpt-5-mini-2025-08-07") == prices.find("openai/gpt-5-mini")
    dated = prices.find("anthropic/claude-haiku-4-5-20251001")
    assert dated == prices.find("anthropic/claude-haiku-4-5")
    assert prices.find("openai/gpt-4o-2024-05-13") != prices.find("openai/gpt-4o")


def test_what_was_given_counts_first_and_is_checked() -> None:
    prices = Prices({"openai/gpt-5-mini": {"input": 7, "output": 8}})
    assert prices.usd(answer(**WHOLE), "openai/gpt-5-mini") == 7.0
    assert prices.find("openai/gpt-5-mini-2025-08-07") == Price(7.0, 8.0, source="given")
    with pytest.raises(ConfigError, match=r"openai/x.*give input and output"):
        Prices({"openai/x": {"input": 1}})
    with pytest.raises(ConfigError, match="write provider/model"):
        Prices({"x": {"input": 1, "output": 1}})
    for wrong in ({"input": -1, "output": 1}, {"input": 1, "output": 1, "cash": 2}):
        with pytest.raises(ConfigError, match="0 or more"):
            Prices({"openai/x": wrong})


def test_a_long_prompt_has_its_own_price() -> None:
    price = Prices().find("openai/gpt-5.4")
    assert price is not None
    assert price.usd(Tokens(272_000)) == pytest.approx(0.272 * 2.5)
    assert price.usd(Tokens(272_001, 1_000_000)) == pytest.approx(0.272001 * 5 + 22.5)


def test_what_was_written_for_an_hour_costs_more() -> None:
    used = {**WHOLE, "input_tokens": 0, "cache_write_tokens": 1_000_000}
    kept = lm15.CacheConfig(retention="long")
    hour = request(cache=kept)
    prices, model = Prices(), "anthropic/claude-haiku-4-5"
    assert prices.usd(answer(**used), model, request()) == 1.25
    assert prices.usd(answer(**used), model, hour) == 2.0


@given(COUNT, COUNT, COUNT, COUNT)
def test_each_token_is_counted_once_whoever_reports_it(
    fresh: int, cached: int, written: int, output: int
) -> None:
    mixed = lm15.Usage(fresh + cached + written, output, None, cached, written)
    apart = lm15.Usage(fresh, output, None, cached, written)
    wanted = Tokens(fresh, output, cached, written)
    assert tokens_of(mixed, "openai/m") == tokens_of(apart, "anthropic/m") == wanted
    assert wanted.total == fresh + cached + written + output


@given(RATE, RATE, COUNT, COUNT, COUNT)
def test_what_the_providers_cache_saved_is_the_difference(
    rate: float, cached_rate: float, fresh: int, cached: int, output: int
) -> None:
    price = Price(rate, 1.0, cached=cached_rate)
    used = {"input_tokens": fresh, "output_tokens": output, "cache_read_tokens": cached}
    charge = Prices({"anthropic/m": price}).charge(answer(**used), "anthropic/m")
    assert charge.spared_usd == pytest.approx(cached * (rate - cached_rate) / 1e6, abs=1e-6)


def test_nothing_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LITELLM_LOCAL_MODEL_COST_MAP")

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a price was looked for on the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    lists._beyond.cache_clear()
    assert Prices().find("gemini/gemini-2.5-flash") is not None
    assert Prices().find("openai/unheard-of") is None


def test_threads_that_come_together_read_the_list_once(monkeypatch: pytest.MonkeyPatch) -> None:
    together, reads = threading.Barrier(8, timeout=20), []

    def read(data: bytes) -> bytes:
        reads.append(len(data))
        return gzip.decompress(data)

    def find(_: int) -> Price | None:
        together.wait()
        return Prices().find("gemini/gemini-2.5-flash")

    monkeypatch.setattr(lists, "gzip", SimpleNamespace(decompress=read))
    lists._beyond.cache_clear()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(find, range(8)))
    assert (len(reads), len(set(found)), None in found) == (1, 1, False)


def rates(entry: dict[str, Any], end: str) -> dict[str, float]:
    names = {
        "input": "input_cost_per_token",
        "output": "output_cost_per_token",
        "cached": "cache_read_input_token_cost",
        "write": "cache_creation_input_token_cost",
        "write_long": "cache_creation_input_token_cost_above_1hr",
    }
    found = {name: entry.get(key + end) for name, key in names.items()}
    return {name: round(rate * 1e6, 6) for name, rate in found.items() if rate is not None}


def test_the_shipped_list_is_what_its_source_says() -> None:
    folder = Path(__file__).parents[1] / "src" / "compilm" / "prices"
    body = json.loads((folder / "shipped.json").read_text())
    made = re.match(r"litellm ([\d.]+), (\S+)", body["source"])
    spec = find_spec("litellm")
    if made is None or spec is None or version("litellm") != made[1]:
        pytest.skip(f"another litellm is installed than {body['source']}")
    listed = json.loads((Path(str(spec.origin)).parent / made[2]).read_text())
    assert set(body["models"]) == set(shipped())
    for name, ours in body["models"].items():
        entry, over = listed[name.partition("/")[2]], dict(ours.pop("over", {}))
        assert ours == rates(entry, ""), name
        if over:
            assert over == {
                "tokens": over["tokens"],
                **rates(entry, f"_above_{over['tokens'] // 1000}k_tokens"),
            }, name
        else:
            assert not [key for key in entry if "input_cost_per_token_above" in key], name
