"""CPU per call of the engines against the SDKs they replace, in one interleaved run.

    python -m benchmarks.engines [--rounds 5]

The server is a process of its own and answers at once; what is told is the processor time of the
client's process per call (microseconds, median of the rounds), and its ratio to the bare
asynchronous call of the official `openai` SDK in the same rounds. Bare HTTP clients are there to
show what a client can reach.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import statistics
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from benchmarks.runtime.load import Load, in_tasks, in_threads
from benchmarks.runtime.server import LoopbackProviders

PROMPT = "Answer the question with one word. " * 20
BODY = {
    "model": "m",
    "messages": [
        {"role": "system", "content": PROMPT},
        {"role": "user", "content": "What is the capital of France?"},
    ],
    "temperature": 0.0,
}
HEADERS = {"authorization": "Bearer k", "content-type": "application/json"}
PATH = "/v1/chat/completions"
REFERENCE = "openai SDK, async"
CONCURRENCY = {1: 150, 32: 600, 256: 1000}  # and the calls of a round


def _measured(load: Load) -> float:
    """Microseconds of CPU per call; a call that fails spoils the row."""
    if load.errors:
        raise RuntimeError(f"calls failed: {dict(load.errors)}")
    return load.cpu / load.calls * 1e6


def _measured_tasks(make: Callable[[], Any], calls: int, width: int) -> float:
    async def run() -> Load:
        call, close = make()
        await in_tasks(lambda _: call(), [""] * width, width)
        load = await in_tasks(lambda _: call(), [""] * calls, width)
        await close()
        return load

    return _measured(asyncio.run(run()))


def _measured_threads(make: Callable[[], Any], calls: int, width: int) -> float:
    call, close = make()
    in_threads(lambda _: call(), [""] * width, width)
    load = in_threads(lambda _: call(), [""] * calls, width)
    close()
    return _measured(load)


def rows(port: int) -> dict[str, tuple[Any, Any]]:
    """What is measured: a name, how it is driven, and how its call is made."""
    import dspy
    import openai
    from dspy import lm15

    from compilm.runtime.engines import lean, openai_chat

    url = f"http://127.0.0.1:{port}/v1"
    messages = (lm15.Message.user("What is the capital of France?"),)
    config = lm15.Config(temperature=0.0)
    request = lm15.Request("m", messages, system=PROMPT, config=config)

    def sdk(cls: Any) -> Any:
        client = cls(base_url=url, api_key="k", max_retries=0)
        return (lambda: client.chat.completions.create(**BODY)), client.close

    def ours(make: Any, side: str) -> Any:
        engine = getattr(make(), side)
        close = engine.close if side == "sync" else engine.aclose
        return (lambda: engine.complete(request)), close

    def native(side: str) -> Any:
        lm = dspy.LM("openai/m", api_base=url, api_key="k", cache=False, num_retries=0)
        asked = lm15.Request("openai/m", messages, system=PROMPT, config=config)
        if side == "sync":
            return (lambda: lm(asked)), lm.close
        return (lambda: lm.acall(asked)), lm.aclose

    def over(kind: Any) -> Any:
        return lambda: kind("openai-chat", url, api_key="k")

    over_sdk = lambda: openai_chat(url, api_key="k")  # noqa: E731
    tasks, threads = _measured_tasks, _measured_threads
    return {
        "aiohttp, bare": (tasks, lambda: _aiohttp(url)),
        "lean engine, async": (tasks, lambda: ours(over(lean), "asynchronous")),
        "DSPy native, async": (tasks, lambda: native("async")),
        "engine over the SDK, async": (tasks, lambda: ours(over_sdk, "asynchronous")),
        REFERENCE: (tasks, lambda: sdk(openai.AsyncOpenAI)),
        "http.client, bare": (threads, lambda: _http_client(port)),
        "urllib3, bare": (threads, lambda: _urllib3(port)),
        "lean engine, sync": (threads, lambda: ours(over(lean), "sync")),
        "DSPy native, sync": (threads, lambda: native("sync")),
        "engine over the SDK, sync": (threads, lambda: ours(over_sdk, "sync")),
        "openai SDK, sync": (threads, lambda: sdk(openai.OpenAI)),
    }


def _aiohttp(url: str) -> Any:
    import aiohttp
    import orjson

    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
    address = url + PATH.removeprefix("/v1")

    async def call() -> Any:
        async with session.post(address, data=orjson.dumps(BODY), headers=HEADERS) as response:
            return orjson.loads(await response.read())

    return call, session.close


def _http_client(port: int) -> Any:
    pool: list[http.client.HTTPConnection] = []

    def call() -> Any:
        connection = pool.pop() if pool else http.client.HTTPConnection("127.0.0.1", port)
        connection.request("POST", PATH, body=json.dumps(BODY).encode(), headers=HEADERS)
        found = json.loads(connection.getresponse().read())
        pool.append(connection)
        return found

    return call, lambda: [connection.close() for connection in pool]


def _urllib3(port: int) -> Any:
    import urllib3

    pool = urllib3.HTTPConnectionPool("127.0.0.1", port, maxsize=512)

    def call() -> Any:
        body = json.dumps(BODY).encode()
        return json.loads(
            pool.urlopen("POST", PATH, body=body, headers=HEADERS, retries=False).data
        )

    return call, pool.close


def main() -> None:
    """Run the rounds and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with LoopbackProviders({}) as there:
        _table(_found(int(there.urls[0].rpartition(":")[2]), given.rounds))


def _found(port: int, rounds: int) -> dict[tuple[str, int], list[float]]:
    found: dict[tuple[str, int], list[float]] = defaultdict(list)
    for _ in range(rounds):
        for width, calls in CONCURRENCY.items():
            for name, (driven, make) in rows(port).items():
                found[name, width].append(driven(make, calls, width))
    return found


def _table(found: dict[tuple[str, int], list[float]]) -> None:
    widths = list(CONCURRENCY)
    print("| CPU per call | " + " | ".join(f"{w} at once | ratio" for w in widths) + " |")
    print("| --- |" + " ---: | ---: |" * len(widths))
    for name in dict.fromkeys(name for name, _ in found):
        cells = []
        for width in widths:
            base = statistics.median(found[REFERENCE, width])
            spent = statistics.median(found[name, width])
            cells.append(f"{spent:.0f} µs | {spent / base:.3f}")
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
