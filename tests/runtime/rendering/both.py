"""The same calls through an adapter and through its rendered twin, and what came of them."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dspy

from compilm.programs.models import request_digest
from compilm.runtime.rendering import rendered
from compilm.testing.engines import chat_answer, scripted_lm

ADAPTERS = (dspy.ChatAdapter, dspy.JSONAdapter, dspy.XMLAdapter)
TIMES = 3  # the first call of a signature is DSPy's own, the second renders, the third remembers


def quiet(lm: Any, adapter: Any, **settings: Any) -> Any:
    """A context as a loaded program has it."""
    given = {"lm": lm, "adapter": adapter, "trace": None, "disable_history": True}
    return dspy.context(**{**given, **settings})


def outcome(call: Callable[[], Any]) -> Any:
    """What a call gave, so that it can be compared: the prediction, or the error and its causes."""
    try:
        found = call()
    except Exception as error:  # whatever DSPy raises, the twin must raise
        return told(error)
    return dict(found.items()) if isinstance(found, dspy.Prediction) else found


def told(error: BaseException | None) -> Any:
    return None if error is None else (type(error), str(error), told(error.__cause__))


def completion(adapter: Any, answer: str) -> str:
    """A completion with this answer, as the adapter wants it."""
    return {
        dspy.ChatAdapter: chat_answer({"answer": answer}),
        dspy.JSONAdapter: '{"answer": %s}' % (answer or '""'),
        dspy.XMLAdapter: f"<answer>\n{answer}\n</answer>",
    }[adapter]


def asked(lm: dspy.LM) -> list[Any]:
    """Every request, and its digest: equal values could still be spelled otherwise."""
    return [(request, request_digest(request)) for request in lm.engine.requests]


def calls(
    program: Any,
    adapter: Any,
    script: Any,
    inputs: Sequence[Mapping[str, Any]],
    *,
    awaited: bool = False,
    model: Callable[[Any], dspy.LM] = scripted_lm,
    **settings: Any,
) -> tuple[list[Any], list[Any]]:
    """What a program asked, and what it gave, for each of these inputs."""
    lm, found = model(script), []
    with quiet(lm, adapter, **settings):
        for given in inputs:
            if awaited:
                found.append(outcome(lambda g=given: asyncio.run(program.acall(**g))))
            else:
                found.append(outcome(lambda g=given: program(**g)))
    return asked(lm), found


def assert_same(
    program: Any, adapter: Any, script: Any, inputs: Mapping[str, Any], **options: Any
) -> Any:
    """Assert that the twin asks and gives what the adapter does; what the twin gave."""
    times = [inputs] * TIMES
    # Each its own copy: some programs of DSPy change as they are called.
    plain = calls(copy.deepcopy(program), adapter, script, times, **options)
    twin = calls(copy.deepcopy(program), rendered(adapter), script, times, **options)
    assert twin[0] == plain[0]
    assert repr(twin[1]) == repr(plain[1])
    return twin


def is_kept(lm: dspy.LM) -> bool:
    """Whether the last two requests begin with the very same text object."""
    before, last = lm.engine.requests[-2:]
    return before.system is last.system
