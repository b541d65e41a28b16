"""What a node costs in our graph and in LangGraph's, side by side; what waiting runs cost.

    python -m benchmarks.graphs

Chains of nodes that add one to a number, of plain functions (async ones where calls are awaited),
so that nothing but the graphs is measured; an empty `dspy.Module` is called beside them, as a graph
is one. CPU time of this process; ours and theirs take turns, and the least of the rounds is
told, because other work on the machine only ever adds. The last part starts 10,000 durable runs
that each wait for a person, and measures what the process holds before and after.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypedDict

import dspy

from compilm.graphs import END, Graph, Pause, Runs
from compilm.journal import open_journal

LENGTHS = (3, 10, 24)


class State(TypedDict):
    n: int


class Empty(dspy.Module):
    def forward(self) -> dspy.Prediction:
        return dspy.Prediction(n=1)


def ours(length: int, *, is_async: bool = False) -> Graph:
    def add(n: int) -> dict[str, int]:
        return {"n": n + 1}

    async def aadd(n: int) -> dict[str, int]:
        return {"n": n + 1}

    names = [f"x{place}" for place in range(length)]
    after = [*names[1:], END]
    return Graph(
        dict.fromkeys(names, aadd if is_async else add), dict(zip(names, after, strict=True)), "x0"
    )


def theirs(length: int, *, is_async: bool = False) -> Any:
    from langgraph.graph import END as LAST
    from langgraph.graph import START, StateGraph

    def add(state: State) -> dict[str, int]:
        return {"n": state["n"] + 1}

    async def aadd(state: State) -> dict[str, int]:
        return {"n": state["n"] + 1}

    names = [f"x{place}" for place in range(length)]
    graph = StateGraph(State)
    for name in names:
        graph.add_node(name, aadd if is_async else add)
    for name, after in zip([START, *names], [*names, LAST], strict=True):
        graph.add_edge(name, after)
    return graph.compile()


def micros(call: Callable[[], Any], count: int) -> float:
    """CPU microseconds of one call."""
    begin = time.process_time()
    for _ in range(count):
        call()
    return (time.process_time() - begin) / count * 1e6


def per_node(rounds: int) -> list[dict[str, Any]]:
    """Microseconds a node, of whole calls: what a call costs is part of it."""
    rows = []
    for length in LENGTHS:
        mine, other = ours(length), theirs(length)
        amine, aother = ours(length, is_async=True), theirs(length, is_async=True)
        calls: dict[str, tuple[Callable[[], Any], int]] = {
            "ours": (lambda mine=mine: mine(n=0), 300),
            "theirs": (lambda other=other: other.invoke({"n": 0}), 20),
            "ours, awaited": (lambda amine=amine: awaited(amine.acall, 100, n=0), 1),
            "theirs, awaited": (lambda aother=aother: awaited(aother.ainvoke, 10, {"n": 0}), 1),
        }
        assert mine(n=0).n == other.invoke({"n": 0})["n"] == length
        least = dict.fromkeys(calls, float("inf"))
        for _ in range(rounds):
            for name, (call, count) in calls.items():
                least[name] = min(least[name], micros(call, count))
        least["ours, awaited"] /= 100
        least["theirs, awaited"] /= 10
        rows.append({"nodes": length} | {name: took / length for name, took in least.items()})
    return rows


def awaited(call: Any, count: int, *given: Any, **named: Any) -> None:
    async def run() -> None:
        for _ in range(count):
            await call(*given, **named)

    asyncio.run(run())


def slope(rows: list[dict[str, Any]], name: str) -> float:
    """Microseconds that one node more adds."""
    first, last = rows[0], rows[-1]
    more = last["nodes"] - first["nodes"]
    return float(last[name] * last["nodes"] - first[name] * first["nodes"]) / more


def durable(rounds: int) -> float:
    """Microseconds a node where every step is in an SQLite file before the next begins."""
    with tempfile.TemporaryDirectory() as folder:
        runs = Runs(ours(10), open_journal(Path(folder) / "runs.db"))
        took = [
            micros(lambda number=number: runs.start(f"r{number}", n=0), 1) / 10
            for number in range(rounds * 20)
        ]
    return sorted(took)[len(took) // 2]


def waiting(count: int) -> dict[str, float]:
    """What `count` paused runs leave in memory and in the file."""

    def ask(message: str, ok: bool | None = None) -> dict[str, Any]:
        if ok is None:
            raise Pause("Is it fine?", message=message)
        return {"ok": ok}

    graph = Graph(
        {"read": lambda message: {"message": message.strip()}, "ask": ask},
        {"read": "ask", "ask": END},
        "read",
    )
    with tempfile.TemporaryDirectory() as folder:
        journal = open_journal(Path(folder) / "runs.db")
        runs = Runs(graph, journal)
        runs.start("first", message="to fill what is filled once")
        gc.collect()
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        begin = time.perf_counter()
        for number in range(count):
            runs.start(f"run-{number}", message=f"A question about claim {number}. " * 20)
        seconds = time.perf_counter() - begin
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
        ids = runs.paused()
        gc.collect()
        listed, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert len(ids) == count + 1
        assert runs.resume(f"run-{count // 2}", ok=True).ok is True
        size = sum(os.stat(file).st_size for file in Path(folder).iterdir())
        return {
            "runs": count,
            "kB held after starting them": (after - before) / 1e3,
            "bytes held a run, with the list of ids": (listed - before) / count,
            "MB in the file": size / 1e6,
            "ms to start one (while memory is traced)": seconds / count * 1e3,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--waiting", type=int, default=10_000)
    given = parser.parse_args()
    rows = per_node(given.rounds)
    print("| nodes | ours, µs a node | LangGraph | ratio | ours, awaited | LangGraph | ratio |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for row in rows:
        print(_row(str(row["nodes"]), row))
    names = ("ours", "theirs", "ours, awaited", "theirs, awaited")
    print(_row("one more", {name: slope(rows, name) for name in names}))
    empty = Empty()
    print(f"\nan empty dspy.Module: {min(micros(empty, 300) for _ in range(7)):.0f} µs a call")
    print(f"durable, SQLite: {durable(given.rounds):.0f} µs a node\n")
    if given.waiting:
        for name, value in waiting(given.waiting).items():
            print(f"{name}: {value:,.1f}")


def _row(title: str, took: dict[str, Any]) -> str:
    cells = [title]
    for mine, other in (("ours", "theirs"), ("ours, awaited", "theirs, awaited")):
        cells += [f"{took[mine]:.1f}", f"{took[other]:.0f}", f"1/{took[other] / took[mine]:.0f}"]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
