"""The semantic cache: a question that is nearly one that was answered gets that answer.

Closeness proposes, guards dispose: an answer is given only where all of them agree
(`runtime/near/guards.py`). Everything but the texts of the last message must be equal.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from math import inf
from typing import Any, NamedTuple

from dspy import lm15

from ...clock import SYSTEM_CLOCK, Clock
from ...engine import EnginePair, Sample
from ...errors import UsageError
from ...programs.embedding import Embedder
from ...retrieval.rows import unit_rows
from ..caches.rest import Rest
from ..near.embedding import HashedWords
from ..near.guards import refusing
from ..near.shelves import Found, Kept, Shelves
from .answers import as_near, is_worth_keeping, near_of, read, usage_of, written
from .around import Shared
from .asked import Asked, asked_of
from .billing import TENANT
from .counts import NearCounts
from .notes import note
from .samples import counted, is_named, settled
from .streams import aclose, close

__all__ = ["Semantic", "near_of"]

_log = logging.getLogger(__name__)
_LARGEST = 64 * 1024  # bytes of an answer that is kept
_PAUSE = 10.0  # seconds for which an embedder that failed is left alone


class _Call(NamedTuple):
    """A call that may be answered by another's answer."""

    asked: Asked
    sample: Sample


@dataclass(frozen=True, slots=True)
class Semantic:
    """A layer: the answer to a near question is given again, for `ttl` seconds.

    Near is a last message of which each text has a cosine of `threshold` or more with the kept
    one, by `embedder`, and no guard refuses; the rest of the request, its sample, `tenant`,
    `artifact` and `source` must be equal. As with the exact cache, a call that asks for a fresh
    answer (`cache=False`) neither reads nor writes, above temperature 0 one without a
    `rollout_id` neither, and what is found has usage 0; `near_of` tells how near it was. Without
    `same_words` two words may differ that no guard knows: only for an embedder that was measured.
    What fails never fails a call. `UsageError` for a threshold that is not in (0, 1].

    >>> from compilm.testing.layer_kit import CountingEngine, request
    >>> engine, semantic = CountingEngine(), Semantic(Shelves(), threshold=0.7)
    >>> pair = semantic(engine.pair)
    >>> texts = "What's the fee for 1,000 euros?", "Hi! what is the fee for 1000 euros"
    >>> pair.sync.complete(request(texts[0])).text == pair.sync.complete(request(texts[1])).text
    True
    >>> other = pair.sync.complete(request("What's the fee for 2,000 euros?"))
    >>> engine.calls, semantic.counts.hits, dict(semantic.counts.refused)
    (2, 1, {'numbers': 1})
    """

    shelves: Shelves
    embedder: Embedder = field(default_factory=HashedWords)
    threshold: float = 0.95
    ttl: float | None = None
    tenant: str = ""
    artifact: str = ""
    source: str = ""
    same_words: bool = True
    clock: Clock = SYSTEM_CLOCK
    counts: NearCounts = field(default_factory=NearCounts, repr=False)
    rest: Rest = field(init=False, repr=False)  # around each use of the embedder

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise UsageError(
                f"a threshold of {self.threshold:g} is no cosine to be near by: give one above 0 "
                "and up to 1, as 0.95"
            )
        object.__setattr__(self, "rest", Rest("the embedder", _PAUSE, self.clock))

    def __call__(self, inner: EnginePair) -> EnginePair:
        return EnginePair(_Near(self, inner.sync), _AsyncNear(self, inner.asynchronous))

    def __str__(self) -> str:
        words = "" if self.same_words else ", with other words"
        return (
            f"near questions share an answer: cosine {self.threshold:g} by {self.embedder.name}"
            f"{words}, {self.shelves.entries:,} at most in this process"
        )

    def call(self, request: Any) -> _Call | Sample:
        """The call with what may be near in it, or its sample alone where nothing may."""
        sample = counted()
        if sample.is_fresh or not is_named(sample, request):
            return sample
        whose = self.tenant or TENANT.get(), self.artifact, self.source, self.embedder.name
        asked = asked_of(request, *whose, sample.rollout_id, sample.index)
        if asked is None:
            self.counts.add("apart")
            return sample
        return _Call(asked, sample)

    def found(self, asked: Asked, rows: Any) -> Any:
        """The answer to a near question; `None`, and a miss, where there is none."""
        response = None if rows is None else self._found(asked, rows)
        self.counts.add("misses" if response is None else "hits")
        return response

    def keep(self, asked: Asked, rows: Any, response: Any) -> None:
        """Keep an answer, if it is to be kept and the question has a vector."""
        is_new = response is not None and usage_of(response) is None
        if rows is None or not (is_new and is_worth_keeping(response) and _is_said(response)):
            return
        try:
            if len(value := written(response)) <= _LARGEST:
                until = inf if self.ttl is None else self.clock.now() + self.ttl
                self.shelves.put(asked.frame, rows, Kept(asked.key, asked.readings, value, until))
                self.counts.add("writes")
        except Exception as error:  # border: what cannot be kept was answered all the same
            self.failed(error)

    def failed(self, error: Exception) -> None:
        """Embedder or index could not do it: counted, and told once without a text."""
        if self.counts.add("failures") == 1:
            told = "the semantic cache fails (%s), calls are made without it; this is said once"
            _log.warning(told, type(error).__name__)

    def whole(self, events: list[Any], request: Any) -> Any:
        """The answer of a stream, if it can be made of its events."""
        try:
            return lm15.materialize_response(iter(events), request)
        except Exception as error:  # border: what is not kept is shown all the same
            self.failed(error)
            return None

    def _found(self, asked: Asked, rows: Any) -> Any:
        try:
            near = self.shelves.near(asked.frame, rows, self.threshold)
            refusals = [self._refusing(asked, one.kept) for one in near]
            agreed = next((one for one, by in zip(near, refusals) if by is None), None)
            if agreed is not None:
                return self._given(agreed)
        except Exception as error:  # border: an index that fails never fails a call
            self.failed(error)
            return None
        if refusals and (by := refusals[0]) is not None:
            self.counts.refuse(by)
            note("cache.refused", guard=by, similarity=round(near[0].similarity, 4))
        return None

    def _refusing(self, asked: Asked, kept: Kept) -> str | None:
        """The guard that refuses one of the texts."""
        pairs = zip(asked.readings, kept.readings, strict=True)
        found = (refusing(*pair, same_words=self.same_words) for pair in pairs)
        return next((by for by in found if by is not None), None)

    def _given(self, found: Found) -> Any:
        self.shelves.used(found.kept.key)
        note("cache.hit", similarity=round(found.similarity, 4))
        return as_near(read(found.kept.value), found.similarity, found.kept.key)


def _is_said(response: Any) -> bool:
    """Whether the answer is words alone: no call of a tool, no picture."""
    told = (lm15.TextPart, lm15.ThinkingPart)
    is_words = all(isinstance(part, told) for part in response.message.parts)
    return is_words and response.finish_reason == "stop"


class _Near(Shared):
    def __init__(self, policy: Semantic, inner: Any) -> None:
        super().__init__(inner)
        self._policy = policy

    def complete(self, request: Any) -> Any:
        call = self._policy.call(request)
        if isinstance(call, Sample):
            with settled(call):
                return self._inner.complete(request)
        rows = self._rows(call.asked)
        if (kept := self._policy.found(call.asked, rows)) is not None:
            return kept
        with settled(call.sample):
            response = self._inner.complete(request)
        self._policy.keep(call.asked, rows, response)
        return response

    def stream(self, request: Any) -> Iterator[Any]:
        call = self._policy.call(request)
        if isinstance(call, Sample):
            return iter(self._inner.stream(request))
        return self._streamed(call.asked, request)

    def _streamed(self, asked: Asked, request: Any) -> Iterator[Any]:
        rows = self._rows(asked)
        if (kept := self._policy.found(asked, rows)) is not None:
            yield from lm15.response_to_events(kept)
            return
        source = self._inner.stream(request)
        events: list[Any] = []
        try:
            for event in source:
                events.append(event)
                if event.type == "end":
                    self._policy.keep(asked, rows, self._policy.whole(events, request))
                yield event
        finally:
            close(source)

    def _rows(self, asked: Asked) -> Any:
        try:
            with self._policy.rest:
                vectors = self._policy.embedder.embed(asked.texts)
                return unit_rows(vectors, len(asked.texts))
        except Exception as error:  # border: an embedder that fails never fails a call
            self._policy.failed(error)
            return None


class _AsyncNear(Shared):
    def __init__(self, policy: Semantic, inner: Any) -> None:
        super().__init__(inner)
        self._policy = policy

    async def complete(self, request: Any) -> Any:
        call = self._policy.call(request)
        if isinstance(call, Sample):
            with settled(call):
                return await self._inner.complete(request)
        rows = await self._rows(call.asked)
        if (kept := self._policy.found(call.asked, rows)) is not None:
            return kept
        with settled(call.sample):
            response = await self._inner.complete(request)
        self._policy.keep(call.asked, rows, response)
        return response

    def stream(self, request: Any) -> AsyncIterator[Any]:
        call = self._policy.call(request)
        if isinstance(call, Sample):
            found: AsyncIterator[Any] = self._inner.stream(request)
            return found
        return self._streamed(call.asked, request)

    async def _streamed(self, asked: Asked, request: Any) -> AsyncIterator[Any]:
        rows = await self._rows(asked)
        if (kept := self._policy.found(asked, rows)) is not None:
            for event in lm15.response_to_events(kept):
                yield event
            return
        source = self._inner.stream(request)
        events: list[Any] = []
        try:
            async for event in source:
                events.append(event)
                if event.type == "end":
                    self._policy.keep(asked, rows, self._policy.whole(events, request))
                yield event
        finally:
            await aclose(source)

    async def _rows(self, asked: Asked) -> Any:
        try:
            with self._policy.rest:
                vectors = await self._policy.embedder.aembed(asked.texts)
                return unit_rows(vectors, len(asked.texts))
        except Exception as error:  # border: as above
            self._policy.failed(error)
            return None
