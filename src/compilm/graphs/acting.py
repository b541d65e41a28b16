"""The two steps of an agent: it chooses calls of tools, and they are made."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import dspy
from pydantic_core import to_jsonable_python

from ..errors import ProgramError
from ..tools import Tool, ToolResult, acall_all, call_all
from ..tools.box import ToolBox, described_tools
from .wants import Wants

__all__ = ["OWN", "Choosing", "Using", "fitting"]

OWN = ("steps", "thought", "calls", "is_done")
"""The keys of the state that belong to the agent."""

_MOST = 60_000  # characters of earlier steps that a prompt holds
_TOLD = (
    'Calls of tools to make now, all at the same time, as [{"name": ..., "args": {...}}]; '
    "[] once enough is known to answer. The tools ('?' marks what may be left out):\n"
)
_STEPS = "What was thought, called and found so far."
_Steps = list[dict[str, Any]]


class Choosing(dspy.Module):
    """Reads the inputs and the steps so far, and chooses the next calls; none means done."""

    def __init__(self, signature: type[dspy.Signature], box: ToolBox, max_turns: int) -> None:
        super().__init__()
        inputs = signature.input_fields
        if taken := [name for name in (*inputs, *signature.output_fields) if name in OWN]:
            raise ProgramError(
                f"an agent keeps its own {', '.join(taken)}: give those fields other names"
            )
        self.box, self.max_turns = box, max_turns
        wanted = {name: (info.annotation, info) for name, info in inputs.items()}
        fields = {
            **wanted,
            "steps": (_Steps, dspy.InputField(desc=_STEPS)),
            "thought": (str, dspy.OutputField(desc="What is known, and what is missing.")),
            "calls": (_Steps, dspy.OutputField(desc=_TOLD + described_tools(box.known))),
        }
        outputs = ", ".join(f"`{name}`" for name in signature.output_fields)
        told = f"{signature.instructions}\n\nUse the tools to find what is needed for {outputs}."
        self.choose = dspy.Predict(dspy.Signature(fields, told.strip()))
        self.wants = Wants(tuple(inputs), ("steps",))
        self.writes: tuple[str, ...] = ("thought", "calls", "is_done")

    def __deepcopy__(self, memo: dict[int, Any]) -> Choosing:
        new: Choosing = self.__class__.__new__(self.__class__)
        memo[id(self)] = new
        new.__dict__ |= self.__dict__  # the tools are shared, the predictor is the copy's own
        new.choose = self.choose.deepcopy()
        return new

    def forward(self, steps: _Steps | None = None, **inputs: Any) -> dspy.Prediction:
        """The next calls, and whether there are none."""
        if len(steps or ()) >= self.max_turns:
            return _chosen("", [])
        given = self._given(self.box.tools(), steps, inputs)
        said = self.choose(**given)
        return _chosen(said.thought, said.calls)

    async def aforward(self, steps: _Steps | None = None, **inputs: Any) -> dspy.Prediction:
        """As `forward`, in a task."""
        if len(steps or ()) >= self.max_turns:
            return _chosen("", [])
        given = self._given(await self.box.atools(), steps, inputs)
        said = await self.choose.acall(**given)
        return _chosen(said.thought, said.calls)

    def _given(
        self, tools: Sequence[Tool], steps: _Steps | None, inputs: dict[str, Any]
    ) -> dict[str, Any]:
        given = {**inputs, "steps": fitting(steps or [])}
        told = _TOLD + described_tools(tools)
        signature = self.choose.signature
        if signature.output_fields["calls"].json_schema_extra["desc"] != told:  # a server's tools
            given["signature"] = signature.with_updated_fields("calls", desc=told)
        return given


def _chosen(thought: Any, calls: Any) -> dspy.Prediction:
    listed = calls if isinstance(calls, list) else []
    return dspy.Prediction(thought=thought, calls=listed, is_done=not listed)


class Using(dspy.Module):
    """Makes the calls that were chosen, at the same time, and adds them to the steps."""

    def __init__(self, box: ToolBox) -> None:
        super().__init__()
        self.box = box
        self.wants = Wants(("calls",), ("thought", "steps"))
        self.writes: tuple[str, ...] = ("steps",)

    def __deepcopy__(self, memo: dict[int, Any]) -> Using:
        return Using(self.box)

    def forward(
        self, calls: _Steps, thought: str = "", steps: _Steps | None = None
    ) -> dspy.Prediction:
        """The steps, one more."""
        return _stepped(steps, thought, calls, call_all(self.box.tools(), calls))

    async def aforward(
        self, calls: _Steps, thought: str = "", steps: _Steps | None = None
    ) -> dspy.Prediction:
        """As `forward`, in a task."""
        return _stepped(steps, thought, calls, await acall_all(await self.box.atools(), calls))


def _stepped(
    steps: _Steps | None, thought: str, calls: _Steps, results: Sequence[ToolResult]
) -> dspy.Prediction:
    told = [to_jsonable_python(each.told, fallback=str) for each in results]
    one = {"thought": thought, "calls": calls, "results": told}
    return dspy.Prediction(steps=[*(steps or []), one])


def fitting(steps: _Steps, most: int = _MOST) -> _Steps:
    """The steps, the results of the oldest left out where all would be too long.

    >>> fitting([{"results": ["a" * 90]}, {"results": ["b"]}], most=60)
    [{'results': '[left out: too long ago]'}, {'results': ['b']}]
    """
    found, left = list[dict[str, Any]](), most
    for step in reversed(steps):
        left -= len(json.dumps(step, default=str))
        kept = step if left >= 0 or not found else {**step, "results": "[left out: too long ago]"}
        found.append(kept)
    return found[::-1]
