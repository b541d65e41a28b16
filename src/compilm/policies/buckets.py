"""Amounts that fill up with time, and a number of places that may adapt: what limits count.

`Bucket` is the token bucket; with debt, so that one call may be larger than the bucket. `Places`
grows by one per round of answers while it is full and shrinks as calls are rate-limited, at most
by half in a round: additive increase, multiplicative decrease (Chiu and Jain, "Analysis of the
Increase and Decrease Algorithms for Congestion Avoidance in Computer Networks", 1989), in
proportion to the share that was limited (Alizadeh et al., "Data Center TCP", 2010).
"""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Bucket", "Places"]


@dataclass(slots=True)
class Bucket:
    """`rate` units a second, of which `burst` are saved up at most. Not for threads by itself.

    >>> bucket = Bucket(rate=10.0, burst=10.0)
    >>> bucket.take(10.0, now=0.0)
    >>> bucket.wait(5.0, now=0.0)
    0.5
    """

    rate: float
    burst: float
    _level: float = float("inf")  # full at first, whatever `burst` is
    _at: float = 0.0

    def wait(self, units: float, now: float) -> float:
        """Seconds until so many units can be taken; more than a bucketful waits for a full one."""
        short = min(units, self.burst) - self._filled(now)
        return 0.0 if short <= 1e-9 * self.burst else short / self.rate

    def wait_behind(self, units: float, ahead: float, now: float) -> float:
        """Seconds until so many units can be taken, if `ahead` are taken before."""
        short = ahead + min(units, self.burst) - self._filled(now)
        return max(0.0, short / self.rate)

    def take(self, units: float, now: float) -> None:
        """Take units (or, with fewer than none, give them back); the level may go below zero."""
        self._level = self._filled(now) - units
        if now > self._at:
            self._at = now

    def _filled(self, now: float) -> float:
        level = self._level
        if now > self._at:
            level += self.rate * (now - self._at)
        return level if level < self.burst else self.burst


@dataclass(slots=True)
class Places:
    """How many calls may be out at once: `most`, or as many as a provider bears, up to `most`.

    Each rate limit takes half a place, each answer gives a share of one while all are taken: a
    round that is limited as a whole halves them, one call in a hundred hardly counts.

    >>> places = Places(most=8, adaptive=True)
    >>> for _ in range(8):
    ...     places.limited()
    >>> places.limit
    4
    """

    most: int | None = None
    adaptive: bool = False
    least: int = 1
    taken: int = 0
    _bears: float = field(default=0.0, init=False)  # the adaptive limit
    _limit: int | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._limit, self._bears = self.most, float(self.most or 0)

    @property
    def limit(self) -> int | None:
        """How many at once, now; `None` for any number."""
        return self._limit

    @property
    def is_short(self) -> bool:
        """Whether there would be room, had the provider not answered with rate limits."""
        return self.is_full and self.most is not None and self.taken < self.most

    @property
    def is_full(self) -> bool:
        """Whether the next call has to wait for one to end."""
        return self._limit is not None and self.taken >= self._limit

    def answered(self) -> None:
        """A call was answered: room for more, if there was need of any."""
        if self.adaptive and self.is_full:
            self._set(self._bears + 1.0 / max(1.0, self._bears))

    def limited(self) -> None:
        """A call was rate-limited."""
        if self.adaptive:
            self._set(self._bears - 0.5)

    def _set(self, bears: float) -> None:
        if self.most is not None:
            self._bears = min(float(self.most), max(float(self.least), bears))
            self._limit = int(self._bears)
