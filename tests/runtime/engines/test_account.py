"""Accounts: what may be saved and shown, and where keys come from."""

from __future__ import annotations

from typing import Any

import pytest
from dspy import lm15

from compilm.errors import ConfigError
from compilm.runtime.engines import anthropic_messages, lean, openai_chat
from compilm.runtime.engines.build import built

ASK = lm15.Request("m", (lm15.Message.user("hi"),))


@pytest.mark.parametrize("make", [openai_chat, anthropic_messages, lean])
def test_the_provider_s_own_address_needs_a_key_and_names_where_it_belongs(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = make().sync
    monkeypatch.delenv(engine.dump_state()["key_env"], raising=False)
    with pytest.raises(lm15.NotConfiguredError, match=engine.dump_state()["key_env"]):
        engine.complete(ASK)


@pytest.mark.parametrize(
    "settings",
    [
        {"base_url": "http://me:secret@host/v1"},
        {"base_url": "http://host/v1?key=secret"},
        {"base_url": "ftp://host"},
        {"base_url": "host/v1"},
        {"headers": {"Authorization": "Bearer x"}},
        {"headers": {"x-own": "sk-" + "a1" * 12}},
        {"timeout": 0.0},
        {"connections": 0},
    ],
)
def test_an_account_that_holds_a_secret_or_makes_no_sense_is_refused(
    settings: dict[str, Any],
) -> None:
    with pytest.raises(ConfigError) as caught:
        openai_chat(**settings)
    assert "secret" not in str(caught.value).replace("hold a key", "")


def test_what_names_no_engine_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match="openai-chat"):
        built({"kind": "lean", "wire": "gopher"})


def test_the_names_of_the_package_stay_what_they_are_after_use() -> None:
    import compilm.runtime.engines as engines

    for make in (engines.openai_chat, engines.anthropic_messages, engines.lean):
        make(base_url="http://127.0.0.1:1/v1")
    assert all(callable(getattr(engines, name)) for name in engines.__all__)
