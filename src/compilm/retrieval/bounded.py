"""A retriever that answers in time or says so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, TypeVar

from ..clock import SYSTEM_CLOCK, Clock
from ..errors import DeadlineExceeded, UsageError
from .passages import Passage, Retriever
from .where import Where

__all__ = ["Bounded", "awaited", "started"]

T = TypeVar("T")


def started(threads: Executor, call: Callable[..., T], *arguments: Any) -> Future[T]:
    """The call in another thread, with the context of this one (DSPy's settings are in it)."""
    return threads.submit(copy_context().run, call, *arguments)


def awaited(future: Future[T], end: float, clock: Clock) -> T:
    """What the call gave; `DeadlineExceeded` if it is not there at `end`, by this clock."""
    left = end - clock.now()
    if not clock.until(future, left):
        future.cancel()
        raise DeadlineExceeded("no passages within the time that was given")
    return future.result()


class Bounded:
    """Another retriever, waited for `timeout` seconds at most; then `DeadlineExceeded` is raised.

    In threads it is asked by another one, of `threads`; what is late there goes on until it ends
    by itself, so give retrievers over a network bounds of their own too.

    >>> from compilm.retrieval import Bm25
    >>> index = Bm25()
    >>> index.add([Passage("a", "Appeals take 30 days.")])
    >>> Bounded(index, timeout=5.0).search("appeals")[0].id
    'a'
    """

    def __init__(
        self,
        retriever: Retriever,
        timeout: float,
        *,
        threads: int = 32,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if not timeout > 0 or threads < 1:
            raise UsageError(
                f"a timeout of {timeout:g} s and {threads} threads leave no time: give more"
            )
        self.retriever, self.timeout, self._clock = retriever, timeout, clock
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="compilm-retrieve")

    def __deepcopy__(self, memo: dict[int, Any]) -> Bounded:
        return self  # copies of a program search the same passages

    def search(self, query: str, k: int = 5, where: Where | None = None) -> list[Passage]:
        """What the retriever finds in time."""
        end = self._clock.now() + self.timeout
        return awaited(
            started(self._threads, self.retriever.search, query, k, where), end, self._clock
        )

    async def asearch(self, query: str, k: int = 5, where: Where | None = None) -> list[Passage]:
        """As `search`, in a task; what is late is cancelled."""
        try:
            async with asyncio.timeout(self.timeout):
                return await self.retriever.asearch(query, k, where)
        except TimeoutError as error:
            raise DeadlineExceeded(f"no passages within {self.timeout:g} s") from error
