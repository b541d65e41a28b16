"""In which order the models of a chain are asked: as given, the cheapest or the fastest first.

An order is a state without a clock: it is handed the instant, hears what calls took and used, and
ranks the chain anew for each call. What rests, as a model with an open circuit does, goes last.
"""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from ...clock import Clock
from ...prices import Price, Tokens, prompt_tokens, tokens_of
from .outcomes import kind_of

__all__ = ["ByCost", "ByLatency", "Order", "Resting", "watching"]

Resting: TypeAlias = Callable[[float], bool]
"""Whether a model is better not asked at an instant."""

_LEAST = 0.1  # the weight of what was heard last, at the least
_ANSWER = 1024.0  # tokens expected of an answer, until one was seen
_UNTIMED = nullcontext()
_LOST = frozenset({"failed", "garbled", "limited"})  # kinds of errors that cost time for nothing


class Order:
    """The chain as it was given; only what rests goes last.

    resting: one for each model, by its place in the chain.

    >>> awake, asleep = (lambda now: False), (lambda now: True)
    >>> Order([asleep, awake, awake]).ranked(None, now=0.0)
    [1, 2, 0]
    """

    times = False  # whether it is told how long attempts take

    def __init__(self, resting: Sequence[Resting]) -> None:
        self._resting = tuple(resting)

    def ranked(self, request: Any, now: float, *, is_stream: bool = False) -> list[int]:
        """The places of the chain in the order in which this request is asked."""
        rests = [resting(now) for resting in self._resting]
        scores = self._scores(request, is_stream)
        if not scores:
            return sorted(range(len(rests)), key=rests.__getitem__)
        places = sorted(range(len(rests)), key=lambda place: (rests[place], scores[place], place))
        return self._tried(places, len(rests) - sum(rests))

    def took(
        self,
        place: int,
        seconds: float,
        error: BaseException | None,
        now: float,
        *,
        is_stream: bool,
    ) -> None:
        """An attempt took so long, a stream until its first piece; `error` is how it failed."""

    def used(self, place: int, request: Any, usage: Any) -> None:
        """An answer used what this `dspy.lm15.Usage` tells."""

    def _scores(self, request: Any, is_stream: bool) -> Sequence[float]:  # noqa: ARG002
        """What each is worth less of; none, where they stand as they are."""
        return ()

    def _tried(self, places: list[int], awake: int) -> list[int]:  # noqa: ARG002
        """The places as they are tried; the first `awake` of them do not rest."""
        return places


class ByCost(Order):
    """The model first that is expected to answer this request for the least.

    models: as `provider/model`, with their prices beside them. What a model uses is learned: its
    tokens for a prompt of this length, how much of it its cache holds, and how long it answers;
    until it has answered, it is expected to be as the others are. A model without a known price
    goes after those that have one.

    >>> from compilm.prices import Prices
    >>> from compilm.testing.layer_kit import request
    >>> models = ["openai/gpt-5", "openai/unheard-of", "openai/gpt-5-mini"]
    >>> order = ByCost(models, [Prices().find(m) for m in models], [lambda now: False] * 3)
    >>> order.ranked(request("hi"), now=0.0)
    [2, 0, 1]
    """

    def __init__(
        self, models: Sequence[str], prices: Sequence[Price | None], resting: Sequence[Resting]
    ) -> None:
        super().__init__(resting)
        self._models, self._prices = tuple(models), tuple(prices)
        self._lock = threading.Lock()  # protects the habits
        self._habits: list[_Habit | None] = [None] * len(self._models)
        self._usual: _Habit | None = None  # of them all

    def used(self, place: int, request: Any, usage: Any) -> None:
        """Learn from what an answer used; nothing, where the provider did not report it."""
        tokens = tokens_of(usage, self._models[place])
        if tokens is None:
            return
        seen = _Habit.of(tokens, prompt_tokens(request))
        with self._lock:
            self._habits[place] = seen.after(self._habits[place])
            self._usual = seen.after(self._usual)

    def _scores(self, request: Any, is_stream: bool) -> Sequence[float]:  # noqa: ARG002
        sent, most = prompt_tokens(request), request.config.max_tokens or math.inf
        usual = self._usual or _Habit()
        habits = [habit or usual for habit in self._habits]
        return [
            math.inf if price is None else price.usd(habit.tokens(sent, most))
            for price, habit in zip(self._prices, habits, strict=True)
        ]


class _Habit(NamedTuple):
    """What a model uses for each token that a prompt is estimated to have, and for an answer."""

    input: float = 1.0
    cached: float = 0.0
    written: float = 0.0
    output: float = _ANSWER

    @classmethod
    def of(cls, tokens: Tokens, sent: int) -> _Habit:
        return cls(tokens.input / sent, tokens.cached / sent, tokens.written / sent, tokens.output)

    def after(self, known: _Habit | None) -> _Habit:
        """What is known with this as the latest."""
        pairs = zip(known or self, self, strict=True)
        return _Habit(*(old + _LEAST * (new - old) for old, new in pairs))

    def tokens(self, sent: int, most: float) -> Tokens:
        prompt = (int(sent * rate) for rate in (self.input, self.cached, self.written))
        fresh, cached, written = prompt
        return Tokens(fresh, int(min(self.output, most)), cached, written)


class ByLatency(Order):
    """The model first that answers fastest, of late; now and then another, to learn of it.

    draw: where chance comes from. explore: the share of calls that begin with another than the
    fastest. memory: seconds after which what was measured counts a third. Whole answers and the
    first pieces of streams are measured apart. A model that was not asked yet is asked at once. A
    failure counts as what it took, and what the next best takes then; a call that was cancelled,
    as after a race, is known to have taken at least so long.

    >>> order = ByLatency([lambda now: False] * 2, random.Random(7), explore=0.0)
    >>> for place, seconds in enumerate([2.0, 0.5]):
    ...     order.took(place, seconds, None, now=1.0, is_stream=False)
    >>> order.ranked(None, now=2.0)
    [1, 0]
    """

    times = True

    def __init__(
        self,
        resting: Sequence[Resting],
        draw: random.Random,
        *,
        explore: float = 0.05,
        memory: float = 60.0,
    ) -> None:
        super().__init__(resting)
        self._draw, self._explore, self._memory = draw, explore, memory
        self._lock = threading.Lock()  # protects the rest
        self._paces: dict[tuple[int, bool], _Pace] = {}

    def took(
        self,
        place: int,
        seconds: float,
        error: BaseException | None,
        now: float,
        *,
        is_stream: bool,
    ) -> None:
        """Learn from how long an attempt took."""
        with self._lock:
            known = self._paces.get((place, is_stream))
            sample = self._sample(place, seconds, error, is_stream)
            if sample is not None:
                self._paces[place, is_stream] = _Pace(sample, now).after(known, self._memory)

    def _sample(
        self, place: int, seconds: float, error: BaseException | None, is_stream: bool
    ) -> float | None:
        """The seconds that an attempt counts as; `None` where it tells nothing."""
        if error is None:
            return seconds
        if not isinstance(error, Exception):
            return seconds if seconds > self._known(place, is_stream) else None
        if kind_of(error) not in _LOST:
            return None
        others = (n for n in range(len(self._resting)) if n != place)
        known = [pace.seconds for n in others if (pace := self._paces.get((n, is_stream)))]
        return seconds + min(known, default=self._known(place, is_stream))

    def _known(self, place: int, is_stream: bool) -> float:
        pace = self._paces.get((place, is_stream))
        return 0.0 if pace is None else pace.seconds

    def _scores(self, request: Any, is_stream: bool) -> Sequence[float]:  # noqa: ARG002
        with self._lock:
            return [self._known(place, is_stream) for place in range(len(self._resting))]

    def _tried(self, places: list[int], awake: int) -> list[int]:
        with self._lock:
            if awake < 2 or self._draw.random() >= self._explore:
                return places
            other = self._draw.randrange(1, awake)
        return [places[other], *places[:other], *places[other + 1 :]]


class _Pace(NamedTuple):
    """Seconds that attempts take, as of an instant."""

    seconds: float
    at: float

    def after(self, known: _Pace | None, memory: float) -> _Pace:
        """What is known with this as the latest; the older what was known, the less it counts."""
        if known is None:
            return self
        weight = max(_LEAST, 1.0 - math.exp(min(0.0, known.at - self.at) / memory))
        return _Pace(known.seconds + weight * (self.seconds - known.seconds), self.at)


def watching(
    order: Order | None, place: int, clock: Clock, *, is_stream: bool = False
) -> AbstractContextManager[Any]:
    """A block that is one attempt, of which `order` hears how long it took and how it failed."""
    if order is None or not order.times:
        return _UNTIMED
    return _Watch(order, place, clock, is_stream)


@dataclass(slots=True)
class _Watch:
    order: Order
    place: int
    clock: Clock
    is_stream: bool
    began: float = 0.0

    def __enter__(self) -> None:
        self.began = self.clock.now()

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        now = self.clock.now()
        self.order.took(self.place, now - self.began, error, now, is_stream=self.is_stream)
