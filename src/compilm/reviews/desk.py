"""The desk: durable runs on one side, the queue on the other; a pause goes over, an answer back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import dspy

from .. import canonical
from ..errors import ProgramError
from ..graphs import Paused
from ..graphs.runs import Runs
from ..programs.veils import Veil, veil_maker
from .queue import Reviews, check_fields
from .review import Review

__all__ = ["Desk", "Waiting"]

_log = logging.getLogger(__name__)
_AS_PROGRAM = "as the program does"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A run that waits for a person, and the review that asks for it."""

    run: str
    review: Review


class Desk:
    """Runs of a graph whose questions go into a queue, and go on with what people answer.

    runs: durable runs, `compilm.graphs.Runs`; its name is the program's in the queue. reviews: the
    queue. hide: what is done to question, reason, draft and inputs before they are written there;
    by default what the graph hides from its models: if a `compilm.guardrails.Redacted` is in it,
    its placeholders (`hide=None` shows all). The run itself is in the journal, not in the queue.
    around: a context for each stretch of a run, which gives it models where it is served.

    Each of its methods may die half way: `settle` finds what was left.

    >>> from compilm.graphs import END, Graph
    >>> from compilm.journal import MemoryJournal
    >>> from compilm.reviews import asking
    >>> def approve(draft, approved=None):
    ...     if approved is None:
    ...         raise asking("May this be sent?", fields=["approved"], reason="a refund")
    ...     return {"sent": approved}
    >>> graph = Graph({"approve": approve}, {"approve": END}, "approve")
    >>> desk = Desk(Runs(graph, MemoryJournal(), name="mail"), Reviews(":memory:"))
    >>> waiting = desk.start("mail-1", draft="Hello.")
    >>> waiting.review.reason
    'a refund'
    >>> desk.answer(waiting.review.id, by="ana", answer={"approved": True}).sent
    True
    """

    def __init__(
        self,
        runs: Runs,
        reviews: Reviews,
        *,
        hide: Veil | str | None = _AS_PROGRAM,
        around: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        self.runs, self.reviews, self._around = runs, reviews, around
        self._hide = hide

    def start(self, run: str, /, **inputs: Any) -> dspy.Prediction | Waiting:
        """Begin a run, or go on with one that was begun so: its prediction, or who is asked."""
        with self._around():
            return self._over(run, self.runs.start(run, **inputs))

    async def astart(self, run: str, /, **inputs: Any) -> dspy.Prediction | Waiting:
        """As `start`, in a task."""
        with self._around():
            outcome = await self.runs.astart(run, **inputs)
        return await asyncio.to_thread(self._over, run, outcome)

    def answer(
        self, id: str, *, by: str, answer: Mapping[str, Any]
    ) -> dspy.Prediction | Waiting | None:
        """Answer a review and go on with its run; `None` where the review is of no run."""
        review = self._answered(id, by, answer)
        return self._resume(review) if review.run else None

    async def aanswer(
        self, id: str, *, by: str, answer: Mapping[str, Any]
    ) -> dspy.Prediction | Waiting | None:
        """As `answer`, in a task."""
        review = await asyncio.to_thread(self._answered, id, by, answer)
        if not review.run:
            return None
        given = await asyncio.to_thread(self._given, review)
        with self._around():
            outcome = await self.runs.aresume(review.run, **given)
        return await asyncio.to_thread(self._gone_on, review, outcome)

    def settle(self) -> list[str]:
        """Do what is due: ask what no review asks yet, expire, go on with what has an answer.

        Gives the ids of the runs that went on. Call it when a process starts, and every minute.
        A run that fails holds up no other: it is logged, and tried again the next time. An answer
        that the run cannot take is asked for again.
        """
        for run in self.runs.paused():
            paused = self.runs.question(run)
            if paused is not None:
                self._asked(run, paused)
        self.reviews.expire()
        return [
            review.run
            for review in self.reviews.unresumed(self.runs.name)
            if self._has_settled(review)
        ]

    def _has_settled(self, review: Review) -> bool:
        try:
            given = self._given(review)
            if (why := self._refusal(review.run, given)) is not None:
                self.reviews.reopen(review.id, f"the answer could not be taken: {why}")
                return False
            self._resume(review)
        except Exception as error:  # border: whatever ends one run, the others go on
            kind = type(error).__name__  # its text may tell what was said
            _log.warning("run %r could not go on (%s); it is tried again", review.run, kind)
            return False
        return True

    def _refusal(self, run: str, answer: Mapping[str, Any]) -> ProgramError | None:
        """Why the run cannot take this answer; `None` where it can."""
        try:
            self.runs.check(run, **answer)
        except ProgramError as error:
            return error
        return None

    def _resume(self, review: Review) -> dspy.Prediction | Waiting:
        given = self._given(review)
        with self._around():
            outcome = self.runs.resume(review.run, **given)
        return self._gone_on(review, outcome)

    def _gone_on(self, review: Review, outcome: Any) -> dspy.Prediction | Waiting:
        found = self._over(review.run, outcome)
        self.reviews.resumed(review.id)
        return found

    def _answered(self, id: str, by: str, answer: Mapping[str, Any]) -> Review:
        review = self.reviews.get(id)
        if review.run and review.program != self.runs.name:
            raise ProgramError(
                f"review {review.id} is of {review.program!r}, and this desk is of "
                f"{self.runs.name!r}: answer it at its own"
            )
        if review.run and review.answer is None and self._waits(review):
            check_fields(review, answer)
            self.runs.check(review.run, **answer)
        return self.reviews.answer(review.id, by=by, answer=answer)

    def _given(self, review: Review) -> Mapping[str, Any]:
        """The answer, unless the run has it already: then it was killed between the two."""
        return (review.answer or {}) if self._waits(review) else {}

    def _waits(self, review: Review) -> bool:
        """Whether its run waits for this very review."""
        paused = self.runs.question(review.run)
        return paused is not None and self._id(paused) == review.id

    def _over(self, run: str, outcome: Any) -> dspy.Prediction | Waiting:
        if not isinstance(outcome, Paused):
            found: dspy.Prediction = outcome
            return found
        return Waiting(run, self._asked(run, outcome))

    def _asked(self, run: str, paused: Paused) -> Review:
        """The review of this question; the same question is one review, however often it comes."""
        told = dict(paused.details)
        parts = {name: told.pop(name, None) for name in ("reason", "draft", "fields")}
        fallback, within = told.pop("fallback", None), told.pop("within", None)
        shown = {
            "question": paused.question,
            "reason": parts["reason"] or "",
            "draft": parts["draft"] or {},
            "details": told,
            "inputs": dict(paused.inputs),
        }
        shown = self._hidden(shown)
        question = shown.pop("question")
        return self.reviews.ask(
            question, id=self._id(paused), within=within, fallback=fallback, run=run,
            node=paused.node, program=self.runs.name, fields=parts["fields"] or (), **shown,
        )  # fmt: skip

    def _hidden(self, shown: dict[str, Any]) -> dict[str, Any]:
        """What may be written into the queue."""
        hide = self._hide
        if isinstance(hide, str):
            maker = veil_maker(self.runs.graph)
            hide = None if maker is None else maker()
        return shown if hide is None else dict(hide(shown))

    def _id(self, paused: Paused) -> str:
        asked = [self.runs.name, paused.run, paused.step, paused.asked, paused.question]
        return canonical.short(canonical.digest(asked))
