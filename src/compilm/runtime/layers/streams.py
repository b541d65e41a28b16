"""What every layer does with a stream: read its opening, check its end, close its source."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from dspy import lm15

__all__ = ["Progress", "aclose", "aopening", "chained", "close", "opening"]


class Progress:
    """Watches the events of one stream go by: failures become errors, a missing end too."""

    def __init__(self) -> None:
        self.end: Any = None

    def saw(self, event: Any) -> bool:
        """Note an event; whether it can be shown, which only the start cannot."""
        if event.type == "error":
            raise _error_of(event.error)
        if event.type == "end":
            self.end = event
        return bool(event.type != "start")

    def finish(self) -> None:
        """The source has no more events: that is an answer only after the end event."""
        if self.end is None:
            raise lm15.StreamAssemblyError("the stream stopped without its end event")


def opening(source: Iterator[Any]) -> list[Any]:
    """Read up to the first event that can be shown; a failure until then closes the source."""
    progress, events = Progress(), list[Any]()
    try:
        for event in source:
            events.append(event)
            if progress.saw(event):
                return events
        progress.finish()
    except BaseException:  # border: nobody reads it any more; it passes
        close(source)
        raise
    return events


async def aopening(source: AsyncIterator[Any]) -> list[Any]:
    """As `opening`, in a task."""
    progress, events = Progress(), list[Any]()
    try:
        async for event in source:
            events.append(event)
            if progress.saw(event):
                return events
        progress.finish()
    except BaseException:  # border: as above
        await aclose(source)
        raise
    return events


async def chained(head: list[Any], source: AsyncIterator[Any]) -> AsyncIterator[Any]:
    """The events that were read, then those that come."""
    for event in head:
        yield event
    async for event in source:
        yield event


def close(source: Any) -> None:
    """Close a source of events, if it can be closed."""
    closing = getattr(source, "close", None)
    if closing is not None:
        closing()


async def aclose(source: Any) -> None:
    """Close an asynchronous source of events, if it can be closed."""
    closing = getattr(source, "aclose", None)
    if closing is not None:
        await closing()


def _error_of(detail: Any) -> lm15.LM15Error:
    """The error that an error event tells of."""
    # lm15 has this table and DSPy does not export it.
    from dspy._vendor.lm15.errors import error_class_for_code

    told = detail.http_response
    return error_class_for_code(detail.code)(
        detail.message,
        provider_code=detail.provider_code,
        request_id=told.get("request_id"),
        retry_after=told.get("retry_after"),
    )
