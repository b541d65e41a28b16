"""A connection to an MCP server, for every thread and loop, opened again when it broke."""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, NoReturn

from ..errors import ProgramError, UsageError
from .failures import ToolSaidNo, Unreachable
from .link import Link, require_mcp
from .loops import Loop
from .place import Place

__all__ = ["Connection"]


class Connection:
    """One server's connection, on a loop of its own, for every thread and loop of this process.

    It is opened by the first call. Where the server is gone, the next call opens it again. Copies
    of a program share it.
    """

    def __init__(self, place: Place) -> None:
        require_mcp()
        self.place = place
        self._lock = threading.Lock()  # protects the next three
        self._state: _State | None = None
        self._process = os.getpid()
        self._is_closed = False
        self.changes = 0  # how often the server said that its tools have changed

    def __deepcopy__(self, memo: object) -> Connection:
        return self

    def __reduce__(self) -> NoReturn:
        raise ProgramError(
            f"a connection to the MCP server {self.place.name!r} cannot be pickled: save the "
            "program's state, which holds none (compilm's artifact, or DSPy's save to JSON)"
        )

    def close(self) -> None:
        """End the connection and its loop; a command that was started ends with it."""
        with self._lock:
            self._is_closed, state, self._state = True, self._state, None
        if state is not None:
            state.close()

    def submit(self, ask: Callable[[Any], Awaitable[Any]]) -> Future[Any]:
        """Begin `ask` with the SDK's client; to cancel the future tells the server to stop."""
        with self._lock:
            if self._is_closed:
                raise Unreachable(f"the connection to {self.place.name!r} was closed")
            if self._process != os.getpid():  # a fork has no threads of its parent
                self._process, self._state = os.getpid(), None
            if self._state is None:
                self._state = _State(self.place, self._changed)
                weakref.finalize(self, self._state.close)
            state = self._state
        if state.loop.is_here:
            raise UsageError("a tool cannot be called from the loop of its own connection")
        return state.loop.submit(state.ask(ask))

    def _changed(self) -> None:
        self.changes += 1


class _State:
    """A loop and the link that lives on it."""

    def __init__(self, place: Place, changed: Callable[[], object]) -> None:
        self._place = place
        self._changed = weakref.WeakMethod(changed)
        self.loop, self._process = Loop(f"compilm-mcp-{place.name}"), os.getpid()
        self._link: Link | None = None

    async def ask(self, ask: Callable[[Any], Awaitable[Any]]) -> Any:
        """What `ask` brings of the client; raises `Unreachable` where the server is not there."""
        from mcp.shared.exceptions import MCPError

        if self._link is None or self._link.is_over:
            self._link = Link(self._place, self._tell)
        link = self._link
        async with link as client:
            try:
                return await ask(client)
            except MCPError as error:
                if not _is_gone(error):
                    raise ToolSaidNo(error.message) from error
                link.retire()
                told = f"the MCP server {self._place.name!r} was gone before it answered"
                raise Unreachable(told) from error

    def _tell(self) -> None:
        changed = self._changed()
        if changed is not None:
            changed()

    def close(self) -> None:
        """Close the link, then the loop; in a fork there is nothing to close."""
        if self._process != os.getpid():
            return
        # It was closed already, or its server does not let go: the loop ends all the same.
        with suppress(RuntimeError, TimeoutError):
            self.loop.submit(self._close()).result(timeout=8.0)
        self.loop.close()

    async def _close(self) -> None:
        if self._link is not None:
            await self._link.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()


def _is_gone(error: Any) -> bool:
    """Whether the error is the connection's and not the server's answer."""
    from mcp_types import CONNECTION_CLOSED, INTERNAL_ERROR

    return error.code in (CONNECTION_CLOSED, INTERNAL_ERROR)
