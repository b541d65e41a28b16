"""What a trace costs: CPU per call of a loaded `dspy.Predict` through the whole stack.

    python -m benchmarks.traces --calls 256 --rounds 15

The model answers at once, in this process, by an engine that is one provider of a stack. Each
round calls the same program without a tracer and with one that keeps numbers, those of 100 calls a
second at most, texts, or texts of a tenth of the calls, in an order that changes; the writer's
thread and the file are in the figures. Printed are medians over the rounds of microseconds of CPU
per call, and of the ratio to the same round without a tracer. Rounds are short, since a shared
machine changes from second to second.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import dspy

from compilm.artifact import Artifact
from compilm.engine import EnginePair
from compilm.programs.dspy_state import adopt
from compilm.runtime.load import Runtime, load
from compilm.runtime.stack import Provider, Stacks
from compilm.runtime.tracing import Tracer
from compilm.testing.engines import chat_answer, scripted_lm

KINDS: dict[str, dict[str, Any] | None] = {
    "off": None,
    "off again": None,  # what the machine does to two equal ones
    "numbers": {"keeps": "numbers"},
    "numbers, 100/s": {"keeps": "numbers", "rate": 100.0 / 6},  # it runs a sixth of the time
    "texts": {"keeps": "texts"},
    "texts, 10 %": {"keeps": "texts", "sample": 0.1},
}
INPUT = {"question": "what is the claim about?"}


def artifact_of(demos: int, folder: str) -> tuple[Artifact, dspy.Predict]:
    """An artifact with so many demonstrations, and its program."""
    program = dspy.Predict("question -> answer")
    shown = {"question": INPUT["question"], "answer": "it is about a denied visit in March. " * 8}
    program.demos = [dspy.Example(**shown).with_inputs("question") for _ in range(demos)]
    program.save(f"{folder}/state-{demos}.json")
    return adopt(f"{folder}/state-{demos}.json", program), program


def runtimes(demos: int, folder: str) -> dict[str, Runtime]:
    """The same program under each kind of tracer."""
    artifact, program = artifact_of(demos, folder)
    text = chat_answer({"answer": "yes"})
    found = {}
    for number, (name, settings) in enumerate(KINDS.items()):
        path = f"{folder}/traces-{demos}-{number}.db"
        tracer = None if settings is None else Tracer.at(path, **settings)
        like = scripted_lm(lambda _: text)
        pair = EnginePair(like.engine, like._async_engine_spec)
        lm = Stacks().over(Provider(like, pair, "zero", blocks=False)).lm
        found[name] = load(artifact, program, roles={"default": lm}, tracer=tracer)
        if settings and "rate" in settings:
            _busy(found[name])
    return found


def _busy(runtime: Runtime) -> None:
    """Call until more comes than is recorded, as where load lasts."""
    assert runtime.tracer is not None
    while not runtime.tracer.counts.skipped:
        runtime(**INPUT)


def sync_cost(runtime: Runtime, calls: int) -> float:
    """Microseconds of CPU per call, one after another in this thread."""
    start = time.process_time()
    for _ in range(calls):
        runtime(**INPUT)
    return _told(runtime, start, calls)


def async_cost(runtime: Runtime, calls: int) -> float:
    """Microseconds of CPU per call, 32 at once in one loop."""

    async def some(count: int) -> None:
        for _ in range(count):
            await runtime.acall(**INPUT)

    async def run() -> None:
        await asyncio.gather(*(some(calls // 32) for _ in range(32)))

    start = time.process_time()
    asyncio.run(run())
    return _told(runtime, start, calls // 32 * 32)


def _told(runtime: Runtime, start: float, calls: int) -> float:
    if runtime.tracer is not None and not runtime.tracer.flush():
        raise RuntimeError("the writer does not keep up")
    return (time.process_time() - start) / calls * 1e6


def measure(
    cost: Callable[[Runtime, int], float], kinds: dict[str, Runtime], calls: int, rounds: int
) -> dict[str, tuple[float, float]]:
    """Microseconds and ratio to `off`, by kind."""
    times: dict[str, list[float]] = {name: [] for name in kinds}
    for number in range(rounds):
        turned = [*kinds][number % len(kinds) :] + [*kinds][: number % len(kinds)]
        for name in turned:
            times[name].append(cost(kinds[name], calls))
    return {
        name: (median(each), median(a / b for a, b in zip(each, times["off"], strict=True)))
        for name, each in times.items()
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--calls", type=int, default=256)
    options.add_argument("--rounds", type=int, default=15)
    options.add_argument("--demos", type=int, nargs="*", default=[0, 32])
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for demos in given.demos:
            kinds = runtimes(demos, folder)
            for way, cost in (("sync", sync_cost), ("async, 32 at once", async_cost)):
                print(f"{way}, {demos} demos")
                found = measure(cost, kinds, given.calls, given.rounds)
                for name, (micros, ratio) in found.items():
                    print(f"  {name:14}{micros:10.0f} µs  {ratio:6.3f}")
            for name, runtime in kinds.items():
                if runtime.tracer is not None:
                    runtime.tracer.close()
                    print(f"  {name:14}{runtime.tracer.counts}")


if __name__ == "__main__":
    main()
