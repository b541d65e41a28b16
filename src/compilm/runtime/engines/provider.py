"""A provider engine: a wire, a sender and an account make one attempt, in a thread or in a task."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from contextlib import aclosing, closing
from typing import Any, Protocol

from dspy import lm15

from ...clock import SYSTEM_CLOCK, Clock
from ...engine import DEADLINE
from .account import Account
from .failures import told
from .wire import Asked, Payload, Wire, WireFailure

__all__ = ["AsyncProviderEngine", "AsyncSender", "ProviderEngine", "Sender", "Until"]


class Sender(Protocol):
    """Moves one body over a network. `until` is the second of the system clock to give up at."""

    def prepare(self, key: str | None) -> None:
        """Import and make what the first attempt needs, before its time begins."""
        ...

    def send(self, body: Payload, key: str | None, until: float) -> Any:
        """The parsed answer; `WireFailure` for everything else."""
        ...

    def events(
        self, body: Payload, key: str | None, until: Until
    ) -> Generator[Payload, None, None]:
        """The parsed payloads of a stream; closing the generator closes the connection."""
        ...

    def close(self) -> None:
        """Close the idle connections."""
        ...


class AsyncSender(Protocol):
    """The same in a task; waits are bounded by the engine."""

    def prepare(self, key: str | None) -> None:
        """Import and make what the first attempt needs, before its time begins."""
        ...

    async def send(self, body: Payload, key: str | None) -> Any:
        """The parsed answer; `WireFailure` for everything else."""
        ...

    def events(self, body: Payload, key: str | None) -> AsyncGenerator[Payload, None]:
        """The parsed payloads of a stream; closing it closes the connection."""
        ...

    async def aclose(self) -> None:
        """Close the connections of this event loop."""
        ...


class Until:
    """When the wait for the next event of a stream ends: asked anew for each."""

    def __init__(self, timeout: float, clock: Clock) -> None:
        self._timeout, self._clock, self._last = timeout, clock, DEADLINE.get()

    def __call__(self) -> float:
        """The second of the system clock at which the wait that starts now must end."""
        end = self._clock.now() + self._timeout
        return end if self._last is None else min(end, self._last)


class _Shared:
    """What both twins of an engine have in common."""

    supports_function_calling = True
    supports_response_schema = True
    supports_reasoning = True
    supported_params: tuple[str, ...] = (
        "max_tokens",
        "reasoning_effort",
        "response_format",
        "stop",
        "temperature",
        "tool_choice",
        "tools",
        "top_p",
    )

    _sender: Any

    def __init__(self, wire: Wire, account: Account, kind: str, clock: Clock) -> None:
        self._wire, self._account, self._kind, self._clock = wire, account, kind, clock

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._kind}, {self._wire.name}, {self._account!r})"

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return self

    def dump_state(self) -> dict[str, Any]:
        """Settings as JSON; the key stays in the environment."""
        return {"kind": self._kind, "wire": self._wire.name, **self._account.state()}

    def _asked(self, request: lm15.Request, *, stream: bool) -> tuple[Asked, str | None]:
        """The body and the key; made before the time of the attempt begins."""
        asked = self._wire.ask(request, stream=stream)
        key = self._account.key_for(self._wire.home, self._wire.name)
        self._sender.prepare(key)
        return asked, key

    def _told(self, failure: WireFailure, request: lm15.Request) -> lm15.LM15Error:
        key = self._account.key
        return told(failure, self._wire.name, request, key=key, clock=self._clock)

    def _until(self) -> Until:
        return Until(self._account.timeout, self._clock)

    def _answer(self, payload: Any, asked: Asked, request: lm15.Request) -> lm15.Response:
        try:
            return self._wire.answer(payload, asked, request)
        except (AttributeError, KeyError, TypeError, ValueError) as error:  # not the protocol
            raise WireFailure("malformed", f"its form is wrong ({type(error).__name__})") from None


class ProviderEngine(_Shared):
    """One attempt in this thread."""

    def __init__(
        self, wire: Wire, account: Account, kind: str, sender: Sender, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        super().__init__(wire, account, kind, clock)
        self._sender = sender

    def complete(self, request: lm15.Request) -> lm15.Response:
        """The whole answer; `dspy.lm15` errors with status, `retry_after` and request id."""
        asked, key = self._asked(request, stream=False)
        try:
            payload = self._sender.send(asked.body, key, self._until()())
            return self._answer(payload, asked, request)
        except WireFailure as failure:
            error = self._told(failure, request)
        raise error  # outside the handler: what failed holds the prompt and is not chained

    def stream(self, request: lm15.Request) -> Iterator[Any]:
        """The answer as events; closing the iterator closes the connection."""
        asked, key = self._asked(request, stream=True)
        reader = self._wire.reader(asked, request)
        try:
            with closing(self._sender.events(asked.body, key, self._until())) as payloads:
                for payload in payloads:
                    yield from _fed(reader.feed(payload))
            yield from _fed(reader.end())
            return
        except WireFailure as failure:
            error = self._told(failure, request)
        raise error

    def close(self) -> None:
        """Close idle connections; the engine can still be used, over new ones."""
        self._sender.close()


class AsyncProviderEngine(_Shared):
    """One attempt in this task."""

    def __init__(
        self,
        wire: Wire,
        account: Account,
        kind: str,
        sender: AsyncSender,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        super().__init__(wire, account, kind, clock)
        self._sender = sender

    async def complete(self, request: lm15.Request) -> lm15.Response:
        """The whole answer; `dspy.lm15` errors with status, `retry_after` and request id."""
        asked, key = self._asked(request, stream=False)
        try:
            async with self._bounded(self._until()):
                payload = await self._sender.send(asked.body, key)
            return self._answer(payload, asked, request)
        except TimeoutError:
            error = self._told(WireFailure("timeout"), request)
        except WireFailure as failure:
            error = self._told(failure, request)
        raise error

    async def stream(self, request: lm15.Request) -> AsyncIterator[Any]:
        """The answer as events; closing the iterator closes the connection."""
        asked, key = self._asked(request, stream=True)
        reader, until = self._wire.reader(asked, request), self._until()
        try:
            async with aclosing(self._sender.events(asked.body, key)) as payloads:
                while True:
                    async with self._bounded(until):
                        payload = await anext(payloads, None)
                    if payload is None:
                        break
                    for event in _fed(reader.feed(payload)):
                        yield event
            for event in _fed(reader.end()):
                yield event
            return
        except TimeoutError:
            error = self._told(WireFailure("timeout"), request)
        except WireFailure as failure:
            error = self._told(failure, request)
        raise error

    def _bounded(self, until: Until) -> asyncio.Timeout:
        return asyncio.timeout(max(0.0, until() - self._clock.now()))

    async def aclose(self) -> None:
        """Close the connections of this event loop; the engine can be used again."""
        await self._sender.aclose()


def _fed(events: Iterator[Any]) -> Iterator[Any]:
    """What a reader makes of what came; what does not fit the protocol is an error of the wire."""
    try:
        yield from events
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise WireFailure("malformed", f"an event is wrong ({type(error).__name__})") from None
