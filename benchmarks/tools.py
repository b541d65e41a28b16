"""What a call of a tool costs: ours beside `dspy.Tool` bare, and beside the MCP SDK bare.

    python -m benchmarks.tools [--calls 300] [--rounds 7]

Each round makes the same calls in every way, one after another; what is printed are medians over
the rounds: wall time and CPU of this process for a call, in microseconds. The MCP server is a
process of its own over its standard streams; its time is in the wall time.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

import dspy

from compilm.tools import McpServer, tool

_SERVER = """
from mcp.server import MCPServer
server = MCPServer("bench")
@server.tool()
def add(a: int, b: int = 1) -> int:
    "Add two numbers."
    return a + b
server.run()
"""
_COMMAND = [sys.executable, "-c", _SERVER]


def add(a: int, b: int = 1) -> int:
    """Add two numbers."""
    return a + b


async def aadd(a: int, b: int = 1) -> int:
    """Add two numbers."""
    return a + b


class Times:
    """Microseconds for a call, wall and CPU, by what was measured."""

    def __init__(self, calls: int) -> None:
        self.calls = calls
        self.found: dict[str, list[tuple[float, float]]] = {}

    def loop(self, name: str, call: Callable[[], Any]) -> None:
        """So many calls in this thread."""
        with self._measured(name):
            for _ in range(self.calls):
                call()

    async def aloop(self, name: str, call: Callable[[], Awaitable[Any]]) -> None:
        """So many calls in this task."""
        with self._measured(name):
            for _ in range(self.calls):
                await call()

    @contextmanager
    def _measured(self, name: str) -> Iterator[None]:
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        took = time.perf_counter() - wall, time.process_time() - cpu
        per_call = tuple(1e6 * each / self.calls for each in took)
        self.found.setdefault(name, []).append((per_call[0], per_call[1]))

    def table(self) -> str:
        """Medians over the rounds, as Markdown."""
        lines = ["| a call by | wall, µs | CPU, µs |", "| --- | ---: | ---: |"]
        for name, rounds in self.found.items():
            wall, cpu = (median(each[place] for each in rounds) for place in (0, 1))
            lines.append(f"| {name} | {wall:,.0f} | {cpu:,.0f} |")
        return "\n".join(lines)


def functions(times: Times) -> None:
    """A function of Python, in threads."""
    theirs, ours, inline = dspy.Tool(add), tool(add), tool(add, timeout=None)
    times.loop("`dspy.Tool`, a function", lambda: theirs(a=1))
    times.loop("ours, a function, `timeout=None`", lambda: inline(a=1))
    times.loop("ours, a function with a timeout", lambda: ours(a=1))


async def coroutines(times: Times) -> None:
    """An asynchronous function, in a task."""
    theirs, ours = dspy.Tool(aadd), tool(aadd)
    await times.aloop("`dspy.Tool`, a coroutine", lambda: theirs.acall(a=1))
    await times.aloop("ours, a coroutine with a timeout", lambda: ours.acall(a=1))


async def sdk(times: Times) -> None:
    """The SDK by itself, and under `dspy.Tool`, in a task."""
    from mcp import Client, StdioServerParameters

    place = StdioServerParameters(command=_COMMAND[0], args=_COMMAND[1:])
    async with Client(place) as client:
        (listed,) = (await client.list_tools()).tools
        theirs = dspy.Tool.from_mcp_tool(client, listed)
        await client.call_tool("add", {"a": 1})
        await times.aloop("the MCP SDK bare, a task", lambda: client.call_tool("add", {"a": 1}))
        await times.aloop("`dspy.Tool` over the SDK, a task", lambda: theirs.acall(a=1))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    times = Times(args.calls)
    with McpServer("bench", command=_COMMAND, timeout=60, connect=60) as server:
        (ours,) = server.tools()
        for _ in range(args.rounds):
            functions(times)
            asyncio.run(coroutines(times))
            asyncio.run(sdk(times))
            asyncio.run(times.aloop("ours over MCP, a task", lambda: ours.acall(a=1)))
            times.loop("ours over MCP, a thread", lambda: ours(a=1))
    print(times.table())


if __name__ == "__main__":
    main()
