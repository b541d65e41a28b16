"""A limiter that yields: where another account may be asked, a closed one is not waited for."""

from __future__ import annotations

import asyncio
from math import inf
from typing import Any

import pytest
from dspy import lm15

from compilm.clock import ManualClock
from compilm.errors import LimitReached
from compilm.runtime.layers.limiter import Gate, Limiter, Ticket
from compilm.testing.layer_kit import CountingEngine, aask, ask, request

both = pytest.mark.parametrize("how", [ask, aask], ids=["sync", "async"])


@both
def test_a_limiter_that_yields_refuses_at_once_while_the_provider_wants_a_pause(how: Any) -> None:
    """So that another is asked: what was refused booked nothing, and the pause ends on time."""
    clock, gate = ManualClock(), Gate("a", requests=60)
    replies: list[Any] = [lm15.RateLimitError("slow", retry_after=30.0), "yes"]
    engine = CountingEngine(lambda _: replies.pop(0))
    pair = Limiter(gate, clock, yields=True)(engine.pair)
    with pytest.raises(lm15.RateLimitError):
        how(pair, request())
    for _ in range(3):
        with pytest.raises(LimitReached, match=r"a asked to be left alone for 30\.0 s") as refused:
            how(pair, request())
        assert refused.value.retry_after == 30.0
    assert (clock.now(), engine.calls, gate.waiting) == (0.0, 1, 0)
    clock.advance(30.0)
    assert (how(pair, request()).text, engine.calls) == ("yes", 2)


def test_who_waits_when_the_pause_begins_is_refused_too() -> None:
    """They stood in line for a place; nobody is left there."""
    clock, gate, first = ManualClock(), Gate("a", concurrency=1), Ticket(0.0)
    limiter = Limiter(gate, clock, yields=True)

    async def run() -> list[Any]:
        assert gate.join(first, 0.0, inf) is None
        others = [asyncio.ensure_future(limiter.aenter(request())) for _ in range(3)]
        await asyncio.sleep(0)  # each has come as far as the queue
        assert gate.waiting == 3
        gate.leave(first, 0.0, tokens=None, kind="limited", retry_after=30.0)
        return await asyncio.gather(*others, return_exceptions=True)

    assert [type(one).__name__ for one in asyncio.run(run())] == ["LimitReached"] * 3
    assert (gate.waiting, gate.places.taken) == (0, 0)
