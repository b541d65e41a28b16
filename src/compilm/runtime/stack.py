"""The stack of a role: its providers, and the policies around them in their one order."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, replace
from uuid import uuid4

import dspy

from .. import canonical
from ..clock import SYSTEM_CLOCK, Clock
from ..config import RuntimeSettings
from ..engine import EnginePair, Layer, stack
from ..errors import ConfigError
from ..prices import Price, Prices
from ..programs.models import RoleLM, as_engine, identity, role_lm
from ..programs.requests import like
from .caches import Leases
from .caches.configured import store_of, where
from .layers.breaker import Breaker, Circuit
from .layers.budget import Budget, PerCall
from .layers.cache import Cache
from .layers.coalesce import Coalesce
from .layers.deadline import Deadline
from .layers.ledger import Ledger
from .layers.limiter import Gate, Limiter
from .layers.prefix import marked, takes_marks
from .layers.purse import Limits, Purse
from .layers.retry import Retry
from .layers.rewrite import Rewrite
from .layers.streams import aclose, close
from .layers.timeout import Timeout
from .layers.trace import Attempts, Calls
from .layers.turns import Turns
from .nearness import semantic_of
from .routing import falling, order_of, resting, route_lines

__all__ = ["Provider", "Stack", "Stacks"]


@dataclass(frozen=True, slots=True)
class Provider:
    """One model at one account, and the engines that make an attempt at it.

    `like` tells the model, its settings and what it can do. `model` is its name in requests where
    the engines want another than `like` has. `account` is what limits are kept by; it is shown,
    so it names a key and holds none. `blocks` says that the synchronous engine cannot be cut.
    """

    like: dspy.LM
    pair: EnginePair
    account: str
    model: str | None = None
    engine: str = "dspy"
    blocks: bool = True

    @classmethod
    def of(cls, lm: dspy.LM) -> Provider:
        """The provider that a `dspy.LM` is; one object is one account.

        >>> Provider.of(dspy.LM("openai/gpt-5-mini")).name
        'openai/gpt-5-mini'
        """
        address = lm.kwargs.get("api_base") or lm.kwargs.get("base_url") or ""
        account = f"{str(lm.model).partition('/')[0]} {address}".strip()
        if not isinstance(lm.engine, str):  # its engine knows where it asks, and as whom
            account = f"{account} #{id(lm.engine):x}"
        return cls(lm, as_engine(lm), account)

    @property
    def name(self) -> str:
        """The model as people name it."""
        return str(self.like.model)


@dataclass(frozen=True, slots=True)
class Stack:
    """A role's models as one `dspy.LM`, and what stands between, a line for each layer.

    >>> print(Stacks().over(dspy.LM("openai/gpt-5-mini")))
    deadline   120 s for a call in all
    coalesce   equal calls in flight are one
    retry      4 attempts in all, after 0 to 30 s
    breaker    opens after 5 failures in a row
    limiter    32 at once
    timeout    45 s for one attempt
    price      $0.25 in, $2 out for 1,000,000 tokens (shipped, 2026-11-26)
    provider   openai/gpt-5-mini by dspy
    """

    lm: RoleLM
    lines: tuple[tuple[str, str], ...]
    pair: EnginePair

    def close(self) -> None:
        """Close idle connections of threads; the next call opens others."""
        close(self.pair.sync)

    async def aclose(self) -> None:
        """Close the connections of this event loop; the next call opens others."""
        await aclose(self.pair.asynchronous)

    def __str__(self) -> str:
        return "\n".join(f"{name:11}{what}" for name, what in self.lines)


class Stacks:
    """Builds stacks that share what belongs to a provider: limits by account, circuits by model.

    They share one `ledger`, which has the `prices`, and one `purse` where there is a budget.
    `artifact` is the digest of what asks: answers that are kept for one are not given to another.
    `rng` draws the waits between attempts.

    >>> from compilm.testing.engines import scripted_lm
    >>> down = scripted_lm([dspy.LMServerError(model="a", message="down")], model="a/first")
    >>> well = scripted_lm([{"answer": "4"}], model="b/second")
    >>> stack = Stacks(RuntimeSettings(deadline=10.0)).over(down, well)
    >>> with dspy.context(lm=stack.lm):
    ...     dspy.Predict("question -> answer")(question="2+2?").answer
    '4'
    """

    def __init__(
        self,
        settings: RuntimeSettings | None = None,
        clock: Clock = SYSTEM_CLOCK,
        prices: Prices | None = None,
        *,
        artifact: str = "",
        rng: random.Random | None = None,
    ) -> None:
        self._rng = rng or random.Random()
        self._settings, self._clock, self._artifact = settings or RuntimeSettings(), clock, artifact
        self.ledger, self.purse = Ledger(prices, clock), _purse(self._settings)
        self._store, self._own = store_of(self._settings, clock), uuid4().hex
        self._semantic = semantic_of(self._settings, clock)
        self._lock = threading.Lock()  # protects both
        self._gates: dict[str, Gate] = {}
        self._circuits: dict[tuple[str, str], Circuit] = {}

    def over(
        self, *chain: dspy.LM | Provider, role: str = "default", order: str = "given"
    ) -> Stack:
        """One LM that asks the first of these, and the next where it cannot answer.

        The ledger counts its calls under `role`. With the order `cost` or `latency`, it is the
        cheapest for a call or the fastest of late that is asked first.

        It asks as the first does: its settings go to all. A compile that is given this LM asks
        the first alone, with policies of its own. Raises `ConfigError` for an empty chain.
        """
        if not chain:
            raise ConfigError("a stack needs a model: name one, or several in order of fallback")
        providers = [one if isinstance(one, Provider) else Provider.of(one) for one in chain]
        above, told = self._above(providers, role)
        yields = len({provider.account for provider in providers}) > 1
        guarded = [self._guarded(provider, role, yields) for provider in providers]
        first = providers[0]
        above += self._routed(providers, [pair for pair, _ in guarded], role, order)
        settings = self._settings
        told += route_lines(len(providers), order, hedge=settings.hedge, resume=settings.resume)
        for place, (_, lines) in enumerate(guarded, start=1):
            mark = f"{place}. " if len(guarded) > 1 else ""
            told += [(name, f"{mark}{what}") for name, what in lines]
        pair = stack(guarded[0][0], Calls(), *above)
        lm = role_lm(pair, first.like)
        lm.attempt = self._attempt(first)
        lm.fallbacks = tuple(provider.name for provider in providers[1:])
        return Stack(lm, tuple(told), pair)

    def openings(self) -> dict[tuple[str, str], int]:
        """How often the circuit of each (account, model) has opened."""
        with self._lock:
            return {key: circuit.openings for key, circuit in self._circuits.items()}

    def _routed(
        self, chain: list[Provider], pairs: list[EnginePair], role: str, order: str
    ) -> list[Layer]:
        """The layer that makes one of several, or goes on with what one of them began."""
        names, settings = [provider.name for provider in chain], self._settings
        rests = [resting(self._circuit(each), self._gate(each)) for each in chain]
        ranks = order_of(order, names, rests, self.ledger.prices, role)
        if len(chain) == 1 and not settings.resume:
            return []
        hedge, resume = settings.hedge, settings.resume
        return [falling(names, pairs, ranks, hedge=hedge, resume=resume, clock=self._clock)]

    def _above(self, chain: list[Provider], role: str) -> tuple[list[Layer], list[tuple[str, str]]]:
        """The layers over the whole chain."""
        settings, clock = self._settings, self._clock
        retry = Retry(settings.attempts, clock=clock, rng=self._rng)
        layers: list[Layer] = [Deadline(settings.deadline, clock=clock), Coalesce(clock), retry]
        told = [
            ("deadline", f"{settings.deadline:g} s for a call in all"),
            ("coalesce", "equal calls in flight are one"),
            ("retry", f"{settings.attempts} attempts in all, after 0 to {retry.cap:g} s"),
        ]
        source = _source(chain, self._own)
        if self._semantic is not None:
            near = replace(self._semantic, artifact=self._artifact, source=source)
            layers.insert(1, near)
            told.insert(1, ("semantic", str(near)))
        if self._store is not None:
            kept = Cache(self._store, settings.cache_ttl, artifact=self._artifact, source=source)
            if isinstance(self._store, Leases):
                turns = Turns(self._store, kept, clock)
                layers.insert(-1, turns)
                wait = f"one process asks, others wait up to {turns.patience:g} s for its answer"
                told.insert(-1, ("turns", wait))
            layers.insert(0, kept)
            serves = f"an answer serves for {settings.cache_ttl:g} s, {where(settings)}"
            told.insert(0, ("cache", serves))
        if self.purse is not None:
            told.insert(0, ("budget", str(self.purse)))
            if self.purse.limits.is_per_call:
                layers.insert(0, PerCall())
        return [self.ledger.calls(role, [one.name for one in chain]), *layers], told

    def _guarded(
        self, provider: Provider, role: str, yields: bool
    ) -> tuple[EnginePair, list[tuple[str, str]]]:
        """One provider under the layers that are its own; `yields`: another may be asked."""
        settings, clock = self._settings, self._clock
        layers: list[Layer] = [
            Attempts(provider.name),
            Breaker(self._circuit(provider), clock),
            Limiter(self._gate(provider), clock, yields),
            Timeout(settings.timeout, provider.blocks, clock),
            *self._counted(provider, role),
            _named(provider),
        ]
        told = [
            ("breaker", f"opens after {settings.breaker} failures in a row"),
            ("limiter", _limits(settings)),
            ("timeout", f"{settings.timeout:g} s for one attempt"),
            ("price", _costs(provider.name, self.ledger.prices.find(provider.name))),
            ("provider", f"{provider.name} by {provider.engine}"),
        ]
        if self._marks(provider):
            told.insert(-1, ("prefix", "what stays the same is marked for the provider's cache"))
        return stack(provider.pair, *layers), told

    def _counted(self, provider: Provider, role: str) -> list[Layer]:
        """What an attempt may take and took; below the timeout, where late answers still pass."""
        layers: list[Layer] = [self.ledger.attempts(role, provider.name)]
        if self.purse is not None:
            price = self.ledger.prices.find(provider.name)
            layers.insert(0, Budget(self.purse, provider.name, price, self._clock))
        if self._marks(provider):
            layers.insert(0, Rewrite(marked))
        return layers

    def _marks(self, provider: Provider) -> bool:
        return self._settings.prompt_cache and takes_marks(provider.name)

    def _attempt(self, provider: Provider) -> EnginePair:
        """One attempt as a compile makes it: within the limits, and as long as a call may take."""
        settings, clock = self._settings, self._clock
        limits: list[Layer] = []
        if settings.requests_per_minute or settings.tokens_per_minute:
            limits.append(Limiter(self._gate(provider), clock))
        timeout = Timeout(max(settings.timeout, settings.deadline), provider.blocks, clock)
        return stack(provider.pair, *limits, timeout, _named(provider))

    def _gate(self, provider: Provider) -> Gate:
        settings = self._settings
        with self._lock:
            if provider.account not in self._gates:
                self._gates[provider.account] = Gate(
                    provider.account,
                    concurrency=settings.concurrency,
                    requests=settings.requests_per_minute,
                    tokens=settings.tokens_per_minute,
                    adaptive=True,
                )
            return self._gates[provider.account]

    def _circuit(self, provider: Provider) -> Circuit:
        key = provider.account, provider.name
        with self._lock:
            if key not in self._circuits:
                breaker = self._settings.breaker
                self._circuits[key] = Circuit(provider.name, consecutive=breaker)
            return self._circuits[key]


def _purse(settings: RuntimeSettings) -> Purse | None:
    """What may be spent, if that is limited; all stacks of one `Stacks` share it."""
    if not (settings.budget or settings.tenant_budget):
        return None
    return Purse(Limits.of(settings.budget), Limits.of(settings.tenant_budget))


def _costs(model: str, price: Price | None) -> str:
    if price is None:
        return f'not known, so its calls are counted without: [prices."{model}"] gives one'
    return f"${price.input:g} in, ${price.output:g} out for 1,000,000 tokens ({price.source})"


def _source(chain: list[Provider], own: str) -> str:
    """What makes two chains answer differently: each model, where it is asked, with what."""
    told = []
    for one in chain:
        engine = getattr(one.like, "engine", "auto")
        # An engine that cannot say what it is answers for itself alone, under a name of its own.
        known = isinstance(engine, str) or hasattr(engine, "dump_state")
        told.append([identity(one.like), one.model, None if known else f"{own} {id(engine):x}"])
    return canonical.digest(told)


def _limits(settings: RuntimeSettings) -> str:
    found = [f"{settings.concurrency} at once"]
    if settings.requests_per_minute is not None:
        found.append(f"{settings.requests_per_minute:g} requests a minute")
    if settings.tokens_per_minute is not None:
        found.append(f"{settings.tokens_per_minute:g} tokens a minute")
    return ", ".join(found)


def _named(provider: Provider) -> Layer:
    """Every request below is for this model, whoever the program asked."""
    model = provider.model or provider.name
    return Rewrite(lambda r: r if r.model == model else like(r, model=model))
