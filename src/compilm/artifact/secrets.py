"""A look for keys and passwords, because artifacts are shared more widely than their makers are."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["secret_in"]

_SECRET = re.compile(
    r"\bsk-(?=[\w-]*\d)[\w-]{20,}|\bAIza[\w-]{30,}|\bAKIA[0-9A-Z]{16}\b|\bhf_[A-Za-z0-9]{30,}"
    r"|\bgh[opsu]_[A-Za-z0-9]{30,}|\bxox[abprs]-[\w-]{10,}"
    r"|\bBearer\s+(?=\S*\d)[\w.~+/=-]{20,}|-----BEGIN [A-Z ]*PRIVATE KEY-----"
)
_SECRET_KEY = re.compile(
    r"api[_-]?key|access[_-]?token|client[_-]?secret|azure_ad_token|aws_secret_access_key", re.I
)


def secret_in(value: Any, at: str = "") -> str | None:
    """The path of the first text in JSON `value` that looks like a key or password, if any.

    >>> secret_in({"demos": [{"note": "use " + "sk-" + "a1" * 12}]})
    'demos[0].note'
    """
    if isinstance(value, str):
        return at if _SECRET.search(value) else None
    items: list[tuple[str, Any]] = []
    if isinstance(value, dict):
        items = [(f"{at}.{key}" if at else key, item) for key, item in value.items()]
        for (path, item), key in zip(items, value, strict=True):
            if _SECRET_KEY.fullmatch(key) and isinstance(item, str) and item:
                return path
    elif isinstance(value, list):
        items = [(f"{at}[{index}]", item) for index, item in enumerate(value)]
    return next((found for path, item in items if (found := secret_in(item, path))), None)
