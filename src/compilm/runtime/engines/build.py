"""Engines by name, and again from their saved state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict, Unpack

from ...clock import SYSTEM_CLOCK, Clock
from ...engine import EnginePair
from ...errors import ConfigError
from .account import Account
from .provider import AsyncProviderEngine, ProviderEngine
from .wires import WIRES, wire_for

__all__ = [
    "AsyncWireEngine",
    "Settings",
    "WireEngine",
    "anthropic_messages",
    "built",
    "lean",
    "openai_chat",
    "openai_responses",
]

_SAVED = ("key_env", "timeout", "connections", "headers")
_SDK = {"openai-chat": "openai", "openai-responses": "openai", "anthropic-messages": "anthropic"}


class WireEngine(ProviderEngine):
    """A synchronous provider engine that can be saved by name and loaded again."""

    @classmethod
    def load_state(cls, state: Mapping[str, Any]) -> Any:
        """The engine of a `dump_state`; its key comes from the environment."""
        return built(state).sync

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self).load_state, (self.dump_state(),))


class AsyncWireEngine(AsyncProviderEngine):
    """Its asynchronous twin."""

    @classmethod
    def load_state(cls, state: Mapping[str, Any]) -> Any:
        """The engine of a `dump_state`; its key comes from the environment."""
        return built(state).asynchronous

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self).load_state, (self.dump_state(),))


class Settings(TypedDict, total=False):
    """What every engine takes by name, besides its address.

    The key is `api_key`, else the environment's `key_env` at each call (without it, the variable
    that the provider's own SDK reads). `timeout` is in seconds, `connections` bounds the pool.
    """

    api_key: str | None
    key_env: str | None
    timeout: float
    connections: int
    headers: Mapping[str, str] | None
    clock: Clock


def openai_chat(base_url: str | None = None, **settings: Unpack[Settings]) -> EnginePair:
    """Chat Completions by the official `openai` SDK, at OpenAI or any address that speaks it.

    `settings` are those of `Settings`; the key's variable is `OPENAI_API_KEY`. `ConfigError` for
    an address or headers that hold a secret.

    >>> openai_chat("http://localhost:8000/v1").sync.dump_state()["base_url"]
    'http://localhost:8000/v1'
    """
    return _built("sdk", "openai-chat", base_url, settings)


def openai_responses(base_url: str | None = None, **settings: Unpack[Settings]) -> EnginePair:
    """OpenAI Responses by the official `openai` SDK. As `openai_chat`.

    >>> openai_responses("http://localhost:8000/v1").sync.dump_state()["wire"]
    'openai-responses'
    """
    return _built("sdk", "openai-responses", base_url, settings)


def anthropic_messages(base_url: str | None = None, **settings: Unpack[Settings]) -> EnginePair:
    """Anthropic Messages by the official `anthropic` SDK. As `openai_chat`.

    >>> anthropic_messages(key_env="MY_KEY").sync.dump_state()["key_env"]
    'MY_KEY'
    """
    return _built("sdk", "anthropic-messages", base_url, settings)


def lean(
    wire: str = "openai-chat", base_url: str | None = None, **settings: Unpack[Settings]
) -> EnginePair:
    """The same protocols over the lean client.

    `wire` is `openai-chat`, `openai-responses` or `anthropic-messages`.

    >>> lean("anthropic-messages").sync.dump_state()["kind"]
    'lean'
    """
    return _built("lean", wire, base_url, settings)


def built(state: Mapping[str, Any]) -> EnginePair:
    """The engines of a saved state; keys come from the environment."""
    settings: Any = {name: state[name] for name in _SAVED if name in state}
    return _built(str(state.get("kind")), str(state.get("wire")), state.get("base_url"), settings)


def _built(kind: str, wire_name: str, base_url: str | None, settings: Settings) -> EnginePair:
    if wire_name not in WIRES or kind not in {"sdk", "lean"}:
        raise ConfigError(
            f"no engine of kind {kind!r} for wire {wire_name!r}: kinds are sdk and lean, wires"
            f" {', '.join(sorted(WIRES))}"
        )
    wire, address = wire_for(wire_name, base_url)
    given: dict[str, Any] = {name: value for name, value in settings.items() if value is not None}
    clock, key = given.pop("clock", SYSTEM_CLOCK), given.pop("api_key", None)
    given.setdefault("key_env", WIRES[wire_name].key_env)
    account = Account(address, given_key=key, **given)
    if kind == "lean":
        from .lean_sender import lean_senders

        senders = lean_senders(wire, account, clock)
    else:
        from .sdk_sender import sdk_senders

        senders = sdk_senders(_SDK[wire_name], wire, account, clock)
    return EnginePair(
        WireEngine(wire, account, kind, senders[0], clock),
        AsyncWireEngine(wire, account, kind, senders[1], clock),
    )
