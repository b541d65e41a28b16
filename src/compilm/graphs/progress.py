"""What one run has done so far: finished steps by their place, answers, and who is told."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any, NamedTuple

from .values import from_plain, plain_values

__all__ = ["Done", "Event", "Place", "Progress"]


_NAMING = Lock()  # protects the making of ids


class Done(NamedTuple):
    """A finished step: its node, what it wrote, and whether it failed and has a fallback."""

    node: str
    update: Mapping[str, Any]
    failed: bool = False

    def to_json(self) -> list[Any]:
        """As it is kept."""
        return [self.node, plain_values(self.update, f"what node {self.node!r} gave"), self.failed]

    @classmethod
    def from_json(cls, body: list[Any]) -> Done:
        """What `to_json` gave."""
        return cls(body[0], from_plain(body[1]), body[2])


class Event(NamedTuple):
    """Something that happened in a run.

    kind is `started`, `finished`, `failed` (and gone to its fallback), `retried`, `paused`, or
    last `ended`; node and step say where, `at` when, in seconds of the graph's clock. data is
    what the node wrote, the error's class, or the question; outcome is the prediction of the
    whole run, or `Paused`, in the last event.

    >>> Event("started", "draft", "0", 0.0, {}).kind
    'started'
    """

    kind: str
    node: str
    step: str
    at: float
    data: Mapping[str, Any]
    outcome: Any = None


class Progress:
    """One run. `keep` stores each finished step before the run goes on; `tell` hears events.

    `begin` stores that an effect is about to happen, and whether it is safe to begin it again.
    `askers` are the nodes that asked, by the step of their answers.
    """

    __slots__ = ("_id", "answers", "askers", "begin", "done", "keep", "tell")

    def __init__(
        self,
        *,
        run: str = "",
        done: Mapping[str, Done] | None = None,
        answers: Mapping[str, dict[str, Any]] | None = None,
        askers: Mapping[str, str] | None = None,
        keep: Callable[[str, Done], Done] | None = None,
        begin: Callable[[str, str, bool], None] | None = None,
        tell: Callable[[str, str, str, Mapping[str, Any]], None] | None = None,
    ) -> None:
        self._id = run
        self.done: dict[str, Done] = dict(done or {})
        self.answers, self.askers = dict(answers or {}), dict(askers or {})
        self.keep, self.begin, self.tell = keep, begin, tell

    @property
    def id(self) -> str:
        """The run's id, made at the first use for a run that was given none."""
        if not self._id:
            with _NAMING:  # branches may ask at the same time, and must hear the same
                self._id = self._id or uuid.uuid4().hex
        return self._id

    def completed(self, step: str, done: Done) -> Done:
        """The step as it is kept, once it is."""
        if self.keep is not None:
            done = self.keep(step, done)
        self.done[step] = done
        if self.tell is not None:
            self.tell("failed" if done.failed else "finished", done.node, step, done.update)
        return done


class Place(NamedTuple):
    """Where in a run something is called: its step, the names of the graphs around, the run."""

    step: str
    names: str
    progress: Progress

    def inner(self, name: str) -> Place:
        """The place of a graph that is the node `name` here; its steps begin with this one."""
        return Place(f"{self.step}.", f"{self.names}{name}.", self.progress)
