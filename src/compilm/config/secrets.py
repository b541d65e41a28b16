"""A look for keys and passwords in a configuration: they belong into the environment."""

from __future__ import annotations

import re
from typing import Any

from ..errors import ConfigError

__all__ = ["refuse_secrets"]

_SECRET_NAME = re.compile(
    r"(api[_-]?key|secret([_-]?key)?|password|((auth|access|api|bearer)[_-]?)?token)", re.IGNORECASE
)
_SECRET_VALUE = re.compile(
    r"(sk|rk)-(?=[^/]*\d)[\w-]{16,}|(gsk|xai|hf|gh[opsu])[-_](?=\w*\d)[A-Za-z0-9]{20,}"
    r"|AIza[\w-]{30,}|AKIA[0-9A-Z]{16}|Bearer\s.+"
)


def refuse_secrets(value: Any, key: str, place: str) -> None:
    """Raise `ConfigError` where a key's name or a value looks like a secret; never repeat it.

    >>> refuse_secrets({"model": "openai/gpt-5-mini"}, "lm.default", "compilm.toml")
    """
    name = key.rsplit(".", 1)[-1]
    if isinstance(value, dict):
        for inner, item in value.items():
            refuse_secrets(item, f"{key}.{inner}" if key else inner, place)
    elif isinstance(value, (list, tuple)):
        for item in value:
            refuse_secrets(item, f"{key}[]", place)
    elif _SECRET_NAME.fullmatch(name) or (
        isinstance(value, str) and _SECRET_VALUE.fullmatch(value.strip())
    ):
        raise ConfigError(
            f"{place}: {key!r} looks like a key or password (its value is not repeated here). "
            "Keys come only from the environment: remove it, set the provider's variable, and "
            "name that variable with key_env if it is not the usual one"
        )
