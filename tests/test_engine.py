"""The one shape: layers wrap engines, the first outermost; a sample belongs to its task."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from compilm.engine import SAMPLE, EnginePair, Sample, stack


def named(name: str) -> Any:
    return lambda engine: f"{name}({engine})"


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from("abc")), st.lists(st.sampled_from("xyz")))
def test_a_stack_of_stacks_is_one_stack(outer: list[str], inner: list[str]) -> None:
    engine: Any = "e"
    apart = stack(stack(engine, *map(named, inner)), *map(named, outer))
    assert apart == stack(engine, *map(named, outer + inner))


def test_no_layer_is_the_engine_itself() -> None:
    pair = EnginePair(object(), object())  # type: ignore[arg-type]
    assert stack(pair) is pair


def test_a_sample_is_seen_by_its_own_thread_only() -> None:
    seen: list[Any] = []
    token = SAMPLE.set(Sample(rollout_id=7))
    thread = threading.Thread(target=lambda: seen.append(SAMPLE.get()))
    thread.start()
    thread.join()
    SAMPLE.reset(token)
    assert seen == [None]


def test_tasks_do_not_see_each_others_sample() -> None:
    async def mine(number: int) -> int | None:
        SAMPLE.set(Sample(rollout_id=number))
        await asyncio.sleep(0)
        found = SAMPLE.get()
        return found.rollout_id if found else None

    async def story() -> list[int | None]:
        return await asyncio.gather(*(mine(number) for number in range(5)))

    assert asyncio.run(story()) == [0, 1, 2, 3, 4]
    assert SAMPLE.get() is None
