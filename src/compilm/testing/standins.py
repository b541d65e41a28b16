"""Stand-ins for providers: each model of a program on loopback, failing at a rate, free to ask.

The policies around them are the real ones, as `[runtime]` sets them; the answers are the embedded
engine's, which is not a language model.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

import dspy

from ..config import RoleSettings, RuntimeSettings
from ..engine import SAMPLE, Sample
from ..errors import ConfigError
from ..programs.models import RoleLM, is_embedded, role_lm
from ..runtime.embedded import AsyncEmbeddedEngine, EmbeddedEngine
from ..runtime.engines import lean
from ..runtime.layers.around import around
from ..runtime.stack import Provider, Stacks
from .faults import OK, FaultServer

__all__ = ["INVENTED", "REQUEST", "StandIn", "StandIns"]

INVENTED = ("openai/first", "anthropic/second")
"""The chain of a role for which no provider's model is known."""

REQUEST: ContextVar[int | None] = ContextVar("compilm_drill_request", default=None)
"""The number of the request that a call belongs to: equal calls of two requests are two."""

_KEY = "no-key"  # sent to loopback; none is read from the environment
_DAY = 86_400.0  # seconds
_OTHERS = 1_000_000  # more than the samples that one request asks for


@dataclass(frozen=True, slots=True)
class StandIn:
    """What one model was asked: `attempts` at the wire, `faults` put into them, by name.

    `answered` attempts brought an answer; the circuit of the model opened `openings` times.
    """

    model: str
    attempts: int
    answered: int
    faults: Mapping[str, int]
    openings: int


class StandIns:
    """A context manager: `roles` are LMs over the chains, whose providers are fault servers.

    One server stands for each (account, model), speaking Anthropic's wire for `anthropic/` models
    and OpenAI's for all others, Responses where the role or the LM asks that API. `mix` are the
    rates of faults, drawn by what is asked, so that one seed gives the same whatever the order.
    `calls` counts what the program asked of its models; `servers` has what arrived, by (account,
    model).

    >>> chain = RoleSettings(model=("openai/a", "anthropic/b"))
    >>> with StandIns({"default": chain}, mix={"500": 0.5}, seed=1) as there:
    ...     with dspy.context(lm=there.roles["default"]):
    ...         said = [dspy.Predict("mail -> order_id")(mail=f"C-4{n}?").order_id for n in (2, 3)]
    >>> said, there.calls, [(one.model, one.attempts) for one in there.told()]
    (['C-42', 'C-43'], 2, [('openai/a', 2), ('anthropic/b', 1)])
    """

    def __init__(
        self,
        chains: Mapping[str, RoleSettings],
        settings: RuntimeSettings | None = None,
        *,
        mix: Mapping[str, float] | None = None,
        seed: int = 0,
    ) -> None:
        self._chains, self._mix, self._seed = dict(chains), dict(mix or {}), seed
        # Nothing is spent here, and what a day may cost is no reason to end a drill. No cache
        # either: what it holds would never be asked, and what stands in answers for nobody else.
        asked = settings or RuntimeSettings()
        self._stacks = Stacks(replace(asked, budget={}, tenant_budget={}, cache="none"))
        self._engine = EmbeddedEngine()
        self.servers: dict[tuple[str, str], FaultServer] = {}
        self._answers: dict[tuple[str, str], _Count] = {}
        self._count, self._fallen = _Asked(), _Count()
        self.roles: dict[str, dspy.LM] = {}

    def __enter__(self) -> StandIns:
        self._open = ExitStack()
        with ExitStack() as opening:
            self.roles = {role: self._lm(chain, opening) for role, chain in self._chains.items()}
            self._open = opening.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @property
    def calls(self) -> int:
        """How many calls the program made, each of which may be several attempts."""
        return self._count.calls

    @property
    def fallbacks(self) -> int:
        """How many calls another model than the first of their chain answered."""
        return self._fallen.answered

    def told(self) -> tuple[StandIn, ...]:
        """What each model was asked, in the order of the chains."""
        openings = self._stacks.openings()
        return tuple(
            StandIn(
                model,
                counts.total(),
                self._answers[account, model].answered,
                {fault: n for fault, n in sorted(counts.items()) if fault != OK},
                openings.get((account, model), 0),
            )
            for (account, model), counts in self._arrived()
        )

    def _arrived(self) -> list[tuple[tuple[str, str], Counter[str]]]:
        return [(key, server.counts) for key, server in self.servers.items()]

    def instead_of(self, lm: dspy.LM) -> dspy.LM:
        """What stands in for an LM that a program holds itself; the embedded engine stays."""
        if is_embedded(lm):
            return lm
        asks = {name: lm.kwargs.get(name) for name in ("temperature", "max_tokens")}
        api = "responses" if lm.model_type == "responses" else None
        return self._lm(RoleSettings(model=(str(lm.model),), api=api, **asks), self._open)

    def _lm(self, chain: RoleSettings, opening: ExitStack) -> RoleLM:
        providers = [
            self._provider(model, account, api, chain, opening)
            for model, account, api in zip(
                chain.model, _accounts(chain), _each(chain.api, chain), strict=True
            )
        ]
        for place, provider in enumerate(providers[1:], start=1):
            providers[place] = replace(provider, pair=around(self._fallen, provider.pair))
        found = self._stacks.over(*providers, order=chain.order)
        opening.callback(found.close)
        counted = around(self._count, found.pair)
        return role_lm(counted, providers[0].like)

    def _provider(
        self,
        model: str,
        account: str,
        api: str | None,
        chain: RoleSettings,
        opening: ExitStack,
    ) -> Provider:
        key = (account, model)
        if key not in self.servers:
            seed = self._seed + 1009 * len(self.servers)
            server = FaultServer(self._engine, mix=self._mix, seed=seed, by_content=True)
            self.servers[key] = opening.enter_context(server)
            self._answers[key] = _Count()
        prefix, _, name = model.partition("/")
        wire = "openai-responses" if api == "responses" else "openai-chat"
        wire = "anthropic-messages" if prefix == "anthropic" else wire
        address = f"{self.servers[key].url}/v1"
        # What bounds an attempt is the policy above, as in service.
        pair = around(self._answers[key], lean(wire, address, api_key=_KEY, timeout=_DAY))
        return Provider(self._like(model, api, chain), pair, account, name or model, "lean", False)

    def _like(self, model: str, api: str | None, chain: RoleSettings) -> dspy.LM:
        """The model with its settings; it can do what the engine that answers can do."""
        options: dict[str, Any] = {"temperature": chain.temperature, "max_tokens": chain.max_tokens}
        if api == "responses":
            options["model_type"] = api
        asynchronous = AsyncEmbeddedEngine(self._engine)
        try:
            return dspy.LM(
                model, engine=self._engine, async_engine=asynchronous, num_retries=0, **options
            )
        except (dspy.LMError, ValueError) as error:  # settings that DSPy refuses for this model
            raise ConfigError(f"{model!r} cannot be used so: {error}") from error


class _Count:
    """A policy that counts: calls that went in, and those that were answered."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # protects both
        self.calls = self.answered = 0

    def enter(self, request: Any) -> None:  # noqa: ARG002 - all count
        with self._lock:
            self.calls += 1

    def leave(self, ticket: None, usage: Any, error: BaseException | None) -> None:  # noqa: ARG002
        with self._lock:
            self.answered += error is None


class _Asked(_Count):
    """Counts what a program asks, and keeps what two requests ask apart."""

    def enter(self, request: Any) -> None:
        super().enter(request)
        number, sample = REQUEST.get(), SAMPLE.get() or Sample()
        if number is not None:
            own = (sample.rollout_id or 0) % _OTHERS
            # Set back by the RoleLM above, which sets it for each call.
            SAMPLE.set(replace(sample, rollout_id=own + _OTHERS * (number + 1)))


def _accounts(chain: RoleSettings) -> list[str]:
    """Whom each model of a chain is asked as; limits and circuits are kept by it."""
    addresses, keys = _each(chain.base_url, chain), _each(chain.key_env, chain)
    return [
        " ".join(filter(None, (address or model.partition("/")[0], key)))
        for model, address, key in zip(chain.model, addresses, keys, strict=True)
    ]


def _each(given: str | tuple[str, ...] | None, chain: RoleSettings) -> list[str | None]:
    """The setting of each model of a chain."""
    return list(given) if isinstance(given, tuple) else [given] * len(chain.model)
