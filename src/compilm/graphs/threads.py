"""Threads: conversations by id; their turns are in a journal, their history is given on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import dspy

from ..canonical import dumps
from ..clock import SYSTEM_CLOCK, Clock
from ..errors import ProgramError
from ..journal import Journal, Record
from .graph import Graph
from .pauses import Paused
from .records import checked_id
from .runs import Runs
from .values import from_plain, plain_values
from .wants import wants_of

__all__ = ["Thread", "Threads"]

KINDS = (
    "thread.begun",  # inputs, run: a turn is being answered
    "thread.turn",  # message, carried: it was answered
    "thread.asked",  # run, question: it waits for a person
)
_MOST_ID = 150  # its runs have longer ones


@dataclass(slots=True)
class Thread:
    """A conversation: its turns as messages with the program's field names, and what it carries.

    `waits` is the question, where the last turn is paused.
    """

    id: str
    messages: list[dict[str, Any]] = field(default_factory=list)
    carried: Mapping[str, Any] = field(default_factory=dict)
    begun: Mapping[str, Any] = field(default_factory=dict)
    attempts: int = 0
    waits: str = ""


class Threads:
    """Conversations with a program, each kept under an id: in memory, SQLite or Postgres.

    Of a program that reads `history`, every turn is given the earlier ones as a `dspy.History`.
    Turns of a graph are durable runs: one that was killed goes on when the same message comes
    again, and one that asks a person goes on with `resume`. One turn of a thread is answered at a
    time, whatever process it comes to.

    Args:
        program: a graph, or any `dspy.Module`.
        journal: as from `compilm.open_journal("threads.db")` or `open_journal("postgresql://…")`.
        carry: outputs that the next turn is given as inputs, unless it gives its own.
        remember: the fields of a turn that its message in the history has; all without it.
        most: how many of the last turns the history holds.
        clock: the time of records.

    >>> from compilm.graphs import END
    >>> from compilm.journal import MemoryJournal
    >>> def reply(message, history):
    ...     return {"answer": f"{message} after {len(history.messages)}"}
    >>> graph = Graph({"reply": reply}, {"reply": END}, "reply", outputs=["answer"])
    >>> threads = Threads(graph, MemoryJournal())
    >>> [threads.turn("t-1", message=text).answer for text in ("Hello", "Thanks")]
    ['Hello after 0', 'Thanks after 1']
    """

    def __init__(
        self,
        program: dspy.Module,
        journal: Journal,
        *,
        carry: tuple[str, ...] = (),
        remember: tuple[str, ...] | None = None,
        most: int = 50,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.program, self.journal = program, journal
        self._carry, self._remember, self._most, self._clock = carry, remember, most, clock
        wants = program.wants if isinstance(program, Graph) else wants_of("program", program)
        self._takes_history = wants.anything or "history" in wants.names
        self._runs = (
            Runs(program, journal, name="thread", clock=clock)
            if isinstance(program, Graph)
            else None
        )

    def turn(self, thread: str, /, **inputs: Any) -> Any:
        """The program's prediction for the next message of a thread, or `Paused`."""
        with self._taken(thread) as (kept, given):
            run, full = self._begin(kept, inputs, given)
            if self._runs is None:
                return self._end(kept, inputs, self.program(**full))
            return self._end(kept, inputs, self._runs.start(run, **full))

    async def aturn(self, thread: str, /, **inputs: Any) -> Any:
        """As `turn`, in a task."""
        with self._taken(thread) as (kept, given):
            run, full = self._begin(kept, inputs, given)
            if self._runs is None:
                return self._end(kept, inputs, await self.program.acall(**full))
            return self._end(kept, inputs, await self._runs.astart(run, **full))

    def resume(self, thread: str, /, **answer: Any) -> Any:
        """Go on with a turn that waits for a person."""
        with self._taken(thread) as (kept, _):
            runs, run, inputs = self._asked(kept)
            return self._end(kept, inputs, runs.resume(run, **answer))

    async def aresume(self, thread: str, /, **answer: Any) -> Any:
        """As `resume`, in a task."""
        with self._taken(thread) as (kept, _):
            runs, run, inputs = self._asked(kept)
            return self._end(kept, inputs, await runs.aresume(run, **answer))

    def look(self, thread: str, /) -> Thread:
        """The thread as the journal has it; a new one has no messages."""
        kept = Thread(checked_id(thread, _MOST_ID))
        for record in self.journal.read(_run_of(thread), kinds=KINDS):
            _take(kept, record)
        return kept

    def history(self, thread: str, /) -> dspy.History:
        """The last turns of a thread, as the program is given them."""
        return self._history(self.look(thread))

    @contextmanager
    def _taken(self, thread: str) -> Iterator[tuple[Thread, dict[str, Any]]]:
        release = self.journal.claim(_run_of(checked_id(thread, _MOST_ID)))
        try:
            kept = self.look(thread)
            given = dict(from_plain(dict(kept.carried)))
            if self._takes_history:
                given["history"] = self._history(kept)
            yield kept, given
        finally:
            release()

    def _history(self, kept: Thread) -> dspy.History:
        return dspy.History(messages=from_plain(kept.messages[-self._most :]))

    def _begin(
        self, kept: Thread, inputs: Mapping[str, Any], given: Mapping[str, Any]
    ) -> tuple[str, dict[str, Any]]:
        """The id of the run that answers this turn, and all that the program is given."""
        if kept.waits:
            raise ProgramError(
                f"thread {kept.id!r} waits for an answer to {kept.waits!r}: resume it first"
            )
        plain = plain_values(inputs, "the inputs")
        if not kept.begun or dumps(kept.begun["inputs"]) != dumps(plain):
            # Another message than the one that was cut off: that one is left where it is.
            run = f"{_run_of(kept.id)}.{len(kept.messages)}.{kept.attempts}"
            kept.begun = {"inputs": plain, "run": run}
            self._write(kept, "thread.begun", kept.begun)
        return kept.begun["run"], {**given, **inputs}

    def _asked(self, kept: Thread) -> tuple[Runs, str, Mapping[str, Any]]:
        if not kept.waits or self._runs is None:
            raise ProgramError(f"thread {kept.id!r} asks nothing")
        return self._runs, kept.begun["run"], from_plain(dict(kept.begun["inputs"]))

    def _end(self, kept: Thread, inputs: Mapping[str, Any], outcome: Any) -> Any:
        if isinstance(outcome, Paused):
            if self._runs is None:
                raise ProgramError(
                    "a program that pauses must be the graph itself: a pause inside another module "
                    "cannot be taken up again"
                )
            asked = {"run": kept.begun["run"], "question": outcome.question}
            self._write(kept, "thread.asked", asked)
            return outcome
        fields = plain_values({**inputs, **dict(outcome.items())}, "the turn")
        fields.pop("history", None)
        message = {
            name: value
            for name, value in fields.items()
            if self._remember is None or name in self._remember
        }
        carried = {name: fields[name] for name in self._carry if name in fields}
        self._write(kept, "thread.turn", {"message": message, "carried": carried})
        return outcome

    def _write(self, kept: Thread, kind: str, body: Mapping[str, Any]) -> None:
        record = Record(kind, self._clock.wall(), _run_of(kept.id), dict(body))
        self.journal.append(record)


def _run_of(thread: str) -> str:
    return f"thread-{thread}"


def _take(kept: Thread, record: Record) -> None:
    body = record.body
    if record.kind == "thread.begun":
        kept.begun, kept.attempts = body, kept.attempts + 1
    elif record.kind == "thread.asked":
        kept.waits = body["question"]
    else:
        kept.messages.append(body["message"])
        kept.carried = {**kept.carried, **body["carried"]}
        kept.begun, kept.attempts, kept.waits = {}, 0, ""
