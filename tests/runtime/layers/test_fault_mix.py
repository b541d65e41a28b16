"""Thirty of a hundred answers of each of two providers are faults: how long callers wait."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import dspy
import pytest
from dspy import lm15
from tests.runtime.layers.virtual import LoopClock, at_once

from compilm.config import RuntimeSettings
from compilm.engine import EnginePair
from compilm.runtime.stack import Provider, Stacks
from compilm.testing.layer_kit import request

WIDTH, CALLS, LIMIT_S = 50, 1500, 3.0
ANSWER = lm15.Response(
    id=None, model="m", message=lm15.Message.assistant("yes"), finish_reason="stop",
    usage=lm15.Usage(input_tokens=9, output_tokens=1),
)  # fmt: skip
ERRORS: list[Any] = [
    lm15.RateLimitError("429", retry_after=1), lm15.ServerError("500"), lm15.ServerError("529"),
    lm15.TransportError("reset"), lm15.ProviderError("cut"), lm15.ProviderError("not JSON"),
]  # fmt: skip


class Faulty:
    """Answers after 20 ms; in 30 % of the calls fails instead, in one of seven of these by hanging.

    `limits` is the share of answers that are rate limits besides.
    """

    def __init__(self, seed: int, limits: float = 0.0) -> None:
        self._chance, self._limits, self.calls = random.Random(seed), limits, 0

    async def complete(self, request: Any) -> Any:
        self.calls += 1
        await asyncio.sleep(0.02)
        if self._chance.random() < self._limits:
            raise ERRORS[0]
        if self._chance.random() >= 0.3:
            return ANSWER
        fault = self._chance.randrange(7)
        if fault == 6:
            await asyncio.sleep(3600)
        raise ERRORS[fault]


async def load(*engines: Any) -> tuple[list[float], int]:
    """The seconds that each call took, shortest first, and how many failed."""
    like = dspy.LM("openai/m", temperature=0.0)
    chain = [
        Provider(like, EnginePair(each, each), f"account {n}", "m", "lean", blocks=False)
        for n, each in enumerate(engines)
    ]
    settings = RuntimeSettings(concurrency=WIDTH, timeout=LIMIT_S)
    pair = Stacks(settings, LoopClock(), rng=random.Random(7)).over(*chain).pair
    loop, took, failed = asyncio.get_running_loop(), list[float](), list[Exception]()
    questions = iter(range(CALLS))

    async def work() -> None:
        for n in questions:
            began = loop.time()
            try:
                await pair.asynchronous.complete(request(str(n)))
            except lm15.LM15Error as error:
                failed.append(error)
            took.append(loop.time() - began)

    await asyncio.gather(*(work() for _ in range(WIDTH)))
    return sorted(took), len(failed)


@pytest.mark.parametrize("seed", range(3))
def test_the_longest_wait_of_a_hundred_is_that_for_one_hung_attempt(seed: int) -> None:
    engines = Faulty(2 * seed), Faulty(2 * seed + 1)
    took, failed = at_once(load(*engines))
    assert failed <= CALLS / 1000
    assert sum(each.calls for each in engines) / CALLS <= 1.5
    p50, p90, p99 = (took[int(share * CALLS)] for share in (0.5, 0.9, 0.99))
    assert p50 <= 0.1
    assert p90 <= 1.2
    assert p99 <= LIMIT_S + 1.5


def test_a_provider_that_is_out_of_requests_sends_its_callers_to_the_other() -> None:
    """Nine of ten are limited, with `Retry-After`: it is soon left alone, and nobody waits."""
    engines = Faulty(1, limits=0.9), Faulty(2)
    took, failed = at_once(load(*engines))
    assert failed <= CALLS / 100  # the second alone: four attempts, three of ten fail
    assert engines[0].calls < engines[1].calls / 4
    assert took[int(0.5 * CALLS)] <= 0.1
