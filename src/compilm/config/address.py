"""Addresses of servers as people write them: checked, and shown without what is secret."""

from __future__ import annotations

from typing import Any
from urllib.parse import SplitResult, urlsplit

from ..errors import ConfigError

__all__ = ["redis_place", "redis_url", "reviews_place"]

_EXPECTED = "expected redis://HOST:PORT/DB, rediss://HOST:PORT/DB, or unix:///path/to/redis.sock"


def redis_url(text: Any) -> str:
    """`text`, which is the address of a Redis server and holds no password.

    Raises `ConfigError`, which does not repeat it: it may hold a password all the same.

    >>> redis_url("redis://cache.internal:6379/0")
    'redis://cache.internal:6379/0'
    """
    if not isinstance(text, str):
        raise ConfigError(_EXPECTED)
    parts = _parts(text)
    if parts.password is not None or parts.query:
        raise ConfigError(
            "a password or options in the address (not repeated here): keep the password in an "
            "environment variable, name that with runtime.redis_password_env, and leave out "
            "what follows a '?'"
        )
    if not (parts.path if parts.scheme == "unix" else parts.hostname):
        raise ConfigError(_EXPECTED)
    return text


def redis_place(text: str) -> str:
    """Where that server is, for people to read: no user, no password.

    >>> redis_place("redis://desk@cache.internal"), redis_place("unix:///run/redis.sock")
    ('cache.internal:6379', '/run/redis.sock')
    """
    parts = _parts(text)
    if parts.scheme == "unix":
        return parts.path
    return f"{parts.hostname}:{parts.port or 6379}{parts.path.rstrip('/')}"


def reviews_place(text: Any) -> str:
    """`text`, which is a file, or the address of a Postgres that holds no password.

    >>> reviews_place("postgresql://desk@db.internal/reviews")
    'postgresql://desk@db.internal/reviews'
    """
    if not isinstance(text, str) or not text.strip():
        raise ConfigError("expected a file, or postgresql://USER@HOST/DATABASE")
    if "://" in text:
        try:
            parts = urlsplit(text)
        except ValueError:
            raise ConfigError("expected a file, or postgresql://USER@HOST/DATABASE") from None
        if parts.password is not None or "password=" in parts.query:
            raise ConfigError(
                "a password in the address (not repeated here): keep it in the environment "
                "variable PGPASSWORD, or in a file that PGPASSFILE names"
            )
    return text


def _parts(text: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        known = parts.scheme in ("redis", "rediss", "unix") and (parts.port or 1) > 0
    except ValueError:
        known = False
    if not known:
        raise ConfigError(_EXPECTED)
    return parts
