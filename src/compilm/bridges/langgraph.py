"""LangGraph: a program as a node of its graphs, a graph of its as a program that compiles.

Nodes are plain functions, so a program needs nothing installed to become one. Building a graph
needs `langgraph`: pip install 'compilm[bridges]'.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import dspy

from ..errors import ProgramError
from .building import built
from .calls import awaited, inputs_of
from .foreign import Foreign, Text
from .langchain import model
from .library import library

__all__ = ["graph", "node"]


def node(
    program: Any,
    *,
    inputs: Mapping[str, str] | None = None,
    outputs: Mapping[str, str] | None = None,
) -> Any:
    """A program, or a loaded `Runtime`, as a node: a function of the state that gives an update.

    Args:
        program: what runs; its inputs and outputs are known from its signature, or are given.
        inputs: for each input of the program the key of the state it is read from. Left out:
            each from the key of its name.
        outputs: for each output the key it is written to. Left out: each to the key of its name.

    `graph.add_node("draft", node(program))` is all; under `ainvoke` it runs in a thread then, and
    `node(program).runnable()`, which needs langchain-core, is awaited.

    Raises:
        ProgramError: the program does not tell its inputs, or the state has no such key.

    >>> from compilm.testing.engines import scripted_lm
    >>> draft = node(dspy.Predict("question -> answer"), inputs={"question": "asked"})
    >>> with dspy.context(lm=scripted_lm([{"answer": "4"}])):
    ...     draft({"asked": "2+2?", "other": 1})
    {'answer': '4'}
    """
    return _Node(program, inputs, outputs)


class _Node:
    """A node of a graph: called with the state, or awaited."""

    def __init__(
        self,
        program: Any,
        inputs: Mapping[str, str] | None,
        outputs: Mapping[str, str] | None,
    ) -> None:
        self._program, self._outputs = program, outputs
        self._inputs = inputs or {name: name for name in inputs_of(program)}
        self.__name__ = type(program).__name__
        if not self._inputs:
            raise ProgramError(
                f"{self.__name__} does not tell its inputs: give inputs={{'input': 'state key'}}"
            )

    def __call__(self, state: Any) -> dict[str, Any]:
        return self._update(self._program(**self._read(state)))

    async def acall(self, state: Any) -> dict[str, Any]:
        """The same, awaited."""
        return self._update(await awaited(self._program, self._read(state)))

    def runnable(self) -> Any:
        """The node as LangChain's Runnable, with both halves, for `StateGraph.add_node`."""
        base = library(
            "langchain_core.runnables", extra="bridges", purpose="be a node of LangGraph"
        )
        return base.RunnableLambda(self.__call__, afunc=self.acall, name=self.__name__)

    def _read(self, state: Any) -> dict[str, Any]:
        values = state if isinstance(state, Mapping) else vars(state)
        lost = [key for key in self._inputs.values() if key not in values]
        if lost:
            raise ProgramError(
                f"the state has no {lost[0]!r}, which {self.__name__} reads; it has "
                f"{', '.join(map(str, values)) or 'nothing'}"
            )
        return {name: values[key] for name, key in self._inputs.items()}

    def _update(self, prediction: Any) -> dict[str, Any]:
        if self._outputs is None:
            return dict(prediction.items())
        return {key: prediction[name] for name, key in self._outputs.items()}


def graph(
    build: Callable[..., Any],
    *,
    texts: Mapping[str, str | Text] | None = None,
    parts: Mapping[str, dspy.Module] | None = None,
    inputs: str,
    outputs: str,
    config: Mapping[str, Any] | None = None,
) -> Foreign:
    """A LangGraph graph as a program: `build` gives the compiled graph, anew for each call.

    `build` gets each part (a DSPy module, to be a node or part of one) and each text by name, and
    as `model`, if it takes one, a LangChain chat model that asks the current role. It has to use
    what it is given: a graph that was compiled once would keep the first prompts for ever. The
    inputs are the first state, the outputs are read off the last, and other keys of it may serve
    as fields of the texts.

    `config` goes to each `invoke` (`{"recursion_limit": 50}`). A checkpointer belongs to the
    application, not to a program: what it keeps of one call would leak into the next.
    """
    settings = dict(config or {})

    def run(made: Any, given: Mapping[str, Any]) -> Any:
        return made.invoke(dict(given), settings)

    async def arun(made: Any, given: Mapping[str, Any]) -> Any:
        return await made.ainvoke(dict(given), settings)

    declared = {"texts": texts, "inputs": inputs, "outputs": outputs, "parts": parts}
    return built(build, run, arun, model, **declared)  # type: ignore[arg-type]
