"""Tools for tests: answers from a script, failures on cue, and what they were asked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..tools import Tool, tool

__all__ = ["ScriptedTool"]

Script = Callable[..., Any] | Sequence[Any]


class ScriptedTool:
    """A tool that answers what the script says; `calls` are the arguments that came, in order.

    A list is used up in order (its last entry repeats), an exception in it is raised; a function
    is given the arguments. `options` are those of `compilm.tools.tool`.

    >>> lookup = ScriptedTool("lookup", [{"status": "open"}, ConnectionError("reset")])
    >>> lookup.tool(number=7), lookup.tool(number=8)["error"], lookup.calls
    ({'status': 'open'}, 'failed', [{'number': 7}, {'number': 8}])
    """

    def __init__(
        self,
        name: str,
        script: Script,
        *,
        schema: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        self._script = script
        self._lock = threading.Lock()  # protects calls
        self.calls: list[dict[str, Any]] = []
        anything = {"type": "object", "additionalProperties": True}
        self.tool: Tool = tool(self._answer, name=name, schema=schema or anything, **options)

    def _answer(self, **given: Any) -> Any:
        with self._lock:
            place = len(self.calls)
            self.calls.append(given)
        if callable(self._script):
            return self._script(**given)
        found = self._script[min(place, len(self._script) - 1)]
        if isinstance(found, BaseException):
            raise found
        return found
