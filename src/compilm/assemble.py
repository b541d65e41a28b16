"""The composition root for models: role settings become `dspy.LM`s, layers become stacks."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .clock import SYSTEM_CLOCK, Clock
from .config import RoleSettings, RuntimeSettings
from .engine import EnginePair, Layer
from .errors import ConfigError
from .prices import Prices

if TYPE_CHECKING:
    import dspy

    from .runtime.stack import Provider, Stack, Stacks

__all__ = ["default_lm", "lm_for", "retry_layer", "roles_from", "stacks_from"]

_EMBEDDED = "embedded/"
_DEFAULT = "embedded/base"
_DAY = 86_400.0  # seconds
# What each provider speaks, by the name of its API; the first unless a role names another.
_WIRES = {
    "openai": {"chat": "openai-chat", "responses": "openai-responses"},
    "anthropic": {"messages": "anthropic-messages"},
}


def roles_from(
    settings: Mapping[str, RoleSettings],
    runtime: RuntimeSettings | None = None,
    prices: Prices | None = None,
    *,
    artifact: str = "",
) -> dict[str, dspy.LM]:
    """An LM for every configured role, `default` always among them; `artifact` is what will ask.

    With nothing configured, `default` is the embedded engine: no key, no network, no language
    model. Where a provider is configured, it is used or the error is told; what is asked instead
    of it is what the role names, and nothing else.

    >>> roles_from({})["default"].model
    'embedded/base'
    """
    stacks = _stacks(runtime, prices, artifact)
    roles = {role: lm_for(role, found, stacks) for role, found in settings.items() if found.model}
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


def lm_for(role: str, settings: RoleSettings, stacks: Stacks | None = None) -> dspy.LM:
    """The LM of one role: its models under the policies; keys are read from the environment only.

    The embedded engine is in this process and has no policies around it.
    """
    if len(settings.model) == 1 and settings.model[0].startswith(_EMBEDDED):
        from .runtime.embedded import embedded_lm

        return embedded_lm(settings.model[0])
    return _stack_for(role, settings, stacks or _stacks(None, None)).lm


def stacks_from(
    settings: Mapping[str, RoleSettings],
    runtime: RuntimeSettings | None = None,
    prices: Prices | None = None,
) -> dict[str, Stack]:
    """The stack of every role that asks providers.

    >>> found = stacks_from({"default": RoleSettings(model=("openai/gpt-5-mini", "openai/gpt-5"))})
    >>> [what for name, what in found["default"].lines if name == "provider"]
    ['1. openai/gpt-5-mini by dspy', '2. openai/gpt-5 by dspy']
    """
    stacks = _stacks(runtime, prices)
    return {
        role: _stack_for(role, found, stacks)
        for role, found in settings.items()
        if found.model and not (len(found.model) == 1 and found.model[0].startswith(_EMBEDDED))
    }


def _stacks(
    runtime: RuntimeSettings | None, prices: Prices | None = None, artifact: str = ""
) -> Stacks:
    from .runtime.stack import Stacks

    return Stacks(runtime or RuntimeSettings(), prices=prices, artifact=artifact)


def _stack_for(role: str, settings: RoleSettings, stacks: Stacks) -> Stack:
    if not settings.model:
        raise ConfigError(f"[lm.{role}] names no model: name one, or several in order of fallback")
    embedded = [model for model in settings.model if model.startswith(_EMBEDDED)]
    if embedded:
        raise ConfigError(
            f"[lm.{role}] names {embedded[0]!r} in a chain: the embedded engine is no language "
            "model and stands in for none; name it alone, or leave it out"
        )
    addresses = _each(role, "base_url", settings.base_url, settings.model)
    keys = _each(role, "key_env", settings.key_env, settings.model)
    apis = _each(role, "api", settings.api, settings.model)
    return stacks.over(
        *(
            _provider(role, settings, model, address, key, api)
            for model, address, key, api in zip(settings.model, addresses, keys, apis, strict=True)
        ),
        role=role,
        order=settings.order,
    )


def _each(
    role: str, name: str, given: str | tuple[str, ...] | None, models: tuple[str, ...]
) -> tuple[str | None, ...]:
    """The setting of each model: one text serves all only where all are of one provider."""
    if given is None:
        return (None,) * len(models)
    if isinstance(given, str):
        if len({model.partition("/")[0] for model in models}) > 1:
            raise ConfigError(
                f"[lm.{role}] has one {name} for models of several providers: write a list with "
                f"{len(models)} texts, one for each model"
            )
        return (given,) * len(models)
    if len(given) != len(models):
        raise ConfigError(
            f"[lm.{role}] {name} lists {len(given)} for {len(models)} models: one for each"
        )
    return given


def _provider(
    role: str,
    settings: RoleSettings,
    model: str,
    address: str | None,
    key_env: str | None,
    api: str | None = None,
) -> Provider:
    """One model as the settings of its role ask it."""
    from .runtime.stack import Provider

    api = _api(role, model, api)
    key = _key(role, key_env) if key_env is not None else None
    lm = _lm(role, settings, model, address, key, api)
    account = " ".join(filter(None, (address or model.partition("/")[0], key_env)))
    engine = f"{settings.engine}, responses" if api == "responses" else settings.engine
    if settings.engine == "dspy":
        from .programs.models import as_engine

        return Provider(lm, as_engine(lm), account, engine=engine)
    connection = {"base_url": address, "api_key": key, "key_env": key_env}
    pair, name = _wired(role, settings.engine, model, api, connection)
    return Provider(lm, pair, account, name, engine, blocks=settings.engine == "sdk")


def _api(role: str, model: str, api: str | None) -> str | None:
    """The API by which a model is asked; `None` where its provider is not one that we know."""
    known = _WIRES.get(model.partition("/")[0])
    if api is None:
        return next(iter(known)) if known else None
    if api not in (known or ("chat", "responses")):
        raise ConfigError(
            f"[lm.{role}] api {api!r} is not one of {model!r}: it takes "
            f"{' or '.join(known or ('chat', 'responses'))}; a list names one for each model"
        )
    return api


def _wired(
    role: str, engine: str, model: str, api: str | None, connection: Mapping[str, str | None]
) -> tuple[EnginePair, str]:
    """Engines of our own for a model, and what it is called on their wire."""
    from .runtime import engines

    prefix, _, name = model.partition("/")
    if prefix not in _WIRES or not name or api is None:
        raise ConfigError(
            f"[lm.{role}] engine {engine!r} asks {' and '.join(_WIRES)}, and servers that speak as "
            f"they do, not {model!r}: write openai/NAME with the base_url of such a server, or "
            "engine = 'dspy'"
        )
    # What bounds an attempt is the policy above; this bound is for what nobody bounds.
    given: dict[str, Any] = {**connection, "timeout": _DAY}
    if engine == "lean":
        return engines.lean(_WIRES[prefix][api], **given), name
    made = {
        "chat": engines.openai_chat,
        "responses": engines.openai_responses,
        "messages": engines.anthropic_messages,
    }
    return made[api](**given), name


def _lm(
    role: str,
    settings: RoleSettings,
    model: str,
    address: str | None,
    key: str | None,
    api: str | None,
) -> dspy.LM:
    """The plain `dspy.LM` of a model; its own retries are off."""
    import dspy

    options: dict[str, Any] = {"temperature": settings.temperature}
    if settings.max_tokens is not None:
        options["max_tokens"] = settings.max_tokens
    if address is not None:
        options["api_base"] = address
    if key is not None:
        options["api_key"] = key
    if api == "responses":
        options["model_type"] = api
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


def retry_layer(clock: Clock = SYSTEM_CLOCK, attempts: int = 4) -> Layer:
    """The layer that repeats failed attempts, full jitter from 1 s up to 30 s."""
    from .runtime.layers.retry import Retry

    return Retry(attempts, clock=clock)
