"""What the layers cost by themselves: CPU per call on an engine that answers at once.

    python benchmarks/layers.py --calls 2000 --rounds 9 [--redis redis://127.0.0.1:6379/0]

Each round asks through the bare engine, each layer alone, and the stack, one after another; what
is printed are medians over the rounds of microseconds of CPU per call, above the bare engine.
Beside a hit stands the least it can cost: its key, a select and parsing for the file; with a
Redis, its bare GET of the kept answer, by the same client.
"""

from __future__ import annotations

import argparse
import asyncio
import sqlite3
import tempfile
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import orjson
from dspy import lm15

from compilm.engine import EnginePair, Layer, stack
from compilm.prices import Prices
from compilm.programs.models import response_to_json
from compilm.runtime.caches import MemoryStore, RedisStore, SQLiteStore
from compilm.runtime.layers.breaker import Breaker, Circuit
from compilm.runtime.layers.budget import Budget
from compilm.runtime.layers.cache import Cache
from compilm.runtime.layers.coalesce import Coalesce
from compilm.runtime.layers.deadline import Deadline
from compilm.runtime.layers.fallback import Fallback, Target
from compilm.runtime.layers.hedging import Late
from compilm.runtime.layers.keys import digest_of
from compilm.runtime.layers.ledger import Ledger
from compilm.runtime.layers.limiter import Gate, Limiter
from compilm.runtime.layers.purse import Limits, Purse
from compilm.runtime.layers.retry import Retry
from compilm.runtime.layers.timeout import Timeout

TURNS = ["what is the claim about?", "it is about a denied visit in March. " * 8]


def asked(demos: int) -> lm15.Request:
    """A request with a system message and so many demonstrations of two messages."""
    pair = (lm15.Message.user(TURNS[0]), lm15.Message.assistant(TURNS[1]))
    messages = (*(pair * demos), lm15.Message.user(TURNS[0]))
    return lm15.Request(model="zero/model", messages=messages, system="Answer in one word. " * 20)


ANSWER = lm15.Response(
    id=None,
    model="zero/model",
    message=lm15.Message.assistant((lm15.TextPart("yes"),)),
    finish_reason="stop",
    usage=lm15.Usage(input_tokens=900, output_tokens=1),
)


class Zero:
    """Answers at once."""

    def complete(self, request: lm15.Request) -> lm15.Response:
        return ANSWER

    def stream(self, request: lm15.Request) -> Any:
        return lm15.response_to_events(ANSWER)


class AsyncZero:
    """Answers at once, in a task."""

    async def complete(self, request: lm15.Request) -> lm15.Response:
        return ANSWER

    async def stream(self, request: lm15.Request) -> Any:
        for event in lm15.response_to_events(ANSWER):
            yield event


ZERO = EnginePair(Zero(), AsyncZero())


def layers(guard: bool = False) -> dict[str, Layer]:
    """The layers as a server would have them, outermost first."""
    gate = Gate(concurrency=256, requests=1e9, tokens=1e12, adaptive=True)
    return {
        "deadline": Deadline(60.0),
        "coalesce": Coalesce(),
        "retry": Retry(),
        "fallback": Fallback([Target("second", ZERO)], hedge=Late()),
        "breaker": Breaker(Circuit()),
        "limiter": Limiter(gate),
        "timeout": Timeout(45.0, guard=guard),
    }


def counting() -> dict[str, Layer]:
    """The layers that count, and keep limits: on top of a stack, and above a provider."""
    model, ledger = "openai/gpt-5-mini", Ledger()
    price = Prices().find(model)
    money = Purse(Limits(usd_per_day=1e9, tokens_per_day=10**15))
    return {
        "ledger, calls": ledger.calls("default", [model]),
        "budget, calls": Budget(Purse(Limits(calls_per_day=10**12)), model),
        "budget, money": Budget(money, model, price),
        "ledger, attempts": ledger.attempts("default", model),
    }


def sync_cost(pair: EnginePair, request: lm15.Request, calls: int) -> float:
    """Microseconds of CPU per call, one after another in this thread."""
    complete = pair.sync.complete
    start = time.process_time()
    for _ in range(calls):
        complete(request)
    return (time.process_time() - start) / calls * 1e6


def async_cost(pair: EnginePair, request: lm15.Request, calls: int) -> float:
    """Microseconds of CPU per call, one after another in one task."""

    async def run() -> float:
        complete = pair.asynchronous.complete
        start = time.process_time()
        for _ in range(calls):
            await complete(request)
        return (time.process_time() - start) / calls * 1e6

    return asyncio.run(run())


class Get:
    """A bare GET of the one key, in the place of a call."""

    def __init__(self, url: str, key: str) -> None:
        import redis

        self.key, self.client = key, redis.Redis.from_url(url, protocol=2)

    def complete(self, request: lm15.Request) -> Any:
        return self.client.get(self.key)


class AsyncGet:
    """The same in a task; a client for each loop."""

    def __init__(self, url: str, key: str) -> None:
        self.url, self.key, self.clients = url, key, dict[Any, Any]()

    async def complete(self, request: lm15.Request) -> Any:
        from redis import asyncio as tasks

        loop = asyncio.get_running_loop()
        if loop not in self.clients:
            self.clients[loop] = tasks.Redis.from_url(self.url, protocol=2)
        return await self.clients[loop].get(self.key)


class Select:
    """The least that a hit in a file takes: the key of the request, a select by it, parsing.

    The row is committed: within a transaction that is open a select takes no lock of the file.
    """

    def __init__(self, request: lm15.Request, path: str) -> None:
        self.file = sqlite3.connect(path, check_same_thread=False)
        self.file.execute("pragma journal_mode=wal")  # half the cost of the usual one to read
        self.file.execute("create table kept (key text primary key, value blob)")
        row = (digest_of(request), orjson.dumps(response_to_json(ANSWER)))
        self.file.execute("insert into kept values (?, ?)", row)
        self.file.commit()

    def complete(self, request: lm15.Request) -> Any:
        (value,) = self.file.execute(
            "select value from kept where key = ?", (digest_of(request),)
        ).fetchone()
        return orjson.loads(value)


class AsyncSelect:
    """The same in a task."""

    def __init__(self, select: Select) -> None:
        self.select = select

    async def complete(self, request: lm15.Request) -> Any:
        return self.select.complete(request)


def in_redis(url: str, request: lm15.Request) -> dict[str, EnginePair]:
    """A hit in the Redis at `url`, and the bare GET of what it finds."""
    cache = Cache(RedisStore(url), ttl=600.0)
    pair = cache(ZERO)
    pair.sync.complete(request)
    key = f"compilm:{cache.call(request).key}"
    return {"GET of Redis": EnginePair(Get(url, key), AsyncGet(url, key)), "hit in Redis": pair}


def measure(
    cost: Callable[[EnginePair, lm15.Request, int], float],
    demos: int,
    calls: int,
    rounds: int,
    redis: str | None,
) -> dict[str, float]:
    """The medians by name; all but `bare` are above `bare`."""
    pairs = {name: layer(ZERO) for name, layer in layers().items()}
    pairs["all"] = stack(ZERO, *layers().values())
    pairs["all, guarded"] = stack(ZERO, *layers(guard=True).values())
    over = counting()
    pairs |= {name: layer(ZERO) for name, layer in over.items()}
    top, calls_only, money, attempts = over.values()
    pairs["ledger"] = stack(ZERO, top, attempts)
    pairs["ledger, budget"] = stack(ZERO, top, money, attempts)
    pairs["the same, calls"] = stack(ZERO, top, calls_only, attempts)
    pairs["hit in memory"] = Cache(MemoryStore())(ZERO)
    pairs["hit in SQLite"] = Cache(SQLiteStore(f"{tempfile.mkdtemp()}/cache.db"))(ZERO)
    request, found = asked(demos), dict[str, list[float]]()
    select = Select(request, f"{tempfile.mkdtemp()}/floor.db")
    pairs["floor in SQLite"] = EnginePair(select, AsyncSelect(select))
    if redis is not None:
        pairs |= in_redis(redis, request)
    for _ in range(rounds):
        bare = cost(ZERO, request, calls)
        found.setdefault("bare", []).append(bare)
        for name, pair in pairs.items():
            found.setdefault(name, []).append(cost(pair, request, calls) - bare)
    return {name: median(each) for name, each in found.items()}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--calls", type=int, default=2000)
    options.add_argument("--rounds", type=int, default=9)
    options.add_argument("--redis", metavar="URL", help="measure hits in this Redis too")
    given = options.parse_args()
    columns = {
        f"{name}, {demos} demos": measure(cost, demos, given.calls, given.rounds, given.redis)
        for name, cost in (("sync", sync_cost), ("async", async_cost))
        for demos in (0, 32)
    }
    print("µs of CPU per call".ljust(20), *(name.rjust(16) for name in columns))
    for row in next(iter(columns.values())):
        print(row.ljust(20), *(f"{column[row]:16.1f}" for column in columns.values()))


if __name__ == "__main__":
    main()
