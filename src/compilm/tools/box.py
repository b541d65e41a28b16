"""The tools of an agent, wherever they come from, and what a model reads of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ..errors import ProgramError
from .server import McpServer
from .tool import Tool, tool

__all__ = ["ToolBox", "described_tools"]


class ToolBox:
    """Tools, functions and servers, as the tools there are at this moment.

    A server is asked at the first use, and again after it said that its tools have changed.

    >>> def half(number: float) -> float:
    ...     "Half of a number."
    ...     return number / 2
    >>> [each.name for each in ToolBox([half]).tools()]
    ['half']
    """

    def __init__(self, sources: Iterable[Tool | McpServer | Callable[..., Any]]) -> None:
        self._sources: list[Tool | McpServer] = [
            each if isinstance(each, (Tool, McpServer)) else tool(each) for each in sources
        ]
        self._check([each for each in self._sources if isinstance(each, Tool)])

    def tools(self) -> tuple[Tool, ...]:
        """All of them; raises `ToolFailed` where a server cannot be asked."""
        found = list[Tool]()
        for each in self._sources:
            found += [each] if isinstance(each, Tool) else each.tools()
        return self._check(found)

    async def atools(self) -> tuple[Tool, ...]:
        """As `tools`, in a task."""
        found = list[Tool]()
        for each in self._sources:
            found += [each] if isinstance(each, Tool) else await each.atools()
        return self._check(found)

    @property
    def known(self) -> tuple[Tool, ...]:
        """Those that no server has to be asked for."""
        return tuple(each for each in self._sources if isinstance(each, Tool))

    @property
    def may_repeat(self) -> bool:
        """Whether every one of them is known to be idempotent."""
        return all(
            isinstance(each, Tool) and each.caller.policy.idempotent for each in self._sources
        )

    def _check(self, found: Sequence[Tool]) -> tuple[Tool, ...]:
        names = [str(each.name) for each in found]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ProgramError(
                f"two tools are named {', '.join(sorted(twice))}: give one another name=, or its "
                "server a prefix="
            )
        return tuple(found)


def described_tools(tools: Iterable[Tool]) -> str:
    """The tools as text: name, arguments and description, a line each.

    >>> described_tools([tool(lambda a: a, name="same", schema={"properties": {"a": {}}})])
    '- same(a?): '
    """
    return "\n".join(f"- {each.name}({_arguments(each)}): {_line(each.desc)}" for each in tools)


def _arguments(each: Tool) -> str:
    told = []
    required = each.format_as_litellm_function_call()["function"]["parameters"]["required"]
    for name, schema in (each.args or {}).items():
        mark = "" if name in required else "?"
        kind = schema.get("type", "")
        kind = "|".join(map(repr, schema["enum"])) if "enum" in schema else kind
        text = f"{name}{mark}" + (f": {kind}" if isinstance(kind, str) and kind else "")
        about = schema.get("description")
        told.append(text + (f" ({_line(about)})" if about else ""))
    return ", ".join(told)


def _line(text: str | None) -> str:
    return " ".join((text or "").split())
