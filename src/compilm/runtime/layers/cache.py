"""The exact cache: a request that was answered before is not asked again.

Kept is what a caller may get instead of asking: whole answers that the model ended by itself.
What is kept is JSON; its key is a digest, in which nothing of the request can be read.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from dspy import lm15

from ...engine import EnginePair, Sample
from ...programs import models
from ..caches.store import Store
from .around import Shared
from .keys import digest_of
from .samples import counted, is_named, settled
from .streams import aclose, close

__all__ = ["Cache", "Counts", "is_worth_keeping", "usage_of"]

_log = logging.getLogger(__name__)
_FORMAT = "compilm-cache/2"  # in every key: what another version kept is never found
_MARK = "compilm_cache"
_WHOLE = frozenset({"stop", "tool_call"})
_COUNTED = ("input_tokens", "output_tokens")
_NOTHING = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}


def is_worth_keeping(response: Any) -> bool:
    """Whether this answer may stand for later ones: whole, and neither refused nor filtered.

    >>> from dataclasses import replace
    >>> from compilm.testing.layer_kit import CountingEngine, request
    >>> answer = CountingEngine().pair.sync.complete(request("yes"))
    >>> is_worth_keeping(answer), is_worth_keeping(replace(answer, finish_reason="length"))
    (True, False)
    """
    parts = response.message.parts
    refused = any(isinstance(part, lm15.RefusalPart) for part in parts)
    return response.finish_reason in _WHOLE and bool(parts) and not refused


def usage_of(response: Any) -> dict[str, int] | None:
    """What the answer cost in tokens when it was made; `None` for one that was not kept.

    >>> from compilm.runtime.caches import MemoryStore
    >>> from compilm.testing.layer_kit import CountingEngine, request
    >>> pair = Cache(MemoryStore())(CountingEngine().pair)
    >>> first, second = (pair.sync.complete(request("yes")) for _ in range(2))
    >>> print(usage_of(first), usage_of(second))
    None {'input_tokens': 10, 'output_tokens': 5}
    """
    found = (response.provider_data or {}).get(_MARK)
    return dict(found["usage"]) if isinstance(found, dict) else None


class Counts:
    """What became of the calls of a cache: threads count into it.

    `hits` were answered from the store, `misses` were asked, `writes` were kept, `failures` are
    reads and writes that the store could not do.

    >>> Counts().hits
    0
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()  # protects the four
        self.hits = self.misses = self.writes = self.failures = 0

    def add(self, name: str) -> int:
        """One more of these; how many there are now."""
        with self._lock:
            count: int = getattr(self, name) + 1
            setattr(self, name, count)
        return count


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
        whose = [_FORMAT, self.tenant, self.artifact, self.source]
        return _Call(digest_of(request, *whose, sample.rollout_id, sample.index), sample)

    def found(self, value: bytes | None) -> Any:
        """The answer that was kept; `None`, and a miss, where there is none that can be read."""
        response = None if value is None else self._read(value)
        self.counts.add("misses" if response is None else "hits")
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

    def value(self, call: _Call, response: Any) -> bytes | None:
        """What to write for this answer; `None` where it is not kept, or another call writes it."""
        if not is_worth_keeping(response):
            return None
        with self._lock:
            asked = self._asked[call.key]
            if asked.written is response:
                return None
            asked.written = response
        body = models.response_to_json(response)
        return json.dumps(body, separators=(",", ":"), allow_nan=False).encode()

    def _read(self, value: bytes) -> Any:
        try:
            body = json.loads(value)
            counts = body.get("usage") or {}
            used = {name: counts[name] for name in _COUNTED if counts.get(name) is not None}
            kept = {_MARK: {"usage": used}}
            return models.response_from_json({**body, "usage": _NOTHING, "provider_data": kept})
        except Exception as error:  # border: what a store holds may be anything
            self.failed(error)
            return None


def _assembled(events: list[Any], request: Any) -> Any:
    return lm15.materialize_response(iter(events), request)


class _Caching(Shared):
    def __init__(self, policy: Cache, inner: Any) -> None:
        super().__init__(inner)
        self._policy = policy

    def complete(self, request: Any) -> Any:
        call = self._policy.call(request)
        if isinstance(call, Sample):
            with settled(call):
                return self._inner.complete(request)
        if (kept := self._kept(call)) is not None:
            return kept
        self._policy.begin(call)
        try:
            with settled(call.sample):
                response = self._inner.complete(request)
            self._keep(call, response)
        finally:
            self._policy.end(call)
        return response

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
                    self._keep(call, None, events, request)
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

    def _keep(self, call: _Call, response: Any, events: Any = None, request: Any = None) -> None:
        policy = self._policy
        try:
            whole = _assembled(events, request) if response is None else response
            if (value := policy.value(call, whole)) is not None:
                policy.store.put(call.key, value, policy.ttl)
                policy.counts.add("writes")
        except Exception as error:  # border: a store that fails never fails a call
            policy.failed(error)


class _AsyncCaching(Shared):
    def __init__(self, policy: Cache, inner: Any) -> None:
        super().__init__(inner)
        self._policy = policy

    async def complete(self, request: Any) -> Any:
        call = self._policy.call(request)
        if isinstance(call, Sample):
            with settled(call):
                return await self._inner.complete(request)
        if (kept := await self._kept(call)) is not None:
            return kept
        self._policy.begin(call)
        try:
            with settled(call.sample):
                response = await self._inner.complete(request)
            await self._keep(call, response)
        finally:
            self._policy.end(call)
        return response

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
                    await self._keep(call, None, events, request)
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

    async def _keep(
        self, call: _Call, response: Any, events: Any = None, request: Any = None
    ) -> None:
        policy = self._policy
        try:
            whole = _assembled(events, request) if response is None else response
            if (value := policy.value(call, whole)) is not None:
                await policy.store.aput(call.key, value, policy.ttl)
                policy.counts.add("writes")
        except Exception as error:  # border: a store that fails never fails a call
            policy.failed(error)
