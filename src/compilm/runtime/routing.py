"""How a role's models stand in for each other: which is asked first, and what follows a failure."""

from __future__ import annotations

from collections.abc import Sequence

from ..clock import Clock
from ..config.settings import Hedging
from ..engine import EnginePair
from ..errors import ConfigError
from ..prices import Prices
from ..randomness import rng
from .layers.breaker import Circuit
from .layers.fallback import Fallback, Target
from .layers.hedging import Late
from .layers.limiter import Gate
from .layers.order import ByCost, ByLatency, Order, Resting

__all__ = ["falling", "order_of", "resting", "route_lines"]

_FIRST = {
    "given": "",
    "cost": ", the cheapest for a call first",
    "latency": ", the fastest of late first",
}


def order_of(
    order: str, models: Sequence[str], resting: Sequence[Resting], prices: Prices, role: str
) -> Order:
    """What ranks these models anew for each call; those that rest go last.

    >>> order_of("given", ["openai/gpt-5"], [lambda now: False], Prices(), "default").ranked(0, 0.0)
    [0]
    """
    if order not in _FIRST:
        raise ConfigError(f"the order {order!r} is none: it is one of {', '.join(_FIRST)}")
    if order == "cost":
        return ByCost(models, [prices.find(model) for model in models], resting)
    return ByLatency(resting, rng(0, "order", role)) if order == "latency" else Order(resting)


def resting(circuit: Circuit, gate: Gate) -> Resting:
    """Whether a model is better not asked: its circuit is open, or its account bears no more."""
    return lambda now: circuit.state(now) == "open" or gate.rests(now)


def falling(
    models: Sequence[str],
    pairs: Sequence[EnginePair],
    order: Order,
    *,
    hedge: Hedging = "never",
    resume: bool,
    clock: Clock,
) -> Fallback:
    """The layer above the engines of the first of these models; the others follow."""
    first, *others = (
        Target(model, pair, prefills=_prefills(model))
        for model, pair in zip(models, pairs, strict=True)
    )
    return Fallback(
        others,
        name=first.name,
        hedge=_hedge(hedge),
        order=order,
        resume=resume,
        prefills=first.prefills,
        clock=clock,
    )


def _hedge(hedge: Hedging) -> float | Late | None:
    if hedge == "auto":
        return Late()
    return None if hedge == "never" else hedge


def _prefills(model: str) -> bool:
    from .engines.messages_body import prefills

    return model.startswith("anthropic/") and prefills(model)


def route_lines(
    count: int, order: str, *, hedge: Hedging = "never", resume: bool
) -> list[tuple[str, str]]:
    """What the layer does, as a stack tells it.

    >>> route_lines(2, "cost", resume=False)
    [('fallback', '2 models, each once a round, the cheapest for a call first')]
    """
    what = f"{count} models, each once a round{_FIRST[order]}"
    told = [("fallback", what)] if count > 1 else []
    if hedge != "never" and count > 1:
        when = "in tasks, after 4 times the usual" if hedge == "auto" else f"after {hedge:g} s"
        told.append(("hedge", f"{when} the next is asked too, the first answer wins"))
    if resume:
        told.append(("resume", "a text that breaks off is asked for again from there"))
    return told
