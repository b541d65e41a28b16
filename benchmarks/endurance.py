"""Does anything grow, and does anything mix? One process, many calls; one program, many streams.

    python -m benchmarks.endurance --calls 200000 --streams 1000

An artifact is loaded and asked through the whole stack with a cache in memory that is full long
before the end, threads and tasks in turn; every tenth the resident memory is printed. It is flat
if the last half grows by less than 5 %. Then streams are opened, all at one time, on one program
through the lean engine, to a server of another process: each must come whole and be its own. The
exit code is 1 if anything of this does not hold.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import dspy
from benchmarks.runtime.load import in_tasks, in_threads
from benchmarks.runtime.programs import artifact_of
from benchmarks.runtime.server import ANSWER, LoopbackProviders, echoed

from compilm import load
from compilm.config import RuntimeSettings
from compilm.engine import EnginePair
from compilm.runtime.engines import lean
from compilm.runtime.stack import Provider, Stack, Stacks
from compilm.testing.engines import scripted_lm

__all__ = ["main"]

_TENTHS, _GROWTH = 10, 0.05
_AGAIN = 4  # of so many questions one was asked shortly before


def _megabytes() -> float:
    """Resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


class _Answering:
    """Answers at once, and keeps nothing of what it was asked."""

    def __init__(self) -> None:
        self._like = scripted_lm([ANSWER]).engine.complete(_request())

    def complete(self, request: Any) -> Any:
        return self._like

    def stream(self, request: Any) -> Iterator[Any]:
        return iter(dspy.lm15.response_to_events(self._like))


class _AsyncAnswering:
    def __init__(self, engine: _Answering) -> None:
        self._engine = engine

    async def complete(self, request: Any) -> Any:
        return self._engine.complete(request)


def _request() -> Any:
    return dspy.lm15.Request("m", (dspy.lm15.Message.user("hi"),))


def _questions() -> Iterator[str]:
    for number in itertools.count():
        yield f"What is the capital of country {number - (number % _AGAIN == 0)}?"


def grows(calls: int) -> bool:
    """Ask so often, print memory by tenths; whether the last half grew."""
    engine = _Answering()
    pair = EnginePair(engine, _AsyncAnswering(engine))
    like = dspy.LM("openai/m", temperature=0.0)
    stack = Stacks(RuntimeSettings(cache="memory")).over(Provider(like, pair, "a", blocks=False))
    program, artifact = artifact_of(0)
    runtime = load(artifact, program, roles={"default": stack.lm})
    questions, seen = _questions(), []
    for tenth in range(1, _TENTHS + 1):
        some = itertools.islice(questions, calls // _TENTHS)
        began = time.perf_counter()
        if tenth % 2:
            found = asyncio.run(in_tasks(lambda q: runtime.acall(question=q), some, 32))
        else:
            found = in_threads(lambda q: runtime(question=q), some, 8)
        gc.collect()
        seen.append(_megabytes())
        told = f"{tenth * calls // _TENTHS:9,} calls {seen[-1]:8.1f} MB"
        print(
            f"{told} {time.perf_counter() - began:6.0f} s, {found.errors.total()} failed",
            flush=True,
        )
        if found.errors:
            raise RuntimeError(f"calls failed: {dict(found.errors)}")
    growth = seen[-1] / seen[_TENTHS // 2 - 1] - 1
    print(f"the last half grew by {growth:.1%}: {'flat' if growth < _GROWTH else 'NOT FLAT'}")
    return growth >= _GROWTH


def _stack(url: str, streams: int) -> Stack:
    like = dspy.LM("openai/m", temperature=0.0, num_retries=0)
    pair = lean("openai-chat", f"{url}/v1", api_key="no-key")
    settings = RuntimeSettings(concurrency=streams)
    return Stacks(settings).over(Provider(like, pair, "a", "m", "lean", blocks=False))


async def _streamed(runtime: Any, number: int, answers: dict[int, tuple[int, str]]) -> None:
    """One stream of the program: how many pieces came, and the answer that they make."""
    pieces = 0
    streaming = dspy.streamify(runtime.program, is_async_program=True)
    async for piece in streaming(question=f"What is the capital of country {number}?"):
        if isinstance(piece, dspy.Prediction):
            answers[number] = (pieces, str(piece.answer))
        else:
            pieces += 1


async def _all(runtime: Any, stack: Stack, streams: int) -> dict[int, tuple[int, str]]:
    answers: dict[int, tuple[int, str]] = {}
    settings = {"lm": stack.lm, "adapter": runtime.adapter, "disable_history": True}
    with dspy.context(**settings, trace=None):
        await asyncio.gather(*(_streamed(runtime, n, answers) for n in range(streams)))
    await stack.aclose()
    return answers


def mixes(streams: int) -> bool:
    """Open so many streams at one time; whether one came in parts, or with another's text."""
    with LoopbackProviders({"echo": True, "script": ["slow"], "pace": 0.5}) as there:
        stack = _stack(there.urls[0], streams)
        program, artifact = artifact_of(0)
        runtime = load(artifact, program, roles={"default": stack.lm})
        began = time.perf_counter()
        answers = asyncio.run(_all(runtime, stack, streams))
        asked = there.asked()[0]
    own = {number: echoed(str(number)).splitlines()[1] for number in range(streams)}
    wrong = [n for n, said in own.items() if answers.get(n, (0, ""))[1] != said]
    least = min((pieces for pieces, _ in answers.values()), default=0)
    print(
        f"{streams:,} streams in {time.perf_counter() - began:.0f} s, {asked:,} requests, "
        f"at least {least} pieces each, {len(wrong)} wrong"
    )
    return bool(wrong) or least < 2 or asked != streams


def main(arguments: Sequence[str] | None = None) -> int:
    """Run both; 1 if something grew or mixed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--calls", type=int, default=200_000)
    parser.add_argument("--streams", type=int, default=1_000)
    asked = parser.parse_args(arguments)
    grew = grows(asked.calls) if asked.calls else False
    mixed = mixes(asked.streams) if asked.streams else False
    return 1 if grew or mixed else 0


if __name__ == "__main__":
    sys.exit(main())
