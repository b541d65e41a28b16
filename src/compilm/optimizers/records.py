"""The record kinds of a compile, and the one writer that appends them.

run.started     what is compiled, from what, under which budget and seed
session.opened  a process took the run up (the first time or again)
call.sent       one attempt went out; without a later answer it is lost, and still counted
call            an answer, complete: a run that goes on never asks for it again
call.failed     an attempt that failed, by the class of its error; never its text
candidate       texts and demonstrations for every predictor, with its parent and move
refused         what a move proposed and the text checks would not let be tried, with the reason
rollout         one candidate on one example, with its score and its trace
decision        a candidate was measured, kept, dropped, won or lost
confirmed       the held-out comparison and its verdict
measured        an evaluation: nothing was searched, nothing is shipped
note            something a person should read
run.finished    the result with the artifact
"""

from __future__ import annotations

from typing import Any

from ..clock import Clock
from ..journal import Journal, Record
from .ledger import Ask

__all__ = ["Writer"]


class Writer:
    """Appends the records of one run.

    >>> from compilm.clock import ManualClock
    >>> from compilm.journal import MemoryJournal
    >>> journal = MemoryJournal()
    >>> Writer(journal, "r1", ManualClock(start=5.0)).note("hello")
    >>> [(record.kind, record.at, record.body) for record in journal.read("r1")]
    [('note', 5.0, {'text': 'hello'})]
    """

    def __init__(self, journal: Journal, run: str, clock: Clock) -> None:
        self.journal, self.run, self._clock = journal, run, clock

    def append(self, kind: str, body: dict[str, Any]) -> None:
        """One record of this run, now."""
        self.journal.append(Record(kind, self._clock.wall(), self.run, body))

    def note(self, text: str) -> None:
        """Something a person should read."""
        self.append("note", {"text": text})

    def call_sent(self, *, role: str, request: str, ask: Ask) -> None:
        """One attempt goes out now, and may take so much."""
        self.append("call.sent", {"role": role, "request": request, **ask.to_json()})

    def call(self, *, seconds: float = 0.0, **body: Any) -> None:
        """An answer, before anyone has seen it."""
        self.append("call", {**body, "seconds": seconds})

    def call_failed(self, *, role: str, request: str, error: BaseException, took: Ask) -> None:
        """An attempt that failed; a provider's text may hold a key or personal data: left out."""
        named = {"role": role, "request": request, "error": type(error).__name__}
        body = {**named, **took.to_json()}
        status = getattr(error, "status", None)
        self.append("call.failed", {**body, "status": status if isinstance(status, int) else None})
