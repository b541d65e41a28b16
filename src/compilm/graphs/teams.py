"""Several agents with one state: a supervisor that sends them, or members that hand over."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import dspy
from pydantic_core import to_jsonable_python

from ..errors import ProgramError
from ..tools import McpServer, Tool
from .agents import agent
from .edges import END, Choice
from .graph import Graph
from .nodes import Step, as_module
from .wants import Wants, writes_of

__all__ = ["Member", "handoff", "supervisor"]

_NOBODY = "nobody"
_FINISH = "finish"
_Notes = list[dict[str, Any]]
_SO_FAR = "What the others have done so far."


def supervisor(
    signature: str | type[dspy.Signature],
    workers: Mapping[str, Step],
    about: Mapping[str, str],
    *,
    max_turns: int = 8,
) -> Graph:
    """A graph in which one predictor sends workers until it knows enough, and another answers.

    A worker is a module (an `agent` for one); it is given what it wants of the state, the inputs
    and the `task` that the supervisor sets among it. What it writes is in the state, and a note of
    it in `notes`, which the supervisor reads. `about` says what each worker is for.

    >>> team = supervisor(
    ...     "question -> answer",
    ...     {"search": dspy.Predict("task -> found"), "count": dspy.Predict("task -> number")},
    ...     {"search": "finds passages", "count": "counts things"},
    ... )
    >>> [name for name, _ in team.named_predictors()][:2]
    ["nodes['decide'].decide", "nodes['search']"]
    """
    whole = dspy.ensure_signature(signature)
    steps = {name: as_module(name, step) for name, step in workers.items()}
    if missing := [name for name in steps if name not in about]:
        raise ProgramError(
            f"about says nothing of {', '.join(missing)}: the supervisor chooses by it"
        )
    nodes: dict[str, Step] = {"decide": _Deciding(whole, steps, about, max_turns)}
    edges: dict[str, Any] = {
        "decide": Choice("next", {**{name: name for name in steps}, _FINISH: "answer"}, "answer")
    }
    for name, step in steps.items():
        nodes |= {name: step, f"{name}_note": _Noting(name, step)}
        edges |= {name: f"{name}_note", f"{name}_note": "decide"}
    nodes["answer"] = dspy.Predict(_with_notes(whole))
    edges["answer"] = END
    return Graph(
        nodes,
        edges,
        "decide",
        tuple(whole.input_fields),
        tuple(whole.output_fields),
        max_steps=3 * max_turns + 2,
    )


class _Deciding(dspy.Module):
    """Chooses who works next, and on what."""

    def __init__(
        self,
        signature: type[dspy.Signature],
        workers: Mapping[str, dspy.Module],
        about: Mapping[str, str],
        max_turns: int,
    ) -> None:
        super().__init__()
        self.max_turns = max_turns
        listed = "\n".join(f"- {name}: {about[name]}" for name in workers)
        told = f"Who works next; {_FINISH!r} once enough is known.\n{listed}"
        kind = Literal[(*workers, _FINISH)]  # type: ignore[valid-type]  # made of names
        asked = _inputs(signature, {"notes": (_Notes, dspy.InputField(desc=_SO_FAR))})
        asked |= {
            "next": (kind, dspy.OutputField(desc=told)),
            "task": (str, dspy.OutputField(desc="What it shall do.")),
        }
        self.decide = dspy.Predict(dspy.Signature(asked, signature.instructions))
        self.wants = Wants(tuple(signature.input_fields), ("notes",))
        self.writes: tuple[str, ...] = ("next", "task")

    def forward(self, notes: _Notes | None = None, **inputs: Any) -> Any:
        """Who is next, and the task."""
        if len(notes or ()) >= self.max_turns:
            return {"next": _FINISH, "task": ""}
        return self.decide(**inputs, notes=notes or [])

    async def aforward(self, notes: _Notes | None = None, **inputs: Any) -> Any:
        """As `forward`, in a task."""
        if len(notes or ()) >= self.max_turns:
            return {"next": _FINISH, "task": ""}
        return await self.decide.acall(**inputs, notes=notes or [])


class _Noting(dspy.Module):
    """Adds what a worker wrote to the notes; after `most` of them nobody is handed to."""

    def __init__(self, name: str, worker: dspy.Module, most: int | None = None) -> None:
        super().__init__()
        found = writes_of(worker)
        if not found:
            raise ProgramError(
                f"what worker {name!r} writes is not known: give a module with a signature, a "
                "graph with outputs=, or a function that returns a TypedDict"
            )
        self.name, self.most = name, most
        self.wants = Wants((), (*found, "task", "notes"))
        self.writes: tuple[str, ...] = ("notes",) if most is None else ("notes", "hand_to")

    def forward(self, notes: _Notes | None = None, **wrote: Any) -> dspy.Prediction:
        """The notes, one more."""
        said = to_jsonable_python(wrote, fallback=str)
        found = [*(notes or []), {"by": self.name, **said}]
        if self.most is None:
            return dspy.Prediction(notes=found)
        hand_to = _NOBODY if len(found) >= self.most else wrote.get("hand_to")
        return dspy.Prediction(notes=found, hand_to=hand_to)


@dataclass(frozen=True, slots=True)
class Member:
    """One of a team that hands over: what it does, and the tools it has."""

    instructions: str
    tools: Sequence[Tool | McpServer | Callable[..., Any]] = ()


def handoff(
    signature: str | type[dspy.Signature],
    members: Mapping[str, Member | str],
    *,
    start: str | None = None,
    max_turns: int = 8,
) -> Graph:
    """A graph whose members answer, or hand over to another; the first has the first word.

    Each writes the outputs of `signature` as far as it knows them, a `note` for the next, and
    whom it hands to. A member with tools is an `agent`. They share the state, `notes` in it.

    >>> desk = handoff(
    ...     "message -> answer",
    ...     {"front": "Greet and route.", "claims": Member("Answer questions on claims.")},
    ... )
    >>> desk.start, desk.outputs
    ('front', ('answer', 'notes'))
    """
    whole = dspy.ensure_signature(signature)
    made = {n: Member(m) if isinstance(m, str) else m for n, m in members.items()}
    nodes: dict[str, Step] = {}
    edges: dict[str, Any] = {}
    for name, member in made.items():
        others = [other for other in made if other != name]
        asked = _handing(whole, member.instructions, others)
        step = agent(asked, member.tools) if member.tools else dspy.Predict(asked)
        nodes |= {
            name: step,
            f"{name}_note": _Noting(name, dspy.Predict("message -> note, hand_to"), max_turns),
        }
        cases = {other: other for other in others}
        edges |= {
            name: f"{name}_note",
            f"{name}_note": Choice("hand_to", {**cases, _NOBODY: END}, END),
        }
    return Graph(
        nodes,
        edges,
        start or next(iter(made)),
        tuple(whole.input_fields),
        (*whole.output_fields, "notes"),
        max_steps=2 * max_turns + 2,
    )


def _handing(
    signature: type[dspy.Signature], instructions: str, others: Sequence[str]
) -> type[dspy.Signature]:
    kind = Literal[(*others, _NOBODY)]  # type: ignore[valid-type]  # made of names
    told = f"Who goes on, with what is in the note; {_NOBODY!r} where the answer is complete."
    fields = _inputs(
        signature, {"notes": (_Notes | None, dspy.InputField(desc=_SO_FAR, default=None))}
    )
    fields |= {name: (info.annotation, info) for name, info in signature.output_fields.items()}
    fields |= {
        "note": (str, dspy.OutputField(desc="What the next has to know.")),
        "hand_to": (kind, dspy.OutputField(desc=told)),
    }
    whole = f"{signature.instructions}\n\n{instructions}".strip()
    found: type[dspy.Signature] = dspy.Signature(fields, whole)
    return found


def _inputs(signature: type[dspy.Signature], more: dict[str, Any]) -> dict[str, Any]:
    wanted = {name: (info.annotation, info) for name, info in signature.input_fields.items()}
    return {**wanted, **more}


def _with_notes(signature: type[dspy.Signature]) -> type[dspy.Signature]:
    told = dspy.InputField(desc=_SO_FAR, default=None)
    found: type[dspy.Signature] = signature.append("notes", told, type_=_Notes | None)
    return found
