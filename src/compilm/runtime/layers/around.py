"""A policy that admits a call and hears its outcome, driven around an engine: threads and tasks.

`Shared` is what the engines of all layers are: never copied, never pickled, closed with theirs.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, Generic, NoReturn, Protocol, TypeVar

from ...engine import EnginePair
from .streams import Progress, aclose, close

__all__ = ["Admission", "Shared", "around"]

Ticket = TypeVar("Ticket")


class Shared:
    """An engine around another: a deep copy of a program that holds it shares its state."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"{type(self).__name__} holds live state (limits, circuits, calls in flight) and is "
            "not pickled: save the program, and build its engines anew where it is loaded"
        )

    def close(self) -> None:
        """Close the engine below, if it can be closed."""
        close(self._inner)

    async def aclose(self) -> None:
        """Close the asynchronous engine below, if it can be closed."""
        await aclose(self._inner)


class Admission(Protocol[Ticket]):
    """A policy around a call: it lets it in (or raises), and hears what came of it once.

    One that may wait has an `aenter` too, by which a task is let in.
    """

    def enter(self, request: Any) -> Ticket:
        """Let a call in from this thread, perhaps after a wait."""
        ...

    def leave(self, ticket: Ticket, answer: Any, error: BaseException | None) -> None:
        """What came of it: the answer or the last event of its stream, or the error."""
        ...


def around(policy: Admission[Any], inner: EnginePair) -> EnginePair:
    """`inner` with `policy` around each call; a stream is one call from its start to its end.

    A caller that leaves a stream early is an error of kind `GeneratorExit`: no outcome.
    """
    return EnginePair(_Around(policy, inner.sync), _AsyncAround(policy, inner.asynchronous))


class _Around(Shared, Generic[Ticket]):
    def __init__(self, policy: Admission[Ticket], inner: Any) -> None:
        super().__init__(inner)
        self._policy = policy

    def complete(self, request: Any) -> Any:
        ticket = self._policy.enter(request)
        try:
            response = self._inner.complete(request)
        except BaseException as error:  # border: the policy hears how it ended; it passes
            self._policy.leave(ticket, None, error)
            raise
        self._policy.leave(ticket, response, None)
        return response

    def stream(self, request: Any) -> Iterator[Any]:
        ticket = self._policy.enter(request)
        progress = Progress()
        try:
            source = self._inner.stream(request)
            try:
                for event in source:
                    progress.saw(event)
                    yield event
                progress.finish()
            finally:
                close(source)
        except BaseException as error:  # border: as above
            self._policy.leave(ticket, None, error)
            raise
        self._policy.leave(ticket, progress.end, None)


class _AsyncAround(Shared, Generic[Ticket]):
    def __init__(self, policy: Admission[Ticket], inner: Any) -> None:
        super().__init__(inner)
        self._policy, self._aenter = policy, getattr(policy, "aenter", None)

    async def complete(self, request: Any) -> Any:
        aenter = self._aenter
        ticket = self._policy.enter(request) if aenter is None else await aenter(request)
        try:
            response = await self._inner.complete(request)
        except BaseException as error:  # border: as above
            self._policy.leave(ticket, None, error)
            raise
        self._policy.leave(ticket, response, None)
        return response

    async def stream(self, request: Any) -> AsyncIterator[Any]:
        aenter = self._aenter
        ticket = self._policy.enter(request) if aenter is None else await aenter(request)
        progress = Progress()
        try:
            source = self._inner.stream(request)
            try:
                async for event in source:
                    progress.saw(event)
                    yield event
                progress.finish()
            finally:
                await aclose(source)
        except BaseException as error:  # border: as above
            self._policy.leave(ticket, None, error)
            raise
        self._policy.leave(ticket, progress.end, None)
