"""CPU per call of a whole program: ours, DSPy's own, and the bare SDK, in one interleaved run.

    python -m benchmarks.calls [--rounds 5] [--width 256]

A predictor of one field to one field, with no demonstrations and with 32, is called in tasks
against a server of another process that answers at once. Told is the processor time of the
client's process per call (microseconds, median of the rounds) and its ratios. The full stack is
what `compilm serve` runs: deadline, coalescing, retry, breaker, limiter, timeout, lean engine.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import logging
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from benchmarks.engines import _Instant, _measured_tasks, _measured_threads

ANSWER = "[[ ## answer ## ]]\nParis\n\n[[ ## completed ## ]]"
BARE = "openai SDK, bare"
CALLS = {0: 512, 32: 256}  # of a round, by demonstrations
Made = Callable[[], Any]


class _Predicting(_Instant):
    """Answers every request as DSPy's ChatAdapter wants it."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        message = {"role": "assistant", "content": ANSWER}
        usage = {"prompt_tokens": 40, "completion_tokens": 20, "total_tokens": 60}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        head = {"id": "c", "object": "chat.completion", "created": 1, "model": "m"}
        body = json.dumps({**head, "choices": [choice], "usage": usage}).encode()
        start = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
        self._said = start % len(body) + body


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Predicting, "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


class Bench:
    """The programs and models that are measured, made once."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/v1"
        self.numbers = itertools.count()
        self.artifacts = {demos: _artifact(demos) for demos in CALLS}

    def question(self, fresh: bool) -> dict[str, str]:
        """The inputs of a call; each fresh one is another, so that no two calls are one."""
        return {"question": f"What is the capital of country {next(self.numbers) if fresh else 0}?"}

    def bare(self) -> Any:
        """The official asynchronous SDK, asked for what the predictor without demos asks."""
        import dspy
        import openai

        client = openai.AsyncOpenAI(base_url=self.url, api_key="k", max_retries=0, timeout=300)
        program, _ = self.artifacts[0]
        messages = dspy.ChatAdapter().format(program.signature, [], self.question(fresh=False))
        create = client.chat.completions.create
        return (lambda: create(model="m", messages=messages, temperature=0.0)), client.close

    def dspy(self, demos: int, *, cache: bool = False, tasks: bool = True) -> Any:
        """DSPy's predictor on its native engine, without history and trace."""
        import dspy

        program, _ = self.artifacts[demos]
        lm = dspy.LM(
            "openai/m", api_base=self.url, api_key="k", cache=cache, num_retries=0, temperature=0.0
        )

        async def call() -> Any:
            with dspy.context(lm=lm, adapter=ADAPTER, disable_history=True, trace=None):
                return await program.acall(**self.question(not cache))

        def blocking() -> Any:
            with dspy.context(lm=lm, adapter=ADAPTER, disable_history=True, trace=None):
                return program(**self.question(not cache))

        return (call, lm.aclose) if tasks else (blocking, lm.close)

    def ours(self, demos: int, *, cache: bool = False, tasks: bool = True, **options: Any) -> Any:
        """The loaded artifact through the full stack."""
        import dspy

        from compilm import load
        from compilm.config import RuntimeSettings
        from compilm.runtime.engines import lean
        from compilm.runtime.stack import Provider, Stacks

        program, artifact = self.artifacts[demos]
        like = dspy.LM("openai/m", temperature=0.0, num_retries=0)
        provider = Provider(
            like, lean("openai-chat", self.url, api_key="k"), "a", "m", "lean", False
        )
        settings = RuntimeSettings(concurrency=256, cache="memory" if cache else "none")
        stack = Stacks(settings).over(provider)
        runtime = load(artifact, program, roles={"default": stack.lm}, **options)
        if tasks:
            return (lambda: runtime.acall(**self.question(not cache))), stack.aclose
        return (lambda: runtime(**self.question(not cache))), stack.close

    def rows(self) -> dict[tuple[str, int], tuple[Any, Made]]:
        """What is measured, by name and number of demonstrations: how it is driven, and made."""
        found: dict[tuple[str, int], tuple[Any, Made]] = {(BARE, 0): (_measured_tasks, self.bare)}
        for demos in CALLS:
            for tasks, driven in ((True, _measured_tasks), (False, _measured_threads)):
                how = "tasks" if tasks else "threads"
                for cache in (False, True):
                    what = f"hit in memory, {how}" if cache else f"call, {how}"
                    given = {"demos": demos, "cache": cache, "tasks": tasks}
                    off = {**given, "rendering": False}
                    found[f"DSPy: {what}", demos] = (driven, lambda g=given: self.dspy(**g))
                    found[f"ours, not rendered: {what}", demos] = (
                        driven,
                        lambda g=off: self.ours(**g),
                    )
                    found[f"ours: {what}", demos] = (driven, lambda g=given: self.ours(**g))
        return found


def _artifact(demos: int) -> tuple[Any, Any]:
    """A program with so many demonstrations, and an artifact of it."""
    import dspy

    from compilm import adopt

    program = dspy.Predict("question -> answer")
    program.demos = [
        dspy.Example(
            question=f"What is the capital of country {n}, in one word? " * 2, answer="Rome"
        )
        for n in range(1000, 1000 + demos)
    ]
    with tempfile.TemporaryDirectory() as folder:
        program.save(f"{folder}/state.json")
        return program, adopt(f"{folder}/state.json", program)


def _measured(port: int, given: argparse.Namespace) -> dict[tuple[str, int], float]:
    import dspy

    global ADAPTER
    ADAPTER = dspy.ChatAdapter()
    dspy.configure_cache(enable_disk_cache=False, enable_memory_cache=True)
    rows, found = Bench(port).rows(), defaultdict[tuple[str, int], list[float]](list)
    rows = {key: row for key, row in rows.items() if key[0] == BARE or given.only in key[0]}
    for _ in range(given.rounds):
        for key, (driven, make) in rows.items():
            at_once = given.width if driven is _measured_tasks else min(given.width, 32)
            found[key].append(driven(make, CALLS[key[1]], at_once))
    return {key: statistics.median(each) for key, each in found.items()}


def _table(found: dict[tuple[str, int], float]) -> None:
    bare = found[BARE, 0]
    print("| CPU per call | " + " | ".join(f"{d} demos | / SDK | / DSPy" for d in CALLS) + " |")
    print("| --- |" + " ---: | ---: | ---: |" * len(CALLS))
    for name in dict.fromkeys(name for name, _ in found):
        like = f"DSPy: {name.partition(': ')[2]}"
        cells = []
        for demos in CALLS:
            spent, own = found.get((name, demos)), found.get((like, demos))
            ratio = f"{spent / own:.3f}" if spent and own else ""
            cells.append(f"{spent:.0f} µs | {spent / bare:.3f} | {ratio}" if spent else "| |")
        print(f"| {name} | " + " | ".join(cells) + " |")


def main() -> None:
    """Run the rounds and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--width", type=int, default=256, help="calls at once, in tasks")
    parser.add_argument("--only", default="", help="rows with this in their name, and the bare SDK")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        asyncio.run(_serve())
        return
    logging.disable(logging.WARNING)
    command = [sys.executable, "-m", "benchmarks.calls", "--serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            port = int(server.stdout.readline())  # type: ignore[union-attr]
            _table(_measured(port, given))
        finally:
            server.terminate()


if __name__ == "__main__":
    main()
