"""The queue of reviews over HTTP: list, claim, answer, settle; and calls that end in waiting."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, Field

from ...clock import Clock
from ...errors import CompilmError, UsageError
from ...reviews import Desk, Review, Waiting
from . import problems
from .schema import answer_of

if TYPE_CHECKING:
    from fastapi import FastAPI

    from ..load import Runtime

__all__ = ["add_reviews", "outcome_of", "settling", "started"]

_EVERY_S = 60.0
_log = logging.getLogger(__name__)


async def started(
    runtime: Runtime, desk: Desk, run: str, inputs: Mapping[str, Any]
) -> tuple[int, dict[str, Any]]:
    """A status and a body: 200 with the outputs, or 202 with the review that the run waits for.

    `run` is the caller's id, so that a call that is sent twice is one run; without one it is new.
    """
    runtime.check(inputs)
    told = outcome_of(await desk.astart(run or f"h-{uuid.uuid4().hex}", **inputs))
    return (202, told) if told["status"] == "waiting" else (200, told["outputs"])


def outcome_of(outcome: Any) -> dict[str, Any]:
    """What became of a run, as JSON: its outputs, or the review that it waits for.

    >>> import dspy
    >>> outcome_of(dspy.Prediction(answer="4"))
    {'status': 'finished', 'outputs': {'answer': '4'}}
    """
    if isinstance(outcome, Waiting):
        review = outcome.review
        told = {"id": review.id, "question": review.question, "reason": review.reason}
        return {"status": "waiting", "run": outcome.run, "review": told}
    return {"status": "finished", "outputs": answer_of(outcome)}


@asynccontextmanager
async def settling(desk: Desk, clock: Clock) -> AsyncIterator[None]:
    """A context in which what is due is done every minute: overdue reviews, answered runs."""

    async def work() -> None:
        while True:
            try:
                await asyncio.to_thread(desk.settle)
            except Exception:  # border: the next minute may go better, and calls go on
                _log.warning("reviews could not be settled", exc_info=True)
            await clock.asleep(_EVERY_S)

    task = asyncio.create_task(work())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class _Claim(BaseModel):
    by: str
    lease: float = Field(900.0, gt=0, le=86400)


class _Answer(BaseModel):
    by: str
    answer: dict[str, Any]


def add_reviews(app: FastAPI, desk: Desk) -> None:
    """Add the routes of the queue; what is refused becomes a problem document, as everywhere."""
    routes = _Routes(desk)
    app.add_exception_handler(CompilmError, problems.answer)
    get = partial(app.get, response_model=None)
    post = partial(app.post, response_model=None)
    get("/v1/reviews", summary="Questions to people")(routes.listed)
    get("/v1/reviews/{id}", summary="One of them")(routes.one)
    post("/v1/reviews/claim", summary="Take the oldest that is free")(routes.claim_next)
    post("/v1/reviews/{id}/claim", summary="Take this one")(routes.claim)
    post("/v1/reviews/{id}/answer", summary="Answer, and go on")(routes.answer)
    post("/v1/reviews/settle", summary="Do what is due")(routes.settle)


class _Routes:
    """What the addresses do. The queue may be a database elsewhere: it is asked in threads."""

    def __init__(self, desk: Desk) -> None:
        self._desk, self._queue = desk, desk.reviews

    async def listed(
        self,
        status: Literal["open", "claimed", "answered", "expired"] | None = None,
        limit: Annotated[int, Field(ge=0, le=1000)] = 100,
    ) -> dict[str, Any]:
        rows = await asyncio.to_thread(self._queue.list, status, limit=limit)
        return {"reviews": [self._shown(each) for each in rows]}

    async def one(self, id: str) -> dict[str, Any]:
        return self._shown(await self._there(id))

    async def claim_next(self, body: _Claim) -> dict[str, Any]:
        found = await asyncio.to_thread(self._queue.claim, by=body.by, lease=body.lease)
        return {"review": None if found is None else self._shown(found)}

    async def claim(self, id: str, body: _Claim) -> dict[str, Any]:
        await self._there(id)
        found = await asyncio.to_thread(self._queue.claim, id, by=body.by, lease=body.lease)
        return {"review": None if found is None else self._shown(found)}

    async def answer(self, id: str, body: _Answer) -> dict[str, Any]:
        await self._there(id)
        outcome = await self._desk.aanswer(id, by=body.by, answer=body.answer)
        return {"outcome": None if outcome is None else outcome_of(outcome)}

    async def settle(self) -> dict[str, Any]:
        return {"resumed": await asyncio.to_thread(self._desk.settle)}

    async def _there(self, id: str) -> Review:
        from fastapi import HTTPException

        try:
            return await asyncio.to_thread(self._queue.get, id)
        except UsageError:
            raise HTTPException(404) from None

    def _shown(self, review: Review) -> dict[str, Any]:
        return {**review.to_json(), "status": review.status_at(self._queue.now())}
