"""What a policy tells the trace of the call that is going on; nothing, where none is recorded."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, Protocol

__all__ = ["CALL", "Noted", "note"]


class Noted(Protocol):
    """A call that is being recorded."""

    def note(self, name: str, values: dict[str, Any]) -> None:
        """Something happened to it; `values` are numbers and names of classes, never a text."""
        ...

    def now(self) -> float:
        """The instant, by the clock of the trace."""
        ...

    def attempted(self, model: str, start: float, error: BaseException | None) -> None:
        """A provider was asked for it from `start` until now, and this came of it."""
        ...


CALL: ContextVar[Noted | None] = ContextVar("compilm_call", default=None)


def note(name: str, **values: Any) -> None:
    """Tell the recorded call of this context what happened.

    >>> note("cache.hit")  # no call is recorded here
    """
    call = CALL.get()
    if call is not None:
        call.note(name, values)
