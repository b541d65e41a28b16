"""How long an optimizer takes beside what its calls alone would, with a model that takes its time.

    python -m benchmarks.optimizers.wall --contestants ours-2,mipro,gepa --budget 1000

The model of a world sleeps before each answer. The ideal is all calls, the proposer's too, spread
evenly over the threads without a gap: calls * seconds / threads. One row a contestant; ratios are
what to read, and they take a machine with a core to spare.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import statistics
import time
import warnings
from typing import Any

import dspy

from .contestants import CONTESTANTS, Setting
from .world_engine import WorldEngine, world_lm
from .worlds import World, named

__all__ = ["SlowEngine", "main", "measured"]


class SlowEngine(WorldEngine):
    """A world's engine that takes `seconds` for each answer, its own work with it."""

    def __init__(self, world: World, seconds: float) -> None:
        super().__init__(world)
        self._seconds = seconds

    def complete(self, request: Any) -> Any:
        until = time.perf_counter() + self._seconds
        answer = super().complete(request)
        time.sleep(max(0.0, until - time.perf_counter()))
        return answer


def measured(contestant: str, setting: tuple[str, int, int, int, float]) -> tuple[float, float]:
    """Wall seconds of one run, and the ideal for the calls it made."""
    name, seed, budget, threads, seconds = setting
    world = World(named(name), seed)
    engine = SlowEngine(world, seconds)
    lm = world_lm(engine)
    began = time.perf_counter()
    with (
        dspy.context(lm=lm, num_threads=threads, disable_history=True),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        CONTESTANTS[contestant](Setting(world, lm, budget, seed, threads))
    calls = engine.counts.task_calls + engine.counts.proposer_calls
    return time.perf_counter() - began, calls * seconds / threads


def main() -> None:
    """Measure the contestants in turn, several rounds, and print medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--contestants", default="ours-1,ours-2,ours-3,bootstrap-rs,mipro,gepa,simba"
    )
    parser.add_argument("--world", default="rules")
    parser.add_argument("--budget", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=0.2)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    found: dict[str, list[tuple[float, float]]] = {n: [] for n in asked.contestants.split(",")}
    for seed in range(asked.rounds):
        setting = (asked.world, seed, asked.budget, asked.threads, asked.seconds)
        for name, runs in found.items():
            runs.append(measured(name, setting))
    print("| optimizer | wall s | ideal s | ratio |\n| --- | --- | --- | --- |")
    for name, runs in found.items():
        walls, ideals = zip(*runs, strict=True)
        ratio = statistics.median(wall / ideal for wall, ideal in runs)
        row = f"{statistics.median(walls):.1f} | {statistics.median(ideals):.1f} | {ratio:.2f}"
        print(f"| {name} | {row} |", flush=True)


if __name__ == "__main__":
    main()
