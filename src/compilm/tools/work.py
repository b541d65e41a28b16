"""Where the work of a tool is done: in a thread that can be left behind, or on an event loop."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from .loops import common_loop, common_threads

__all__ = ["FunctionWork", "Job", "Work"]


def _nothing() -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Job:
    """Work that has begun: its future, how it is given up, and how far it says it is."""

    future: Future[Any]
    give_up: Callable[[], object]
    progress: Callable[[], str] = _nothing


class Work(Protocol):
    """What a tool does; `Call` bounds, repeats and tells it."""

    def start(self, args: Mapping[str, Any]) -> Job:
        """Begin, elsewhere than in this thread."""
        ...

    def here(self, args: Mapping[str, Any]) -> Any:
        """The value, in this thread, however long it takes."""
        ...

    def task(self, args: Mapping[str, Any]) -> Coroutine[Any, Any, Any] | None:
        """The work as a coroutine for the caller's own loop; `None` where it must not block it."""
        ...


@dataclass(frozen=True, slots=True)
class FunctionWork:
    """A Python function: one that blocks gets a thread, one that awaits the caller's loop.

    >>> FunctionWork(lambda a: a + 1).start({"a": 1}).future.result()
    2
    """

    func: Callable[..., Any]

    @property
    def _awaits(self) -> bool:
        inner = self.func
        while isinstance(inner, partial):
            inner = inner.func
        call = inner if inspect.isroutine(inner) else type(inner).__call__
        return inspect.iscoroutinefunction(call)

    def start(self, args: Mapping[str, Any]) -> Job:
        """Begin in a thread, or on the loop that is kept for such functions."""
        if self._awaits:
            future = common_loop().submit(self.func(**args))
            return Job(future, future.cancel)
        threads = common_threads()
        future = threads.run(partial(self.func, **args))
        return Job(future, partial(threads.abandon, future))

    def here(self, args: Mapping[str, Any]) -> Any:
        """Call it in this thread."""
        return self.start(args).future.result() if self._awaits else self.func(**args)

    def task(self, args: Mapping[str, Any]) -> Coroutine[Any, Any, Any] | None:
        """The coroutine of an asynchronous function."""
        found: Coroutine[Any, Any, Any] | None = self.func(**args) if self._awaits else None
        return found
