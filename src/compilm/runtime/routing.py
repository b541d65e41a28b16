"""How a role's models stand in for each other: which is asked first, and what follows a failure."""

from __future__ import annotations

from collections.abc import Sequence

from ..clock import Clock
from ..engine import EnginePair
from ..errors import ConfigError
from ..prices import Prices
from ..randomness import rng
from .layers.breaker import Circuit
from .layers.fallback import Fallback, Target
from .layers.order import ByCost, ByLatency, Order, Resting

__all__ = ["falling", "order_of", "route_lines"]

_FIRST = {
    "given": "",
    "cost": ", the cheapest for a call first",
    "latency": ", the fastest of late first",
}


def order_of(
    order: str, models: Sequence[str], circuits: Sequence[Circuit], prices: Prices, role: str
) -> Order | None:
    """What ranks these models anew for each call; `None` where they stay as given.

    >>> order_of("given", ["openai/gpt-5"], [Circuit()], Prices(), "default") is None
    True
    """
    if order not in _FIRST:
        raise ConfigError(f"the order {order!r} is none: it is one of {', '.join(_FIRST)}")
    resting = [_resting(circuit) for circuit in circuits]
    if order == "cost":
        return ByCost(models, [prices.find(model) for model in models], resting)
    return ByLatency(resting, rng(0, "order", role)) if order == "latency" else None


def _resting(circuit: Circuit) -> Resting:
    return lambda now: circuit.state(now) == "open"


def falling(
    models: Sequence[str],
    pairs: Sequence[EnginePair],
    order: Order | None,
    *,
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
        order=order,
        resume=resume,
        prefills=first.prefills,
        clock=clock,
    )


def _prefills(model: str) -> bool:
    from .engines.messages_body import prefills

    return model.startswith("anthropic/") and prefills(model)


def route_lines(count: int, order: str, *, resume: bool) -> list[tuple[str, str]]:
    """What the layer does, as a stack tells it.

    >>> route_lines(2, "cost", resume=False)
    [('fallback', '2 models, each once a round, the cheapest for a call first')]
    """
    what = f"{count} models, each once a round{_FIRST[order]}"
    told = [("fallback", what)] if count > 1 else []
    again = [("resume", "a text that breaks off is asked for again from there")]
    return told + again if resume else told
