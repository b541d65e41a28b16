"""A framework's object as a program: built anew for each call, out of the texts as they stand.

What frameworks build holds its prompts inside and cannot be copied well: a graph that is compiled
once keeps the first prompts whatever an optimizer does. A builder is asked again instead.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import dspy

from .asking import model_of
from .foreign import Foreign, Text

__all__ = ["Builder", "built"]

Run = Callable[[Any, Mapping[str, Any]], Any]
ARun = Callable[[Any, Mapping[str, Any]], Awaitable[Any]]


class Builder:
    """Builds and runs: what a `Foreign` calls. `model` makes the framework's view of our LM."""

    def __init__(
        self,
        build: Callable[..., Any],
        inputs: tuple[str, ...],
        run: Run,
        arun: ARun,
        model: Callable[[dspy.LM], Any],
    ) -> None:
        self._build, self._inputs, self._run, self._arun = build, inputs, run, arun
        self._model = model
        self.__compilm_sources__ = (build,)
        self.__qualname__ = getattr(build, "__qualname__", type(build).__qualname__)

    def __call__(self, **arguments: Any) -> Any:
        made, given = self._made(arguments)
        return self._run(made, given)

    async def acall(self, **arguments: Any) -> Any:
        """The same, awaited."""
        made, given = self._made(arguments)
        return await self._arun(made, given)

    def _made(self, arguments: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        given = {name: arguments.pop(name) for name in self._inputs}
        if _takes(self._build, "model"):
            # The LM itself, not "whichever is current": frameworks change threads.
            arguments["model"] = self._model(model_of(None))
        return self._build(**arguments), given


def built(
    build: Callable[..., Any],
    run: Run,
    arun: ARun,
    model: Callable[[dspy.LM], Any],
    *,
    texts: Mapping[str, str | Text] | None,
    inputs: str,
    outputs: str,
    parts: Mapping[str, dspy.Module] | None = None,
) -> Foreign:
    """The program that builds with `build` and runs what it built, for each call."""
    names = tuple(dspy.Signature(f"{inputs} -> {outputs}").input_fields)
    fn = Builder(build, names, run, arun, model)
    return Foreign(fn, texts=texts, inputs=inputs, outputs=outputs, parts=parts)


def _takes(build: Callable[..., Any], name: str) -> bool:
    found = inspect.signature(build).parameters.values()
    return any(each.name == name or each.kind is each.VAR_KEYWORD for each in found)
