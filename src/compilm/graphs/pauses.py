"""A run that waits for a person: how a node asks, and what is kept until there is an answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from ..errors import ProgramError
from .values import from_plain, plain_values

__all__ = ["Pause", "Paused"]


class Pause(BaseException):
    """Raise it in a node to hand a question to a person; the graph then returns `Paused`.

    The node is run again with the answer's values as further arguments. `details` is plain JSON
    that helps to answer: choices, a draft, a reason. It is no `Exception`, so that no program
    takes it for a failure.

    >>> def approve(draft, approved=None):
    ...     if approved is None:
    ...         raise Pause("May this be sent?", draft=draft)
    ...     return {"approved": approved}
    """

    def __init__(self, question: str, **details: Any) -> None:
        super().__init__(question)
        self.question, self.details = question, details
        self.node, self.step = "", ""
        self.state: Mapping[str, Any] = {}

    def at(self, node: str, step: str, state: Mapping[str, Any]) -> None:
        """Remember where it was raised; the innermost place counts."""
        if not self.step:
            self.node, self.step, self.state = node, step, dict(state)


@dataclass(frozen=True, slots=True)
class Paused:
    """A run that stopped at `node` with a `question`: plain JSON data, for another process too.

    node is a name, with the names of the graphs around it (`desk.approve`); step is its place in
    the run; state is what was known there. `done` holds what every finished step gave, so that
    nothing is run twice; `answers` what was answered to steps that are not finished. run is the
    id of a durable run, else empty. Where a prediction is expected, it has the graph's declared
    outputs, all `None`: `outputs` names them. asked says the how manieth question of a durable run
    this is.

    >>> paused = Paused("Send it?", node="ask", step="1", state={"draft": "Hello."})
    >>> Paused.from_json(paused.to_json()) == paused
    True
    """

    question: str
    details: Mapping[str, Any] = field(default_factory=dict)
    node: str = ""
    step: str = ""
    state: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, Any] = field(default_factory=dict)
    done: Mapping[str, Any] = field(default_factory=dict)
    answers: Mapping[str, Any] = field(default_factory=dict)
    run: str = ""
    outputs: tuple[str, ...] = ()
    asked: int = 0

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "outputs" or name not in self.outputs:
            raise AttributeError(f"the run is paused ({self.question!r}) and has no {name!r}")
        return None

    def toDict(self) -> dict[str, Any]:
        """As a program's answer: no output yet, and what is asked; nothing of the state."""
        names = ("question", "details", "node", "run")
        asked = {name: getattr(self, name) for name in names}
        return {**dict.fromkeys(self.outputs), "paused": asked}

    def items(self) -> Any:
        """The items of `toDict`, as a prediction has them."""
        return self.toDict().items()

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {one.name: getattr(self, one.name) for one in fields(self)} | {
            "outputs": list(self.outputs)
        }

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Paused:
        """What `to_json` gave, perhaps in another process."""
        if not isinstance(body, Mapping):
            raise ProgramError(
                f"a paused run is what Paused.to_json() returned, not a {type(body).__name__}: if "
                "it was written as text, read it with json.loads first"
            )
        known = {one.name for one in fields(cls)}
        if unknown := set(body) - known or "question" not in body:
            raise ProgramError(
                f"this is no paused run: {unknown!r}; give what Paused.to_json() returned"
            )
        return cls(**{**body, "outputs": tuple(body.get("outputs", ()))})


def paused_of(
    pause: Pause,
    *,
    inputs: Mapping[str, Any],
    done: Mapping[str, Any],
    answers: Mapping[str, Any],
    run: str = "",
    outputs: tuple[str, ...] = (),
) -> Paused:
    """The paused run as plain data; what has no JSON form is an error that names it."""
    return Paused(
        pause.question,
        plain_values(pause.details, "the details of the question"),
        pause.node,
        pause.step,
        plain_values(pause.state, "the state"),
        plain_values(inputs, "the inputs"),
        {step: one.to_json() for step, one in done.items()},
        {step: plain_values(given, "an answer") for step, given in answers.items()},
        run,
        outputs,
    )


def answers_of(paused: Paused, answer: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """All answers by step, with this one for the step that asked."""
    earlier = {step: from_plain(given) for step, given in paused.answers.items()}
    return {**earlier, paused.step: {**earlier.get(paused.step, {}), **answer}}
