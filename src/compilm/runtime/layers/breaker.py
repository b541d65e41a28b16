"""The circuit breaker: a layer that keeps calls from a provider that keeps failing."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

from ... import errors
from ...clock import SYSTEM_CLOCK, Clock
from ...engine import EnginePair
from ...policies import circuit
from .around import around
from .outcomes import circuit_open, kind_of

__all__ = ["Breaker", "Circuit", "Circuits"]

_COUNTING = frozenset({"failed", "garbled"})


class Circuit(circuit.Circuit):
    """A circuit whose refusals DSPy understands.

    >>> circuit = Circuit("openai", consecutive=1)
    >>> circuit.record(circuit.admit(now=0.0), False, now=0.0)
    >>> circuit.state(now=0.5), circuit.state(now=1.0)
    ('open', 'half-open')
    """

    __slots__ = ()

    def refusal(self, wait: float) -> errors.CircuitOpen:
        """The error of a call that is not made."""
        return circuit_open(self.name, self.why, wait)


class Circuits:
    """One circuit for each (provider, account, model), however many engines ask through it.

    >>> circuits = Circuits(consecutive=3)
    >>> circuits.of("openai", "team-a", "m") is circuits.of("openai", "team-a", "m")
    True
    """

    def __init__(self, **settings: Any) -> None:
        self._settings = settings
        self._lock = threading.Lock()  # protects _circuits
        self._circuits: dict[tuple[str, str, str], Circuit] = {}

    def of(self, provider: str, account: str, model: str) -> Circuit:
        """The circuit of this key; `account` is a name for the key, never the key."""
        key = (provider, account, model)
        with self._lock:
            if key not in self._circuits:
                self._circuits[key] = Circuit(f"{provider}/{model} ({account})", **self._settings)
            return self._circuits[key]


@dataclass(frozen=True, slots=True)
class Breaker:
    """A layer: calls pass while the circuit is closed, else `CircuitOpen` is raised at once.

    Timeouts, server and transport errors and answers that cannot be read count as failures. Rate
    limits, other 4xx, refusals and cancellations count as nothing.

    >>> from compilm.testing.layer_kit import CountingEngine, ask, request
    >>> from dspy import lm15
    >>> engine = CountingEngine(lambda _: lm15.ServerError("down"))
    >>> pair = Breaker(Circuit("openai/m", consecutive=1))(engine.pair)
    >>> for _ in range(2):
    ...     try:
    ...         ask(pair, request())
    ...     except Exception as error:
    ...         print(type(error).__name__, error)
    ServerError down
    CircuitOpen openai/m is not asked: 1 calls in a row failed; the next try is in 1.0 s
    >>> engine.calls
    1
    """

    circuit: Circuit
    clock: Clock = SYSTEM_CLOCK

    def __call__(self, inner: EnginePair) -> EnginePair:
        return around(self, inner)

    def enter(self, request: Any) -> int:  # noqa: ARG002 - a circuit does not look at requests
        """The permit of a call that starts now."""
        return self.circuit.admit(self.clock.now())

    def leave(self, ticket: int, answer: Any, error: BaseException | None) -> None:  # noqa: ARG002
        """Record what came of it."""
        answered = True if error is None else None
        if error is not None and kind_of(error) in _COUNTING:
            answered = False
        self.circuit.record(ticket, answered, self.clock.now())
