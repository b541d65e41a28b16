"""The work of a tool that an MCP server does."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from .connection import Connection
from .contents import value_of
from .work import Job

__all__ = ["ListWork", "McpWork"]

_PAGES = 100


@dataclass(frozen=True, slots=True)
class McpWork:
    """One tool of a server; giving it up tells the server to stop."""

    connection: Connection
    name: str

    def start(self, args: Mapping[str, Any]) -> Job:
        """Ask on the connection's loop."""
        said: list[str] = []

        async def progress(done: float, total: float | None, message: str | None) -> None:
            of = "" if total is None else f" of {total:g}"
            said[:] = [f"{done:g}{of}" + (f", {message}" if message else "")]

        async def ask(client: Any) -> Any:
            answer = await client.call_tool(self.name, dict(args), progress_callback=progress)
            return value_of(answer)

        future = self.connection.submit(ask)
        return Job(future, future.cancel, lambda: said[0] if said else "")

    def here(self, args: Mapping[str, Any]) -> Any:
        """Wait for it as long as it takes."""
        return self.start(args).future.result()

    def task(self, args: Mapping[str, Any]) -> Coroutine[Any, Any, Any] | None:  # noqa: ARG002
        """None: a connection belongs to its own loop."""
        return None


class ListWork(McpWork):
    """Every tool of the server, as the SDK describes them."""

    def start(self, args: Mapping[str, Any]) -> Job:  # noqa: ARG002 - it takes none
        """Ask for page after page."""

        async def ask(client: Any) -> list[Any]:
            found, cursor = list[Any](), None
            for _ in range(_PAGES):
                page = await client.list_tools(cursor=cursor)
                found += page.tools
                cursor = page.next_cursor
                if cursor is None:
                    break
            return found

        future = self.connection.submit(ask)
        return Job(future, future.cancel)
