"""The tools of an MCP server, as tools of a program."""

from __future__ import annotations

import random
import sys
from collections.abc import Collection, Sequence
from dataclasses import fields, replace
from types import TracebackType
from typing import Any, NoReturn

from ..clock import SYSTEM_CLOCK, Clock
from ..errors import ProgramError, UsageError
from ..policies.circuit import Circuit
from .calling import Caller
from .connection import Connection
from .place import Place
from .policy import Policy
from .remote import ListWork, McpWork
from .schema import from_schema
from .signature import Described
from .tool import Tool, made

__all__ = ["McpServer"]

_OF_PLACE = {each.name for each in fields(Place)}


class McpServer:
    """An MCP server: a `command` that is started, or a `url` that is asked (streamable HTTP).

    `only` names the tools that are taken, all without it; `prefix` stands before their names here.
    `idempotent` names those that may be called again after a connection broke; without, those are
    meant that the server itself calls read-only or idempotent. Further keywords are fields of
    `Place` (`env`, `key_env`, `cwd`, `remote`, `log`, `connect`) and of `Policy` (`timeout`,
    `attempts`, `most`, `tells`). After `breaker` failures in a row the server is left alone for a
    while.

    Nothing happens before `tools`; from then on it can be used from any thread and event loop.
    Raises `ConfigError` where the place makes no sense, `MissingExtra` without the SDK.

    >>> McpServer("claims", command=["python", "-m", "claims.server"])
    McpServer('claims', 'python -m claims.server')
    """

    def __init__(
        self,
        name: str,
        *,
        command: Sequence[str] = (),
        url: str | None = None,
        only: Collection[str] | None = None,
        prefix: str = "",
        idempotent: Collection[str] | None = None,
        breaker: int = 5,
        clock: Clock = SYSTEM_CLOCK,
        rng: random.Random | None = None,
        **more: Any,
    ) -> None:
        if isinstance(command, str):
            raise UsageError(f"command is a text: give a list, as {command.split()!r}")
        of_place = {key: more.pop(key) for key in list(more) if key in _OF_PLACE}
        of_place["env"] = tuple(of_place.get("env", ()))
        self.name, self.prefix = name, prefix
        self.place = Place(name, command=tuple(command), url=url, **of_place)
        self.policy = Policy(**more)
        self.circuit = Circuit(f"the MCP server {name!r}", consecutive=breaker)
        self._only = None if only is None else frozenset(only)
        self._idempotent = None if idempotent is None else frozenset(idempotent)
        self._clock, self._rng = clock, rng or random.Random()
        self._connection = Connection(self.place)
        self._kept: tuple[int, tuple[Tool, ...]] | None = None

    def __repr__(self) -> str:
        return f"McpServer({self.name!r}, {self.place.where!r})"

    def __deepcopy__(self, memo: object) -> McpServer:
        return self

    def __reduce__(self) -> NoReturn:
        self._connection.__reduce__()

    def tools(self) -> tuple[Tool, ...]:
        """Its tools; asked for once, and again after the server said that they have changed.

        Raises `ToolFailed` where the server cannot be asked.
        """
        if (kept := self._unchanged()) is not None:
            return kept
        changes = self._connection.changes
        return self._keep(changes, self._lister().call({}).checked())

    async def atools(self) -> tuple[Tool, ...]:
        """As `tools`, in a task."""
        if (kept := self._unchanged()) is not None:
            return kept
        changes = self._connection.changes
        return self._keep(changes, (await self._lister().acall({})).checked())

    def close(self) -> None:
        """End the connection, and the command that was started. Its tools then say so."""
        self._connection.close()

    def __enter__(self) -> McpServer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _unchanged(self) -> tuple[Tool, ...] | None:
        kept = self._kept
        return kept[1] if kept is not None and kept[0] == self._connection.changes else None

    def _lister(self) -> Caller:
        """Listing is a call like another: bounded, repeated, and told to the breaker.

        It may be the first, so it has the time to connect besides its own.
        """
        work, most = ListWork(self._connection, "tools/list"), self.policy.timeout
        timeout = None if most is None else most + self.place.connect
        policy = replace(self.policy, timeout=timeout, idempotent=True, most=sys.maxsize)
        name = f"tools of {self.name}"
        return Caller(name, work, dict, policy, self.circuit, self._clock, self._rng, True)

    def _keep(self, changes: int, listed: Any) -> tuple[Tool, ...]:
        found = {each.name: each for each in listed}
        missing = sorted((self._only or frozenset()) - set(found))
        if missing:
            raise UsageError(
                f"the MCP server {self.name!r} has no tool {', '.join(missing)}; it has "
                f"{', '.join(found) or 'none'}"
            )
        names = [name for name in found if self._only is None or name in self._only]
        tools = tuple(self._as_tool(found[name]) for name in names)
        self._kept = changes, tools
        return tools

    def _as_tool(self, each: Any) -> Tool:
        try:
            parameters = from_schema(each.input_schema)
        except ProgramError as error:
            raise ProgramError(
                f"the schema of {each.name!r} of the MCP server {self.name!r} is not understood "
                f"({error}); name the tools that you need with only="
            ) from error
        about = Described(self.prefix + each.name, each.description or each.title or "", parameters)
        return made(
            about,
            McpWork(self._connection, each.name),
            replace(self.policy, idempotent=self._may_repeat(each)),
            circuit=self.circuit,
            clock=self._clock,
            rng=self._rng,
        )

    def _may_repeat(self, each: Any) -> bool:
        if self._idempotent is not None:
            return each.name in self._idempotent
        says = each.annotations
        return says is not None and bool(says.read_only_hint or says.idempotent_hint)
