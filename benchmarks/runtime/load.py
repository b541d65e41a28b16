"""A load: so many calls, so many at once, in tasks or threads; what they cost this process."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from math import ceil
from typing import Any

__all__ = ["Load", "in_tasks", "in_threads", "quantile"]

Ask = Callable[[str], Awaitable[Any]]
AskSync = Callable[[str], Any]


@dataclass(slots=True)
class Load:
    """What a load was: `cpu` and `wall` in seconds, `seconds` of each call, errors by name.

    `cpu` is the processor time of the whole process, all its threads; nothing of the provider,
    which is another process.
    """

    calls: int
    cpu: float = 0.0
    wall: float = 0.0
    seconds: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)

    def told(self) -> dict[str, Any]:
        """As a row: microseconds of CPU per call, milliseconds of wait."""
        return {
            "calls": self.calls,
            "cpu_us": self.cpu / self.calls * 1e6,
            "wall_s": self.wall,
            "p50_ms": quantile(self.seconds, 0.5) * 1e3,
            "p90_ms": quantile(self.seconds, 0.9) * 1e3,
            "p99_ms": quantile(self.seconds, 0.99) * 1e3,
            "failed": self.errors.total(),
            "errors": dict(self.errors.most_common(5)),
        }


async def in_tasks(ask: Ask, questions: Iterable[str], width: int) -> Load:
    """Ask all, `width` at once in this loop."""
    asked = list(questions)
    load, left = Load(len(asked)), iter(asked)

    async def work() -> None:
        for question in left:
            began = time.perf_counter()
            try:
                await ask(question)
            except Exception as error:  # border: how a call ended is what is measured
                load.errors[type(error).__name__] += 1
            load.seconds.append(time.perf_counter() - began)

    began, spent = time.perf_counter(), time.process_time()
    await asyncio.gather(*(work() for _ in range(width)))
    load.cpu, load.wall = time.process_time() - spent, time.perf_counter() - began
    return load


def in_threads(ask: AskSync, questions: Iterable[str], width: int) -> Load:
    """Ask all, from `width` threads."""
    asked = list(questions)
    load, left, lock = Load(len(asked)), iter(asked), threading.Lock()

    def work(_: int) -> None:
        while True:
            with lock:
                question = next(left, None)
            if question is None:
                return
            began = time.perf_counter()
            try:
                ask(question)
            except Exception as error:  # border: how a call ended is what is measured
                load.errors[type(error).__name__] += 1
            load.seconds.append(time.perf_counter() - began)

    with ThreadPoolExecutor(width) as pool:
        list(pool.map(lambda _: time.sleep(0.005), range(width)))  # all threads are there
        began, spent = time.perf_counter(), time.process_time()
        list(pool.map(work, range(width)))
        load.cpu, load.wall = time.process_time() - spent, time.perf_counter() - began
    return load


def quantile(values: list[float], share: float) -> float:
    """The least value that at least this share of them do not exceed; 0 of none.

    >>> quantile([3.0, 1.0, 2.0, 4.0], 0.5), quantile([3.0, 1.0, 2.0, 4.0], 0.99)
    (2.0, 4.0)
    """
    return sorted(values)[max(0, ceil(share * len(values)) - 1)] if values else 0.0
