"""Texts of errors without what is secret: they go to a model, and from there anywhere."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

__all__ = ["scrubbed"]

_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSW|PASSPHRASE|CREDENTIAL|DSN|_PAT$", re.I)
_LEAST = 8  # characters: shorter values are words of their own
_SHAPES = (
    (re.compile(r"(?<=://)[^\s/@]+@"), "[secret]@"),
    (re.compile(r"\b(Bearer|Basic)\s+[\w.~+/=-]{8,}"), r"\1 [secret]"),
    (
        re.compile(
            r"(?i)\b([\w-]*(?:api[_-]?key|passw(?:or)?d|secret|token))(['\"]?\s*[=:]\s*)['\"]?[^\s,;'\"&)]+"
        ),
        r"\1\2[secret]",
    ),
    (re.compile(r"\b(?:sk|rk|pk)-[\w-]{16,}|\beyJ[\w-]{10,}\.[\w.-]+"), "[secret]"),
    (re.compile(r"\bAIza[\w-]{30,}|\bAKIA[0-9A-Z]{16}\b|\b(?:hf|gh[opsu])_\w{20,}"), "[secret]"),
)


def scrubbed(text: str, env: Mapping[str, str]) -> str:
    """`text` without the values of variables of `env` that are named like keys, and the like.

    >>> scrubbed("cannot reach postgres://desk:hunter2@db/claims", {})
    'cannot reach postgres://[secret]@db/claims'
    >>> scrubbed("401 for abc-123-xyz", {"CLAIMS_TOKEN": "abc-123-xyz"})
    '401 for [secret]'
    """
    for value in _secrets(env):
        text = text.replace(value, "[secret]")
    for shape, instead in _SHAPES:
        text = shape.sub(instead, text)
    return text


def _secrets(env: Mapping[str, str]) -> Iterator[str]:
    """The longest first: one may hold another."""
    found = {env[name] for name in env if _NAME.search(name) and len(env[name]) >= _LEAST}
    yield from sorted(found, key=len, reverse=True)
