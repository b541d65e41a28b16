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
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any

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
Call = Callable[[], Any]


def _answer() -> bytes:
    message = {"role": "assistant", "content": "Paris is the capital of France. " * 3}
    usage = {"prompt_tokens": 40, "completion_tokens": 20, "total_tokens": 60}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    head = {"id": "c", "object": "chat.completion", "created": 1, "model": "m"}
    body = json.dumps({**head, "choices": [choice], "usage": usage}).encode()
    start = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    return start % len(body) + body


class _Instant(asyncio.Protocol):
    """Answers every request with the same bytes."""

    def connection_made(self, transport: Any) -> None:
        self._transport, self._rest, self._said = transport, b"", _answer()

    def data_received(self, data: bytes) -> None:
        self._rest += data
        while (end := self._rest.find(b"\r\n\r\n")) >= 0:
            head = self._rest[:end].lower()
            size = int(head.partition(b"content-length:")[2].split(b"\r")[0] or 0)
            if len(self._rest) < end + 4 + size:
                return
            self._rest = self._rest[end + 4 + size :]
            self._transport.write(self._said)


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Instant, "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def _tasks(call: Callable[[], Awaitable[Any]], calls: int, width: int) -> None:
    numbers = iter(range(calls))

    async def work() -> None:
        for _ in numbers:
            await call()

    await asyncio.gather(*[work() for _ in range(width)])


def _threads(call: Call, calls: int, width: int) -> None:
    numbers, lock = iter(range(calls)), threading.Lock()

    def work() -> None:
        while True:
            with lock:
                if next(numbers, None) is None:
                    return
            call()

    workers = [threading.Thread(target=work) for _ in range(width)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def _measured_tasks(make: Callable[[], Any], calls: int, width: int) -> float:
    async def run() -> float:
        call, close = make()
        await _tasks(call, width, width)
        began = time.process_time()
        await _tasks(call, calls, width)
        spent = time.process_time() - began
        await close()
        return spent / calls * 1e6

    return asyncio.run(run())


def _measured_threads(make: Callable[[], Any], calls: int, width: int) -> float:
    call, close = make()
    _threads(call, width, width)
    began = time.process_time()
    _threads(call, calls, width)
    spent = time.process_time() - began
    close()
    return spent / calls * 1e6


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
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        asyncio.run(_serve())
        return
    command = [sys.executable, "-m", "benchmarks.engines", "--serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            port = int(server.stdout.readline())  # type: ignore[union-attr]
            with socket.create_connection(("127.0.0.1", port)):
                _table(_measured(port, given.rounds))
        finally:
            server.terminate()


def _measured(port: int, rounds: int) -> dict[tuple[str, int], list[float]]:
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
