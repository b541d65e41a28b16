"""How a program of ours is called by somebody else's code: by which names, and awaited."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import dspy

from ..errors import ProgramError

__all__ = ["awaited", "inputs_of", "named"]


def inputs_of(program: Any) -> tuple[str, ...]:
    """The inputs of a program or a loaded `Runtime`, as far as it tells them.

    Its own, those of its signature, or those of its only predictor.

    >>> inputs_of(dspy.ChainOfThought("question, context -> answer"))
    ('question', 'context')
    """
    known = getattr(program, "inputs", ())
    if not known and isinstance(program, dspy.Module):
        alone = program.predictors()
        holders = [program, *(alone if len(alone) == 1 else ())]
        signatures = [each.signature for each in holders if hasattr(each, "signature")]
        known = signatures[0].input_fields if signatures else ()
    return tuple(known)


def named(program: Any, inputs: Any) -> dict[str, Any]:
    """Inputs as a mapping; a value alone is the only input.

    >>> named(dspy.Predict("question -> answer"), "2+2?")
    {'question': '2+2?'}
    """
    if isinstance(inputs, Mapping):
        return dict(inputs)
    known = inputs_of(program)
    if len(known) != 1:
        raise ProgramError(
            f"{type(program).__name__} takes a mapping of its inputs, not {type(inputs).__name__}"
        )
    return {known[0]: inputs}


async def awaited(program: Any, inputs: Mapping[str, Any]) -> Any:
    """The prediction; a program without `aforward` runs in a thread.

    >>> from compilm.testing.engines import scripted_lm
    >>> with dspy.context(lm=scripted_lm([{"answer": "4"}])):
    ...     asyncio.run(awaited(dspy.Predict("question -> answer"), {"question": "2+2?"})).answer
    '4'
    """
    if isinstance(program, dspy.Module) and not hasattr(type(program), "aforward"):
        return await asyncio.to_thread(program, **inputs)
    return await program.acall(**inputs)
