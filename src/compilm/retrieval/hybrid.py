"""Several retrievers as one: their rankings fused by reciprocal ranks."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeAlias

from ..clock import SYSTEM_CLOCK, Clock
from ..errors import DeadlineExceeded, NoneAnswered, UsageError
from .bounded import awaited, started
from .passages import Passage, Retriever, at_least_one
from .where import Where

__all__ = ["Hybrid", "fused"]

_log = logging.getLogger("compilm")
Answer: TypeAlias = "list[Passage] | Exception"


def fused(
    rankings: Iterable[Sequence[Passage]], weights: Sequence[float] | None = None, flat: int = 60
) -> list[Passage]:
    """One ranking of several: each passage scores the sum of weight / (flat + rank).

    Reciprocal-rank fusion, of Cormack, Clarke and Büttcher (SIGIR 2009), who chose 60 for `flat`:
    the larger, the less the first places count. Scores of the rankings are not looked at. Of
    equals the one that came first stays first.

    >>> a, b, c = (Passage(name, name) for name in "abc")
    >>> [each.id for each in fused([[a, b], [b, c]])]
    ['b', 'a', 'c']
    """
    given = list(rankings)
    scores: defaultdict[str, float] = defaultdict(float)
    first: dict[str, Passage] = {}
    for ranking, weight in zip(given, weights or [1.0] * len(given)):
        for rank, passage in enumerate(ranking, start=1):
            scores[passage.id] += weight / (flat + rank)
            first.setdefault(passage.id, passage)
    ranked = sorted(first, key=lambda id: -scores[id])
    return [first[id].scored(scores[id]) for id in ranked]


class Hybrid:
    """Asks several retrievers at once and fuses what they find (see `fused`).

    Each is asked for `depth` passages, or for those that are wanted if that is more. Passages are
    told apart by id: give all parts the same ones. `timeout` (seconds) ends the wait for a part;
    with `least`, a part that fails or is late is left out, with a warning in the log, as long as
    so many have answered. Without it all must.

    Raises:
        UsageError: no parts, or other weights, depths or times than can be.
        NoneAnswered: fewer than `least` answered; it lists why.

    >>> from compilm.retrieval import Bm25
    >>> lexical = Bm25()
    >>> lexical.add([Passage("a", "Appeals take 30 days.")])
    >>> Hybrid([lexical, lexical]).search("appeals")[0].id
    'a'
    """

    def __init__(
        self,
        parts: Sequence[Retriever],
        *,
        weights: Sequence[float] | None = None,
        depth: int = 50,
        flat: int = 60,
        timeout: float | None = None,
        least: int | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.parts = tuple(parts)
        self.weights = tuple(weights) if weights is not None else (1.0,) * len(self.parts)
        self.least = len(self.parts) if least is None else least
        if not self.parts or len(self.weights) != len(self.parts) or min(self.weights) < 0:
            raise UsageError(
                f"{len(self.parts)} retrievers with weights {self.weights}: give at least one, and "
                "a weight of 0 or more for each"
            )
        if depth < 1 or flat < 0 or not 1 <= self.least <= len(self.parts):
            raise UsageError(
                f"depth {depth}, flat {flat} and least {least} of {len(self.parts)} retrievers: "
                "depth is 1 or more, flat 0 or more, least from 1 to all of them"
            )
        if timeout is not None and not timeout > 0:
            raise UsageError(f"a timeout of {timeout:g} s leaves no time: give more, or None")
        self.depth, self.flat, self.timeout, self._clock = depth, flat, timeout, clock
        self._threads = ThreadPoolExecutor(
            16 * len(self.parts), thread_name_prefix="compilm-hybrid"
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> Hybrid:
        return self  # copies of a program search the same passages

    def search(self, query: str, k: int = 5, where: Where | None = None) -> list[Passage]:
        """The passages that the parts find, the best of all first."""
        at_least_one(k)
        depth = max(k, self.depth)
        if self.timeout is None:
            asked = [partial(one.search, query, depth, where) for one in self.parts]
        else:
            end = self._clock.now() + self.timeout
            threads = [started(self._threads, p.search, query, depth, where) for p in self.parts]
            asked = [partial(awaited, future, end, self._clock) for future in threads]
        return self._fused([_tried(each) for each in asked], k)

    async def asearch(self, query: str, k: int = 5, where: Where | None = None) -> list[Passage]:
        """As `search`, in a task: the parts are asked side by side."""
        at_least_one(k)
        depth = max(k, self.depth)
        asked = [self._aasked(one, query, depth, where) for one in self.parts]
        return self._fused(await asyncio.gather(*asked), k)

    async def _aasked(self, part: Retriever, query: str, depth: int, where: Where | None) -> Answer:
        try:
            async with asyncio.timeout(self.timeout):
                return await part.asearch(query, depth, where)
        except TimeoutError:
            return DeadlineExceeded(f"no passages within {self.timeout:g} s")
        except Exception as error:  # border: a part is anybody's code; `_fused` judges
            return error

    def _fused(self, answers: Sequence[Answer], k: int) -> list[Passage]:
        failed = [
            (f"{place}: {type(part).__name__}", answer)
            for place, (part, answer) in enumerate(zip(self.parts, answers))
            if isinstance(answer, Exception)
        ]
        for _, error in failed:
            if isinstance(error, UsageError):  # the question is wrong, not the part
                raise error
        if len(answers) - len(failed) < self.least:
            if len(self.parts) == 1:
                raise failed[0][1]
            raise NoneAnswered(failed)
        for name, error in failed:
            _log.warning("retriever %s is left out: %s", name, type(error).__name__)
        found = [(a, w) for a, w in zip(answers, self.weights) if not isinstance(a, Exception)]
        return fused([a for a, _ in found], [w for _, w in found], self.flat)[:k]


def _tried(ask: Callable[[], list[Passage]]) -> Answer:
    try:
        return ask()
    except Exception as error:  # border: as in `_aasked`
        return error
