"""The composition root for models: role settings become `dspy.LM`s, layers become stacks."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .clock import SYSTEM_CLOCK, Clock
from .engine import Layer
from .errors import ConfigError

if TYPE_CHECKING:
    import dspy

    from .config import RoleSettings

__all__ = ["default_lm", "lm_for", "retry_layer", "roles_from"]

_EMBEDDED = "embedded/"
_DEFAULT = "embedded/base"


def roles_from(settings: Mapping[str, RoleSettings]) -> dict[str, dspy.LM]:
    """An LM for every configured role, `default` always among them.

    With nothing configured, `default` is the embedded engine: no key, no network, no language
    model. Where a provider is configured, it is used or the error is told; nothing falls back.

    >>> roles_from({})["default"].model
    'embedded/base'
    """
    roles = {role: lm_for(role, found) for role, found in settings.items() if found.model}
    if roles and "default" not in roles:
        raise ConfigError(
            f"roles {sorted(roles)} are configured and 'default' is not: add [lm.default] with "
            "a model, or embedded/base to use the embedded engine on purpose"
        )
    return roles or {"default": default_lm()}


def default_lm() -> dspy.LM:
    """The LM used where none is named: DSPy's configured one, else the embedded engine."""
    import dspy

    configured = dspy.settings.lm
    if configured is not None:
        return configured
    from .runtime.embedded import embedded_lm

    return embedded_lm(_DEFAULT)


def lm_for(role: str, settings: RoleSettings) -> dspy.LM:
    """The LM of one role; keys are read from the environment only."""
    if len(settings.model) != 1:
        raise ConfigError(
            f"[lm.{role}] model names {len(settings.model)} models: name one. A chain of "
            "fallbacks is not built yet"
        )
    model = settings.model[0]
    if model.startswith(_EMBEDDED):
        from .runtime.embedded import embedded_lm

        return embedded_lm(model)
    import dspy

    options: dict[str, Any] = {"temperature": settings.temperature}
    if settings.max_tokens is not None:
        options["max_tokens"] = settings.max_tokens
    if settings.base_url is not None:
        options["api_base"] = settings.base_url
    if settings.key_env is not None:
        options["api_key"] = _key(role, settings.key_env)
    try:
        return dspy.LM(model, num_retries=0, **options)
    except (dspy.LMError, ValueError) as error:  # settings that DSPy refuses for this model
        raise ConfigError(f"[lm.{role}] {model!r} cannot be used so: {error}") from error


def _key(role: str, variable: str) -> str:
    key = os.environ.get(variable)
    if not key:
        raise ConfigError(
            f"[lm.{role}] takes its key from the environment variable {variable!r}, which is not "
            "set: export it, or name another with key_env"
        )
    return key


def retry_layer(clock: Clock = SYSTEM_CLOCK) -> Layer:
    """The layer that repeats failed attempts: 4 in all, full jitter from 1 s up to 30 s."""
    from .runtime.layers.retry import Retry

    return Retry(clock=clock)
