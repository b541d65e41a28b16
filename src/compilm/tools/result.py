"""What came of a call of a tool: a value or an error, both as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from ..errors import ToolFailed

__all__ = ["Kind", "ToolError", "ToolResult"]

Kind: TypeAlias = Literal[
    "arguments", "unknown", "timeout", "refused", "unreachable", "failed", "too-many"
]


@dataclass(frozen=True, slots=True)
class ToolError:
    """Why a tool gave no value: a kind, a text without stack trace or secret, and a hint.

    `arguments`: they do not fit the schema. `unknown`: there is no such tool. `timeout`: it did
    not answer in time. `refused`: its server failed too often just now; `retry_after` is seconds.
    `unreachable`: its server could not be asked. `failed`: the tool itself says so. `too-many`:
    more calls in one turn than are made.

    >>> ToolError("timeout", "no answer within 10 s").told()
    {'error': 'timeout', 'message': 'no answer within 10 s'}
    """

    kind: Kind
    message: str
    retry_after: float | None = None

    def told(self) -> dict[str, Any]:
        """The error as a model gets it."""
        found: dict[str, Any] = {"error": self.kind, "message": self.message}
        if self.retry_after is not None:
            found["retry_after_seconds"] = round(self.retry_after, 1)
        return found


@dataclass(frozen=True, slots=True)
class ToolResult:
    """One call: its tool, its value or its error, seconds in all, attempts, characters left out.

    >>> ToolResult("add", 3).told, ToolResult("add", 3).checked()
    (3, 3)
    """

    name: str
    value: Any = None
    error: ToolError | None = None
    seconds: float = 0.0
    attempts: int = 1
    left_out: int = 0

    @property
    def told(self) -> Any:
        """What a model gets: the value, or the error as a table."""
        return self.value if self.error is None else self.error.told()

    def checked(self) -> Any:
        """The value, for callers that are programs; raises `ToolFailed` where there is none."""
        if self.error is not None:
            raise ToolFailed(f"{self.name}: {self.error.message}", kind=self.error.kind)
        return self.value
