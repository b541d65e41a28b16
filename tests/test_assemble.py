"""Role settings become LMs: keys from the environment only, nothing falls back unasked."""

from __future__ import annotations

import json
from typing import Any

import dspy
import pytest

from compilm import assemble
from compilm.clock import ManualClock
from compilm.config import RoleSettings
from compilm.errors import ConfigError
from compilm.runtime.layers.retry import Retry
from compilm.testing.engines import scripted_lm


def role(model: str = "openai/m", **more: Any) -> RoleSettings:
    return RoleSettings(model=(model,), **more)


def test_settings_reach_the_lm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "sk-secret")
    settings = role(base_url="http://h/v1", temperature=0.3, max_tokens=99, key_env="MY_KEY")
    lm = assemble.lm_for("default", settings)
    assert (lm.model, lm.num_retries) == ("openai/m", 0)
    assert lm.kwargs == {"temperature": 0.3, "max_tokens": 99}
    assert lm.like.num_retries == 0
    assert lm.like.kwargs == {**lm.kwargs, "api_base": "http://h/v1", "api_key": "sk-secret"}


def test_what_is_not_set_is_not_sent() -> None:
    assert assemble.lm_for("default", role()).kwargs == {"temperature": None, "max_tokens": None}


def test_a_key_that_is_not_set_is_told_by_role_and_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for value in (None, ""):
        monkeypatch.delenv("MY_KEY", raising=False)
        if value is not None:
            monkeypatch.setenv("MY_KEY", value)
        with pytest.raises(ConfigError, match=r"\[lm.judge\].*'MY_KEY'.*not set"):
            assemble.lm_for("judge", role(key_env="MY_KEY"))


@pytest.mark.parametrize(
    "settings",
    [role("openai/gpt-5-mini", max_tokens=500), role("openai/gpt-5", temperature=0.2), role("o/")],
)
def test_settings_that_dspy_refuses_are_told_with_the_role(settings: RoleSettings) -> None:
    with pytest.raises(ConfigError, match=r"\[lm.default\] 'o.*cannot be used so"):
        assemble.lm_for("default", settings)


def test_a_role_without_a_model_is_told() -> None:
    with pytest.raises(ConfigError, match=r"\[lm.default\] names no model"):
        assemble.lm_for("default", RoleSettings())


PAIR = ("openai/a", "anthropic/b")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (RoleSettings(PAIR, base_url="http://h"), "one base_url for models of several providers"),
        (RoleSettings(PAIR, key_env="MY_KEY"), "one key_env for models of several providers"),
        (RoleSettings(PAIR, base_url=("http://h",)), "base_url lists 1 for 2 models"),
        (RoleSettings(("openai/a", "embedded/base")), "'embedded/base' in a chain"),
        (RoleSettings(("groq/a",), engine="lean"), "asks openai and anthropic.*not 'groq/a'"),
        (RoleSettings(("groq/a",), engine="sdk"), "asks openai and anthropic.*not 'groq/a'"),
        (role("anthropic/b", api="responses"), "api 'responses' is not one of 'anthropic/b'"),
        (role("groq/a", api="messages"), "it takes chat or responses"),
        (RoleSettings(PAIR, api="responses"), "one api for models of several providers"),
    ],
)
def test_a_chain_that_means_nothing_certain_is_refused(settings: RoleSettings, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        assemble.lm_for("default", settings)


def test_each_model_of_a_chain_has_its_address_and_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", "a")
    monkeypatch.setenv("B_KEY", "b")
    settings = RoleSettings(PAIR, base_url=("http://a", "http://b"), key_env=("A_KEY", "B_KEY"))
    told = [assemble._provider("x", settings, *each) for each in zip(
        PAIR, settings.base_url or (), settings.key_env or (), strict=True
    )]  # fmt: skip
    assert [(p.like.kwargs["api_base"], p.like.kwargs["api_key"], p.account) for p in told] == [
        ("http://a", "a", "http://a A_KEY"),
        ("http://b", "b", "http://b B_KEY"),
    ]


@pytest.mark.parametrize("engine", ["dspy", "lean", "sdk"])
def test_a_model_can_be_asked_by_another_api_of_its_provider(engine: str) -> None:
    settings = RoleSettings(PAIR, api=("responses", "messages"), engine=engine)
    stack = assemble.stacks_from({"default": settings})["default"]
    told = [what for name, what in stack.lines if name == "provider"]
    assert told == [f"1. openai/a by {engine}, responses", f"2. anthropic/b by {engine}"]
    assert (stack.lm.model_type, stack.lm.like.model_type) == ("responses", "responses")
    stack.close()


def test_with_nothing_configured_it_is_the_embedded_engine_or_dspys_own() -> None:
    assert assemble.roles_from({})["default"].model == "embedded/base"
    assert assemble.roles_from({"default": RoleSettings()})["default"].model == "embedded/base"
    own = scripted_lm(["yes"])
    with dspy.context(lm=own):
        assert assemble.roles_from({}) == {"default": own}


def test_every_configured_role_is_bound_and_default_is_never_guessed() -> None:
    found = assemble.roles_from({"default": role("embedded/small"), "judge": role()})
    assert {name: lm.model for name, lm in found.items()} == {
        "default": "embedded/small",
        "judge": "openai/m",
    }
    with pytest.raises(ConfigError, match=r"roles \['judge'\].*'default' is not"):
        assemble.roles_from({"judge": role()})


def test_an_embedded_model_that_is_not_there_is_told() -> None:
    with pytest.raises(ConfigError, match="embedded/huge"):
        assemble.lm_for("default", role("embedded/huge"))


def test_no_key_is_in_what_an_lm_saves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "sk-secret")
    lm = assemble.lm_for("default", role(key_env="MY_KEY"))
    assert "sk-secret" not in json.dumps(lm.like.dump_state())
    with pytest.raises(TypeError, match="cannot be saved"):
        lm.dump_state()


def test_the_retry_layer_uses_the_clock_it_is_given() -> None:
    clock = ManualClock()
    layer = assemble.retry_layer(clock)
    assert isinstance(layer, Retry)
    assert (layer.clock, layer.attempts, layer.cap) == (clock, 4, 30.0)
    assert assemble.retry_layer(clock, attempts=2).attempts == 2
