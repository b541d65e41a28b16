"""What the tests of the exact cache share: stores, engines, and the ways to ask."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from dspy import lm15

from compilm.clock import ManualClock
from compilm.engine import SAMPLE, EnginePair, Sample
from compilm.runtime.caches import MemoryStore
from compilm.testing.layer_kit import CountingEngine, aask, ask, request


class Broken:
    """A store that can do nothing."""

    def get(self, key: str) -> bytes | None:
        raise OSError(f"the disk is gone, and {key} with it")

    def put(self, key: str, value: bytes, ttl: float | None = None) -> None:
        raise OSError(f"the disk is gone, and {key} {value!r} {ttl} with it")

    async def aget(self, key: str) -> bytes | None:
        return self.get(key)

    async def aput(self, key: str, value: bytes, ttl: float | None = None) -> None:
        self.put(key, value, ttl)

    def close(self) -> None:
        """Nothing is open."""

    async def aclose(self) -> None:
        """Nothing is open."""


class Counting(MemoryStore):
    """A store that knows what was put."""

    def __init__(self, clock: Any = None) -> None:
        super().__init__(clock=clock or ManualClock())
        self.puts: list[tuple[str, bytes]] = []

    def put(self, key: str, value: bytes, ttl: float | None = None) -> None:
        self.puts.append((key, value))
        super().put(key, value, ttl)


async def listed(pair: EnginePair, asked: Any) -> list[Any]:
    return [event async for event in pair.asynchronous.stream(asked)]


def streamed(pair: EnginePair, asked: Any) -> str:
    return lm15.materialize_response(iter(pair.sync.stream(asked)), asked).text or ""


def astreamed(pair: EnginePair, asked: Any) -> str:
    events = asyncio.run(listed(pair, asked))
    return lm15.materialize_response(iter(events), asked).text or ""


def told(pair: EnginePair, asked: Any) -> str:
    return str(ask(pair, asked).text)


def atold(pair: EnginePair, asked: Any) -> str:
    return str(aask(pair, asked).text)


WAYS = (told, atold, streamed, astreamed)
ways = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)


@contextmanager
def sampled(**sample: Any) -> Iterator[Sample]:
    meant = Sample(**sample)
    token = SAMPLE.set(meant)
    try:
        yield meant
    finally:
        SAMPLE.reset(token)


class Answering:
    """An engine pair that gives one response each time, and counts."""

    def __init__(self, response: Any) -> None:
        self.response, self.calls = response, 0
        self.pair = EnginePair(self, _Twin(self))

    def complete(self, asked: Any) -> Any:
        assert asked.messages
        self.calls += 1
        return self.response

    def stream(self, asked: Any) -> Any:
        yield from lm15.response_to_events(self.complete(asked))


class _Twin:
    def __init__(self, twin: Answering) -> None:
        self.twin = twin

    async def complete(self, asked: Any) -> Any:
        return self.twin.complete(asked)

    async def stream(self, asked: Any) -> Any:
        for event in self.twin.stream(asked):
            yield event


WHOLE = CountingEngine().answer(request("yes"))
CALL = lm15.ToolCallPart(id="1", name="look", input={"at": "it"})
