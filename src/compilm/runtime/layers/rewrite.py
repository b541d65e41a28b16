"""A layer that changes what is asked, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ...engine import EnginePair
from .around import Shared

__all__ = ["Rewrite"]


@dataclass(frozen=True, slots=True)
class Rewrite:
    """Every request below is what `change` makes of it.

    >>> from compilm.testing.layer_kit import CountingEngine, request
    >>> Rewrite(lambda _: request("other"))(CountingEngine().pair).sync.complete(request()).text
    'other'
    """

    change: Callable[[Any], Any]

    def __call__(self, inner: EnginePair) -> EnginePair:
        return EnginePair(_Engine(self, inner.sync), _AsyncEngine(self, inner.asynchronous))


class _Engine(Shared):
    def __init__(self, policy: Rewrite, inner: Any) -> None:
        super().__init__(inner)
        self._change = policy.change

    def complete(self, request: Any) -> Any:
        return self._inner.complete(self._change(request))

    def stream(self, request: Any) -> Iterator[Any]:
        found: Iterator[Any] = self._inner.stream(self._change(request))
        return found


class _AsyncEngine(Shared):
    def __init__(self, policy: Rewrite, inner: Any) -> None:
        super().__init__(inner)
        self._change = policy.change

    async def complete(self, request: Any) -> Any:
        return await self._inner.complete(self._change(request))

    def stream(self, request: Any) -> AsyncIterator[Any]:
        found: AsyncIterator[Any] = self._inner.stream(self._change(request))
        return found
