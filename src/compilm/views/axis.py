"""Axes: round ticks over a range, and where a value lies in pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["Axis", "padded", "ticks"]

_ROUND = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Axis:
    """A linear axis from `low` to `high` drawn from pixel `start` to pixel `end`.

    >>> Axis(0.0, 10.0, 100.0, 200.0).at(5.0)
    150.0
    """

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """The pixel of `value`; what lies outside is put on the edge."""
        share = (value - self.low) / (self.high - self.low)
        return self.start + min(1.0, max(0.0, share)) * (self.end - self.start)

    def ticks(self, wanted: int = 5) -> list[tuple[float, str]]:
        """Pixels and labels of about `wanted` round values within the axis."""
        values, step = ticks(self.low, self.high, wanted)
        return [(self.at(value), _label(value, step)) for value in values]


def ticks(low: float, high: float, wanted: int = 5) -> tuple[list[float], float]:
    """Round values between `low` and `high`, and the step between them: 1, 2, 2.5 or 5 times 10^k.

    >>> ticks(0.0, 1.0)
    ([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], 0.2)
    """
    rough = (high - low) / max(1, wanted)
    scale = 10.0 ** math.floor(math.log10(rough))
    step = next(scale * each for each in _ROUND if scale * each >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(k * step, 10) for k in range(first, last + 1)], round(step, 10)


def padded(
    values: list[float], *, share: float = 0.08, within: tuple[float, float] | None = None
) -> tuple[float, float]:
    """A range around `values` with some air, never empty, cut at `within` if all values lie there.

    >>> padded([0.0, 1.0], within=(0.0, 1.0))
    (0.0, 1.0)
    """
    low, high = min(values), max(values)
    air = (high - low) * share or max(abs(high) * 0.1, 0.05)
    start, end = low - air, high + air
    if within is not None and within[0] <= low and high <= within[1]:
        start, end = max(start, within[0]), min(end, within[1])
    return start, end


def _label(value: float, step: float) -> str:
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    if not math.isclose(round(step, decimals), step):
        decimals += 1
    return f"{value:,.{decimals}f}".replace("-", "−")
