"""The store that `[runtime]` names, and where it is in words."""

from __future__ import annotations

import os

from ...clock import SYSTEM_CLOCK, Clock
from ...config import RuntimeSettings
from ...config.address import redis_place
from ...errors import ConfigError
from .memory import MemoryStore
from .redis import RedisStore
from .sqlite import SQLiteStore
from .store import Store

__all__ = ["store_of", "where"]

_FILE = ".compilm/cache.db"


def store_of(settings: RuntimeSettings, clock: Clock = SYSTEM_CLOCK) -> Store | None:
    """Where answers are kept, if they are; `ConfigError` says what is missing for it.

    >>> print(store_of(RuntimeSettings()))
    None
    """
    if settings.cache == "none":
        return None
    if settings.cache == "memory":
        return MemoryStore(clock=clock)
    if settings.cache == "sqlite":
        return SQLiteStore(settings.cache_path or _FILE, clock=clock)
    if settings.cache == "redis":
        return RedisStore(_address(settings), password=_password(settings), clock=clock)
    told = f"runtime.cache is {settings.cache!r}: expected none, memory, sqlite or redis"
    raise ConfigError(told)


def where(settings: RuntimeSettings) -> str:
    """Where answers are kept, for people to read; never a password.

    >>> where(RuntimeSettings(cache="redis", redis_url="redis://cache.internal/1"))
    'in Redis at cache.internal:6379/1'
    """
    if settings.cache == "redis":
        return f"in Redis at {redis_place(_address(settings))}"
    return "in memory" if settings.cache == "memory" else f"in {settings.cache_path or _FILE}"


def _address(settings: RuntimeSettings) -> str:
    if settings.redis_url is None:
        raise ConfigError(
            "runtime.cache is 'redis', and not where: set runtime.redis_url, as redis://HOST:6379/0"
        )
    return settings.redis_url


def _password(settings: RuntimeSettings) -> str | None:
    variable = settings.redis_password_env
    if variable is None:
        return None
    if not (password := os.environ.get(variable)):
        raise ConfigError(
            f"the password of Redis is taken from the environment variable {variable!r}, which is "
            "not set: export it, or name another with runtime.redis_password_env"
        )
    return password
