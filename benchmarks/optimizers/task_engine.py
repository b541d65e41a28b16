"""The engine of the tasks: the embedded engine, counted, and drawn anew each time it is sampled.

It is embedded, not a language model: what it scores says how well an optimizer searches, and
nothing about how good a program is.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

import dspy
from dspy.lm15 import Request, Response, response_to_events

from compilm.runtime.embedded import EmbeddedEngine
from compilm.runtime.embedded.options import Options

from .asked import Asked
from .world_engine import Counts

__all__ = ["OPTIONS", "TaskEngine", "task_lm"]

# attend_demos: not all training data in one prompt; bias: wording matters a little, as it does to
# a model, and the same way for every input of one prompt.
OPTIONS: Final = Options(attend_demos=16, bias=0.03, jitter=0.0)


class TaskEngine:
    """Answers requests and counts them; `program` tells which requests are a program's own.

    The embedded engine is a function of the request. Sampled requests (temperature above 0) that
    bring no seed get one: how often that same request came before, as a model would not give the
    same answer twice.

    >>> qa = dspy.Predict("question -> answer")
    >>> engine = TaskEngine(qa)
    >>> with dspy.context(lm=task_lm(engine)):
    ...     _ = qa(question="It rains. Does it?")
    >>> engine.runs, engine.counts.task_calls, engine.counts.proposer_calls
    (1, 1, 0)
    """

    supports_function_calling = False
    supports_response_schema = False
    supports_reasoning = False
    supported_params: tuple[str, ...] = ()

    def __init__(self, program: dspy.Module) -> None:
        self.counts = Counts()
        self._own = [
            (tuple(predictor.signature.input_fields), tuple(predictor.signature.output_fields))
            for _, predictor in program.named_predictors()
        ]
        self._by_step: Counter[int] = Counter()
        self._engine = EmbeddedEngine(OPTIONS)
        self._seen: Counter[str] = Counter()
        self._lock = threading.Lock()

    @property
    def runs(self) -> int:
        """Executions of the program: the calls of the predictor that was called most.

        A program may leave out a predictor, and who keeps answers may leave out some calls.
        """
        return max(self._by_step.values(), default=0)

    def complete(self, request: Request) -> Response:
        """The embedded engine's answer."""
        asked = Asked.of(request)
        response = self._engine.complete(self._seeded(request, asked))
        step = (asked.inputs, asked.outputs)
        is_task = step in self._own
        tokens = (response.usage.input_tokens or 0) + (response.usage.output_tokens or 0)
        with self._lock:
            self.counts.add(is_task=is_task, tokens=tokens)
            if is_task:
                self._by_step[self._own.index(step)] += 1
        return response

    def stream(self, request: Request) -> Iterator[Any]:
        """The same answer as events."""
        yield from response_to_events(self.complete(request))

    def close(self) -> None:
        """Nothing to release."""

    def __deepcopy__(self, memo: dict[int, Any]) -> TaskEngine:
        return self

    def _seeded(self, request: Request, asked: Asked) -> Request:
        if not request.config.temperature or request.config.seed is not None:
            return request
        with self._lock:
            self._seen[asked.key] += 1
            seed = self._seen[asked.key]
        return replace(request, config=replace(request.config, seed=seed))


def task_lm(engine: TaskEngine) -> dspy.LM:
    """The LM over `engine`: nothing is cached, nothing is tried twice."""
    return dspy.LM("embedded/base", engine=engine, cache=False, num_retries=0)
