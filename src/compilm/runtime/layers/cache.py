"""The exact cache: a request that was answered before is not asked again.

Kept is what a caller may get instead of asking: whole answers that the model ended by itself.
What is kept is JSON; its key is a digest, in which nothing of the request can be read.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from dspy import lm15

from ...engine import EnginePair, Sample
from ..caches.lease import keyed
from ..caches.store import Store
from .answers import is_worth_keeping, read, usage_of, written
from .around import Shared
from .billing import TENANT
from .counts import Counts
from .keys import digest_of
from .notes import note
from .samples import counted, is_named, settled
from .streams import aclose, close

__all__ = ["Cache", "Counts", "is_worth_keeping", "usage_of"]

_log = logging.getLogger(__name__)
_FORMAT = "compilm-cache/2"  # in every key: what another version kept is never found


class _Asked:
    """Calls of one key that are being made: they may be one below, and are written once."""

    __slots__ = ("calls", "written")

    def __init__(self) -> None:
        self.calls = 0
        self.written: Any = None


class _Call(NamedTuple):
    """A call that may be answered from the store: under which key, and which sample it means."""

    key: str
    sample: Sample


@dataclass(frozen=True, slots=True)
class Cache:
    """A layer: an answer that `store` holds is given again, for `ttl` seconds.

    The key is the digest of the whole request, its sample, `tenant`, `artifact` and `source`,
    which says what answers below: calls that differ in any are never answered with one another's
    answers. A call that asks for a fresh answer (`cache=False`) neither reads nor writes; above
    temperature 0 one without a `rollout_id` neither, unless `sampled`. Kept is what
    `is_worth_keeping`. What is found costs nothing: its usage is zero, and `usage_of` tells what
    it was. A store that fails never fails a call.

    >>> from compilm.runtime.caches import MemoryStore
    >>> from compilm.testing.layer_kit import CountingEngine, request
    >>> engine, cache = CountingEngine(), Cache(MemoryStore(), ttl=60.0)
    >>> pair = cache(engine.pair)
    >>> [pair.sync.complete(request("yes")).text for _ in range(3)], engine.calls
    (['yes', 'yes', 'yes'], 1)
    >>> cache.counts.hits, cache.counts.misses
    (2, 1)
    """

    store: Store
    ttl: float | None = None
    tenant: str = ""
    artifact: str = ""
    source: str = ""
    sampled: bool = False
    counts: Counts = field(default_factory=Counts, repr=False)
    _asked: dict[str, _Asked] = field(default_factory=dict, repr=False)
    _lock: Any = field(default_factory=threading.Lock, repr=False)  # protects _asked

    def __call__(self, inner: EnginePair) -> EnginePair:
        return EnginePair(_Caching(self, inner.sync), _AsyncCaching(self, inner.asynchronous))

    def call(self, request: Any) -> _Call | Sample:
        """The call as the store knows it, or its sample alone where it must be asked."""
        sample = counted()
        if sample.is_fresh or not (self.sampled or is_named(sample, request)):
            return sample
        whose = _FORMAT, self.tenant or TENANT.get(), self.artifact, self.source
        return _Call(digest_of(request, *whose, sample.rollout_id, sample.index), sample)

    def found(self, value: bytes | None) -> Any:
        """The answer that was kept; `None`, and a miss, where there is none that can be read."""
        response = None if value is None else self._read(value)
        self.counts.add("misses" if response is None else "hits")
        note("cache.miss" if response is None else "cache.hit")
        return response

    def failed(self, error: Exception) -> None:
        """The store could not do it: counted, and told once without anything of the call."""
        if self.counts.add("failures") == 1:
            told = "the cache fails (%s) and calls are made without it; this is said once"
            _log.warning(told, type(error).__name__)

    def begin(self, call: _Call) -> None:
        """A call of this key goes out."""
        with self._lock:
            self._asked.setdefault(call.key, _Asked()).calls += 1

    def end(self, call: _Call) -> None:
        """It is over."""
        with self._lock:
            asked = self._asked[call.key]
            asked.calls -= 1
            if not asked.calls:
                del self._asked[call.key]

    def late(self, value: bytes) -> Any:
        """The answer that another process kept while this call waited for it; `None` if none."""
        if (response := self._read(value)) is not None:
            self.counts.add("shared")
        return response

    def keep(self, key: str, response: Any) -> None:
        """Write an answer, if it is to be kept and nobody else writes it."""
        try:
            if (value := self._value(key, response)) is not None:
                self.store.put(key, value, self.ttl)
                self.counts.add("writes")
        except Exception as error:  # border: a store that fails never fails a call
            self.failed(error)

    async def akeep(self, key: str, response: Any) -> None:
        """As `keep`, in a task."""
        try:
            if (value := self._value(key, response)) is not None:
                await self.store.aput(key, value, self.ttl)
                self.counts.add("writes")
        except Exception as error:  # border: as above
            self.failed(error)

    def whole(self, events: list[Any], request: Any) -> Any:
        """The answer of a stream, if it can be made of its events."""
        try:
            return lm15.materialize_response(iter(events), request)
        except Exception as error:  # border: what is not kept is shown all the same
            self.failed(error)
            return None

    def _value(self, key: str, response: Any) -> bytes | None:
        """What to write; `None` where it is not kept, or was, or another call writes it."""
        is_new = response is not None and usage_of(response) is None
        if not (is_new and is_worth_keeping(response)):
            return None
        with self._lock:
            asked = self._asked[key]
            if asked.written is response:
                return None
            asked.written = response
        return written(response)

    def _read(self, value: bytes) -> Any:
        try:
            return read(value)
        except Exception as error:  # border: what a store holds may be anything
            self.failed(error)
            return None


class _Caching(Shared):
    def __init__(self, policy: Cache, inner: Any) -> None:
        super().__init__(inner)
        self._policy = policy

    def complete(self, request: Any) -> Any:
        call = self._policy.call(request)
        if isinstance(call, Sample):
            with settled(call), keyed(None):
                return self._inner.complete(request)
        if (kept := self._kept(call)) is not None:
            return kept
        self._policy.begin(call)
        try:
            with settled(call.sample), keyed(call.key):
                response = self._inner.complete(request)
            self._policy.keep(call.key, response)
        finally:
            self._policy.end(call)
        return response

    def close(self) -> None:
        """Close the engine below, and the store."""
        super().close()
        self._policy.store.close()

    def stream(self, request: Any) -> Iterator[Any]:
        call = self._policy.call(request)
        if isinstance(call, Sample):
            return iter(self._inner.stream(request))
        return self._streamed(call, request)

    def _streamed(self, call: _Call, request: Any) -> Iterator[Any]:
        if (kept := self._kept(call)) is not None:
            yield from lm15.response_to_events(kept)
            return
        source = self._inner.stream(request)
        self._policy.begin(call)
        events: list[Any] = []
        try:
            for event in source:
                events.append(event)
                if event.type == "end":
                    whole = self._policy.whole(events, request)
                    self._policy.keep(call.key, whole)
                yield event
        finally:
            close(source)
            self._policy.end(call)

    def _kept(self, call: _Call) -> Any:
        try:
            value = self._policy.store.get(call.key)
        except Exception as error:  # border: a store that fails never fails a call
            self._policy.failed(error)
            value = None
        return self._policy.found(value)


class _AsyncCaching(Shared):
    def __init__(self, policy: Cache, inner: Any) -> None:
        super().__init__(inner)
        self._policy = policy

    async def complete(self, request: Any) -> Any:
        call = self._policy.call(request)
        if isinstance(call, Sample):
            with settled(call), keyed(None):
                return await self._inner.complete(request)
        if (kept := await self._kept(call)) is not None:
            return kept
        self._policy.begin(call)
        try:
            with settled(call.sample), keyed(call.key):
                response = await self._inner.complete(request)
            await self._policy.akeep(call.key, response)
        finally:
            self._policy.end(call)
        return response

    async def aclose(self) -> None:
        """Close the asynchronous engine below, and what the store holds of this event loop."""
        await super().aclose()
        await self._policy.store.aclose()

    def stream(self, request: Any) -> AsyncIterator[Any]:
        call = self._policy.call(request)
        if isinstance(call, Sample):
            found: AsyncIterator[Any] = self._inner.stream(request)
            return found
        return self._streamed(call, request)

    async def _streamed(self, call: _Call, request: Any) -> AsyncIterator[Any]:
        if (kept := await self._kept(call)) is not None:
            for event in lm15.response_to_events(kept):
                yield event
            return
        source = self._inner.stream(request)
        self._policy.begin(call)
        events: list[Any] = []
        try:
            async for event in source:
                events.append(event)
                if event.type == "end":
                    whole = self._policy.whole(events, request)
                    await self._policy.akeep(call.key, whole)
                yield event
        finally:
            await aclose(source)
            self._policy.end(call)

    async def _kept(self, call: _Call) -> Any:
        try:
            value = await self._policy.store.aget(call.key)
        except Exception as error:  # border: a store that fails never fails a call
            self._policy.failed(error)
            value = None
        return self._policy.found(value)
