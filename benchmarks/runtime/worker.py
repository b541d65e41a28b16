"""One peer in a process of its own: jobs come as lines of JSON, and go back as rows.

A process lives as long as a run, so that what a peer imports is paid once, and rounds of several
peers can be interleaved. All asynchronous jobs share one event loop, as they would in a server.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from .load import in_tasks, in_threads
from .peers import PEERS, Client, Setup

__all__ = ["Worker"]


class Worker:
    """Does the jobs of one peer."""

    def __init__(self, peer: str) -> None:
        self._make = PEERS[peer][1]
        self._numbers = itertools.count(1)
        self._folder = tempfile.mkdtemp()

    async def done(self, job: dict[str, Any]) -> Any:
        """The row, or rows, of a job."""
        if job.pop("job") == "load":
            return await self._load(**job)
        made = [(self._client(each.pop("setup")), each) for each in job["of"]]
        return await asyncio.gather(*(self._one(client, **each) for client, each in made))

    async def _load(
        self,
        setup: dict[str, Any],
        *,
        calls: int,
        width: int,
        way: str = "tasks",
        same: bool = False,
        warm: bool = True,
    ) -> dict[str, Any]:
        """A load of different questions, or `same` ones: hits where there is a cache."""
        client = self._client(setup)
        fixed = self._question() if same else None

        def some(count: int) -> Iterator[str]:
            return (fixed or self._question() for _ in range(count))

        async def run(count: int) -> Any:
            if way == "tasks":
                return await in_tasks(client.ask, some(count), width)
            if client.ask_sync is None:
                return None
            return await asyncio.to_thread(in_threads, client.ask_sync, some(count), width)

        if warm:
            await run(width)
        load = await run(calls)
        await _closed(client)
        return {} if load is None else load.told()

    async def _one(
        self, client: Client, *, cap: float, streamed: bool = False, then: bool = False
    ) -> dict[str, Any]:
        """What became of one call, and after how many seconds; `cap` ends what does not end.

        `then`: one more is made after it, `next_s`, if the first was answered.
        """
        ask = client.stream if streamed else client.ask
        if ask is None:
            return {}
        outcome, seconds = await self._ended(ask, cap)
        row = {"outcome": outcome, "seconds": seconds}
        if then and outcome == "answered":
            row["next_s"] = (await self._ended(ask, cap))[1]
        await _closed(client)
        return row

    async def _ended(self, ask: Callable[[str], Awaitable[str]], cap: float) -> tuple[str, float]:
        began = time.perf_counter()
        try:
            async with asyncio.timeout(cap) as bound:
                said = await ask(self._question())
                outcome = "answered" if "Paris" in said else "wrong"
        except Exception as error:  # border: how a call ended is what is measured
            outcome = "runs on" if bound.expired() else type(error).__name__
        return outcome, time.perf_counter() - began

    def _client(self, setup: dict[str, Any]) -> Client:
        folder = tempfile.mkdtemp(dir=self._folder)
        return self._make(Setup(**{**setup, "urls": tuple(setup["urls"]), "folder": folder}))

    def _question(self) -> str:
        return f"What is the capital of country {next(self._numbers)}?"


async def _closed(client: Client) -> None:
    if client.close is not None:
        await client.close()


def _layers(demos: int, calls: int, rounds: int, redis: str | None) -> dict[str, Any]:
    """What the layers alone cost, and what a hit does beside the least it can."""
    from benchmarks.layers import async_cost, measure, sync_cost

    ways = {"sync": sync_cost, "async": async_cost}
    return {way: measure(cost, demos, calls, rounds, redis) for way, cost in ways.items()}


def _answer(worker: Worker, runner: asyncio.Runner, line: str) -> dict[str, Any]:
    job = json.loads(line)
    try:
        if job["job"] == "layers":  # in no loop: it has its own
            return {"row": _layers(**{name: job[name] for name in job if name != "job"})}
        return {"row": runner.run(worker.done(job))}
    except ImportError as error:
        return {"absent": str(error)}
    except Exception as error:  # border: a peer that cannot do it is told so in the table
        return {"error": f"{type(error).__name__}: {error}"[:300]}


def main() -> None:
    """Do jobs until the input ends; what libraries print goes elsewhere."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    worker = Worker(sys.argv[1])
    with asyncio.Runner() as runner:
        for line in sys.stdin:
            print(json.dumps(_answer(worker, runner, line)), file=answers, flush=True)


if __name__ == "__main__":
    main()
