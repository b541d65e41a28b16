"""Where an engine asks, as whom, and how long it waits: settings that can be shown, and a key."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from dspy import lm15

from ...artifact.secrets import secret_in
from ...errors import ConfigError

__all__ = ["TIMEOUT", "Account"]

TIMEOUT = 45.0
"""Seconds for one attempt, and for each event of a stream."""

_SECRET_HEADERS = {"authorization", "proxy-authorization", "x-api-key", "api-key", "cookie"}


@dataclass(frozen=True, slots=True)
class Account:
    """Settings of a provider engine. `timeout` is in seconds, `connections` bounds the pool.

    The key is the given one, else the environment's `key_env` at the time of each call. It is in
    no `repr`, state or pickle. Another address than the provider's own may do without a key.

    >>> Account("https://api.openai.com/v1", "OPENAI_API_KEY", given_key="sk-1")
    Account(base_url='https://api.openai.com/v1', key_env='OPENAI_API_KEY', timeout=45.0, \
connections=1024, headers={})
    """

    base_url: str
    key_env: str
    timeout: float = TIMEOUT
    connections: int = 1024
    headers: Mapping[str, str] = field(default_factory=dict)
    given_key: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        parts = urlsplit(self.base_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ConfigError(f"base_url is no HTTP address: give one such as {'http://host/v1'!r}")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ConfigError(
                f"base_url of {parts.hostname} holds a user, a password or a query: it is shown in"
                f" logs; give the key by {self.key_env} or api_key"
            )
        named = {name.lower() for name in self.headers} & _SECRET_HEADERS
        if named or secret_in(dict(self.headers)):
            raise ConfigError(
                f"headers hold a key ({', '.join(sorted(named)) or 'by its look'}): they are saved"
                f" with a program; give it by {self.key_env} or api_key"
            )
        if not self.timeout > 0 or self.connections < 1:
            raise ConfigError("timeout must be above 0 seconds and connections at least 1")

    @property
    def key(self) -> str | None:
        """The key as it is now."""
        return self.given_key or os.environ.get(self.key_env) or None

    def key_for(self, home: str, wire: str) -> str | None:
        """The key to send; `lm15.NotConfiguredError` where the provider's own address needs one."""
        key = self.key
        if key is None and self.base_url == home:
            raise lm15.NotConfiguredError(
                f"{wire}: no key for {home}", provider=wire, env_keys=(self.key_env,)
            )
        return key

    def state(self) -> dict[str, Any]:
        """The settings as JSON, without the key."""
        return {
            "base_url": self.base_url,
            "key_env": self.key_env,
            "timeout": self.timeout,
            "connections": self.connections,
            "headers": dict(self.headers),
        }
