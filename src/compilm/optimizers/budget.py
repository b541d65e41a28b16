"""What a compile may spend, and what it has spent: hard ceilings, which `ledger.py` guards."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any

from ..config import parse_budget
from ..errors import UsageError

__all__ = ["Budget", "Spent"]


@dataclass(frozen=True, slots=True)
class Budget:
    """Ceilings for one compile; `None` means no ceiling of that kind.

    rollouts: executions of the program on one example. calls: requests to a model, retries and the
    proposer's included. tokens: in and out. usd: US dollars. seconds: wall time.

    >>> Budget.parse("1000rollouts, 2usd")
    Budget(rollouts=1000, calls=None, tokens=None, usd=2.0, seconds=None)
    """

    rollouts: int | None = None
    calls: int | None = None
    tokens: int | None = None
    usd: float | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise UsageError(f"budget {field.name} must be a number, not {value!r}")
            if not math.isfinite(value) or value < 0:
                raise UsageError(f"budget {field.name} must be 0 or more, not {value!r}")

    @classmethod
    def parse(cls, text: str) -> Budget:
        """A budget from text such as `1000rollouts`, `2usd`, `500calls,20m`.

        >>> Budget.parse("20m").seconds
        1200.0
        """
        found: dict[str, Any] = {**parse_budget(text)}
        return cls(**found)

    def less(self, spent: Spent) -> Budget:
        """What is left of this budget after `spent`.

        >>> Budget(calls=10).less(Spent(calls=4, rollouts=2))
        Budget(rollouts=None, calls=6, tokens=None, usd=None, seconds=None)
        """
        used = {name: getattr(spent, name) or 0 for name in asdict(self)}
        left = {n: None if c is None else max(0, c - used[n]) for n, c in asdict(self).items()}
        return Budget(**left)

    def to_json(self) -> dict[str, Any]:
        """The ceilings by name, `None` where there is none."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Spent:
    """What a compile has used. `usd` is `None` as soon as the price of one call is unknown.

    >>> Spent(calls=3, usd=None).to_json()["usd"] is None
    True
    """

    rollouts: int = 0
    calls: int = 0
    tokens: int = 0
    usd: float | None = 0.0
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """The figures by name."""
        return asdict(self)
