"""The calls of one turn: made at the same time, brought back in the order they were asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import dspy

from .loops import common_threads
from .result import ToolError, ToolResult
from .tool import Tool

__all__ = ["MOST_CALLS", "acall_all", "call_all"]

MOST_CALLS = 16
"""Calls of one turn that are made at most; further ones are answered by an error."""


class _Asked(NamedTuple):
    name: str
    args: Mapping[str, Any]


def call_all(tools: Iterable[Tool], calls: Any) -> tuple[ToolResult, ...]:
    """The result of each call, in order; one that waits holds up no other.

    `calls` is a `dspy.ToolCalls`, or a list of tables with `name` and `args`.

    >>> from compilm.tools import tool
    >>> half = tool(lambda number: number / 2, name="half")
    >>> results = call_all([half], [{"name": "half", "args": {"number": 3}}, {"name": "double"}])
    >>> [result.told for result in results]
    [1.5, {'error': 'unknown', 'message': "there is no tool 'double'; there is half"}]
    """
    known, asked = _by_name(tools), _asked(calls)
    if len(asked) == 1:
        return (_call(known, 0, asked[0]),)
    threads = common_threads()
    begun = [
        threads.run(lambda place=place, each=each: _call(known, place, each))  # type: ignore[misc]
        for place, each in enumerate(asked)
    ]
    return tuple(future.result() for future in begun)


async def acall_all(tools: Iterable[Tool], calls: Any) -> tuple[ToolResult, ...]:
    """As `call_all`, in a task."""
    known = _by_name(tools)
    begun = (_acall(known, place, each) for place, each in enumerate(_asked(calls)))
    return tuple(await asyncio.gather(*begun))


def _call(known: Mapping[str, Tool], place: int, asked: _Asked) -> ToolResult:
    refused = _refused(known, place, asked)
    return refused or known[asked.name].caller.call(asked.args)


async def _acall(known: Mapping[str, Tool], place: int, asked: _Asked) -> ToolResult:
    refused = _refused(known, place, asked)
    return refused or await known[asked.name].caller.acall(asked.args)


def _refused(known: Mapping[str, Tool], place: int, asked: _Asked) -> ToolResult | None:
    if asked.name not in known:
        told = f"there is no tool {asked.name!r}; there is {', '.join(known) or 'none'}"
        return ToolResult(asked.name, error=ToolError("unknown", told), attempts=0)
    if place >= MOST_CALLS:
        told = f"{MOST_CALLS} calls are made in one turn at most: ask again in the next"
        return ToolResult(asked.name, error=ToolError("too-many", told), attempts=0)
    return None


def _by_name(tools: Iterable[Tool]) -> dict[str, Tool]:
    return {str(each.name): each for each in tools}


def _asked(calls: Any) -> Sequence[_Asked]:
    listed = calls.tool_calls if isinstance(calls, dspy.ToolCalls) else calls
    return [
        _Asked(str(each.get("name")), each.get("args") or {})
        if isinstance(each, Mapping)
        else _Asked(each.name, each.args or {})
        for each in listed
    ]
