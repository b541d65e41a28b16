"""Where an MCP server is: a command to start, or an address. Keys come from the environment."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from ..errors import ConfigError

__all__ = ["Place"]

_KEY = "a key or password in an address is seen by everyone who reads it: name the variable that"


@dataclass(frozen=True, slots=True)
class Place:
    """One MCP server: `command` is started here and spoken to over its streams, `url` is asked.

    `env` names variables of this process that the command gets besides `PATH`, `HOME` and their
    like; nothing else of the environment reaches it. `key_env` names the variable with the bearer
    token of a `url`. Another host is asked only where `remote` says so, and a key goes there only
    over https. What the command writes to its standard error goes to the file `log`. `connect` is
    the seconds it may take to start and greet.

    Raises `ConfigError` where it makes no sense.

    >>> Place("claims", command=("python", "-m", "claims.server")).where
    'python -m claims.server'
    """

    name: str
    command: tuple[str, ...] = ()
    url: str | None = None
    env: tuple[str, ...] = ()
    key_env: str | None = None
    cwd: str | None = None
    remote: bool = False
    log: str | None = None
    connect: float = 30.0

    def __post_init__(self) -> None:
        if bool(self.command) == (self.url is not None):
            raise self._wrong("give either a command (a list of texts) or a url")
        if self.url is not None:
            self._check_address(self.url)
        elif self.key_env is not None:
            raise self._wrong("key_env is for a url; give a command its variables with env")

    def _check_address(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise self._wrong("its url is not understood; expected https://HOST/PATH")
        if parts.username or parts.password:
            raise self._wrong(f"{_KEY} holds it with key_env")
        if not self.is_elsewhere:
            return
        if not self.remote:
            raise self._wrong(
                f"{parts.hostname} is another host, which would see what the program asks: say "
                "remote = true if it may"
            )
        if self.key_env is not None and parts.scheme != "https":
            raise self._wrong("a key goes to another host only over https")

    def _wrong(self, why: str) -> ConfigError:
        return ConfigError(f"MCP server {self.name!r}: {why}")

    @property
    def where(self) -> str:
        """The command or the address, for people."""
        return " ".join(self.command) if self.url is None else self.url

    @property
    def is_elsewhere(self) -> bool:
        """Whether it is on another host."""
        return self.url is not None and not _is_loopback(urlsplit(self.url).hostname or "")

    def variables(self, env: Mapping[str, str] = os.environ) -> dict[str, str]:
        """The variables that the command gets; raises `ConfigError` where one is not set."""
        return {name: self._set(name, env) for name in self.env}

    def headers(self, env: Mapping[str, str] = os.environ) -> dict[str, str]:
        """The headers of every request; raises `ConfigError` where the key is not set."""
        if self.key_env is None:
            return {}
        return {"Authorization": f"Bearer {self._set(self.key_env, env)}"}

    def _set(self, name: str, env: Mapping[str, str]) -> str:
        if not env.get(name):
            raise self._wrong(f"the environment variable {name} is not set")
        return env[name]


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
