"""A trace while it is recorded: cheap to write to, from any thread or task of the program's call.

What DSPy hands down to whatever runs below (tasks, its own threads, a program in a program) are
its settings, so the trace of a call is one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from itertools import count
from typing import Any

import dspy

from ...clock import Clock
from ...engine import SAMPLE
from ...prices import Prices
from ...programs.calling import path_of
from .values import snapshot, snapshots

__all__ = ["MOST_SPANS", "SETTING", "LiveSpan", "LiveTrace", "current"]

SETTING = "compilm_trace"
MOST_SPANS = 1000
_USAGE = (
    "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens",
)  # fmt: skip
_CONFIG = ("temperature", "max_tokens", "top_p", "seed")


_TRACE: ContextVar[LiveTrace | None] = ContextVar("compilm_trace", default=None)


def current() -> LiveTrace | None:
    """The trace that is recorded in this context, if one is.

    >>> print(current())
    None
    """
    found = _TRACE.get()
    if found is None and SETTING in dspy.settings:  # a thread of DSPy's, which has its settings
        found = dspy.settings[SETTING]
    return found


class LiveSpan:
    """A span that may still go on. What is said of it goes into `told` as it will be written.

    Texts of the call are not in there: `said` has its request and response, where they are kept.
    """

    __slots__ = ("_now", "by", "parent", "said", "start", "told", "trace")

    def __init__(self, trace: LiveTrace, kind: str, name: str, parent: LiveSpan | None) -> None:
        self.trace, self.parent = trace, parent
        self._now = trace.clock.now
        self.start = self._now()
        self.by: str | None = None  # the model whose attempt at this call was answered
        self.said: tuple[Any, Any] | None = None
        self.told: dict[str, Any] = {"n": next(trace.numbers), "kind": kind, "name": name}
        if parent is not None:
            self.told["parent"] = parent.told["n"]
            self.told["at_us"] = int((self.start - trace.root.start) * 1e6)

    def note(self, name: str, values: dict[str, Any]) -> None:
        """An event at this instant."""
        at_us = int((self._now() - self.trace.root.start) * 1e6)
        self.told.setdefault("events", []).append((name, at_us, values))

    def attempt(self, model: str) -> LiveSpan:
        """A provider is asked for this call."""
        return self.trace.span("attempt", model, self)

    def age(self) -> float:
        """Seconds since it began."""
        return self._now() - self.start

    def end(self, error: BaseException | None = None) -> None:
        """It is over, with this error or without one; for its predictor so far as well."""
        now, told, parent = self._now(), self.told, self.parent
        told["us"] = int((now - self.start) * 1e6)
        if parent is not None and told["kind"] == "call" and parent.parent is not None:
            parent.told["us"] = int((now - parent.start) * 1e6)
        if error is not None:
            told["error"] = type(error).__name__
            status = getattr(error, "status", None)
            if isinstance(status, int):
                told["status"] = status
        elif parent is not None and told["kind"] == "attempt":
            parent.by = told["name"]

    def answered(self, request: Any, response: Any) -> None:
        """The call is over with this response."""
        self.end()
        told, usage, by = self.told, response.usage, self.by or self.told["name"]
        if by != told["name"]:
            told["by"] = by
        told["answered_by"], told["finish"] = response.model, response.finish_reason
        for name in _USAGE:
            if (count := getattr(usage, name)) is not None:
                told[name] = count
        if (usd := self.trace.prices.usd(response, by, request)) is not None:
            told["usd"] = usd
        if self.trace.keeps_texts:
            self.said = (request, response)


class LiveTrace:
    """The spans of one call of a program, as they come.

    `keeps_texts` is whether inputs, prompts and answers are taken down. `done` is called with the
    trace when the program's call is over.
    """

    def __init__(
        self,
        id: str,
        clock: Clock,
        keeps_texts: bool,
        about: Mapping[str, Any],
        prices: Prices,
        done: Callable[[LiveTrace], None],
    ) -> None:
        self.id, self.clock, self.keeps_texts, self.about = id, clock, keeps_texts, about
        self.prices = prices
        self.at = clock.wall()
        self.left_out = 0
        self.numbers = count()
        self.spans: list[LiveSpan] = []
        self._done = done
        # The steps that go on, by predictor. DSPy makes a list of the calling modules for each call
        # of a module: that list is the call's identity.
        self._open: dict[int, list[tuple[Any, LiveSpan]]] = {}
        self.root = self.span("program", about["program"], None)

    def span(self, kind: str, name: str, parent: LiveSpan | None) -> LiveSpan:
        """A span that begins now; beyond the most that a trace holds it is only counted."""
        made = LiveSpan(self, kind, name, parent)
        if made.told["n"] < MOST_SPANS:
            self.spans.append(made)
        else:
            self.left_out += 1
        return made

    def call(self, request: Any, stream: bool = False) -> LiveSpan:
        """A model is asked, by the predictor that is calling in this context."""
        made = self.span("call", request.model, self._step())
        sample, told, config = SAMPLE.get(), made.told, request.config
        if sample is not None and (sample.index or sample.rollout_id is not None):
            told["rollout"], told["index"] = sample.rollout_id, sample.index
        for name in _CONFIG:
            if (value := getattr(config, name)) is not None:
                told[name] = value
        if stream:
            told["stream"] = True
        if self.keeps_texts:
            made.said = (request, None)
        return made

    def _step(self) -> LiveSpan:
        """The span of the predictor that is calling; the program's where none is."""
        modules = dspy.settings.caller_modules
        if not modules or not isinstance(modules[-1], dspy.Predict):
            return self.root
        steps = self._open.setdefault(id(modules[-1]), [])
        for of, step in steps:
            if of is modules:
                return step
        name = path_of(modules[-1]) or type(modules[-1]).__name__
        made = self.span("predictor", name, self.root)
        steps.append((modules, made))
        return made

    def predicted(self, predictor: Any, inputs: Mapping[str, Any], prediction: Any) -> None:
        """A predictor gave its prediction: in this context, or in one that was left."""
        steps = self._open.get(id(predictor))
        if not steps:
            return
        modules = dspy.settings.caller_modules if len(steps) > 1 else None
        place = next((n for n, (of, _) in enumerate(steps) if of is modules), -1)
        step = steps.pop(place)[1]
        step.end()
        step.told["texts"] = {"inputs": snapshots(inputs), "outputs": snapshot(prediction)}

    def given(self, inputs: Mapping[str, Any]) -> None:
        """The program's inputs."""
        self.root.told["texts"] = {"inputs": snapshots(inputs)}

    def answered(self, prediction: Any) -> Any:
        """The program's prediction, before the trace ends; it is given back."""
        if self.keeps_texts:
            self.root.told.setdefault("texts", {})["outputs"] = snapshot(prediction)
        return prediction

    def __enter__(self) -> LiveTrace:
        self._token = _TRACE.set(self)
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        _TRACE.reset(self._token)
        self.root.end(error)
        if self.keeps_texts:  # else nobody tells which predictors are done
            for steps in self._open.values():
                for _, step in steps:
                    step.told["unfinished"] = True
        self._open.clear()
        self._done(self)


class Steps(list[Any]):
    """What DSPy takes for its trace: told of each prediction, it passes it on and keeps nothing."""

    def __init__(self, trace: LiveTrace) -> None:
        super().__init__()
        self._trace = trace

    def append(self, step: Any) -> None:
        """One prediction: the predictor, its inputs, and what it gave."""
        self._trace.predicted(*step)

    def extend(self, steps: Iterable[Any]) -> None:
        """Those of a part that kept its own, as `dspy.BestOfN` does."""
        for step in steps:
            self.append(step)
