"""A trace while it is recorded: cheap to write to, from any thread or task of the program's call.

What DSPy hands down to whatever runs below (tasks, its own threads, a program in a program) are
its settings, so the trace of a call is one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from typing import Any, NamedTuple

import dspy

from ...clock import Clock
from ...engine import SAMPLE, Prefix, prefix_of
from ...prices import Prices
from ...programs.veils import TRACE, Veil
from .values import snapshot, snapshots

__all__ = ["MOST_SPANS", "SETTING", "LiveSpan", "LiveTrace", "Step", "Steps", "current"]

SETTING = TRACE
MOST_SPANS = 1000
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
    """A span that may still go on: what is needed to tell of it, and nothing that takes time.

    `request` and `response` are a call's; `texts` are what a program or predictor was given and
    gave, where that is kept.
    """

    over: float | None = None
    error: str | None = None  # the name of its class: its text may repeat a prompt
    status: int | None = None
    tried = False
    streams: float | None = None  # seconds to its first event; 0 until there is one
    sample: tuple[int | None, int] | None = None
    events: list[tuple[str, float, dict[str, Any]]] | None = None
    request: Any = None
    response: Any = None
    prefix: Prefix | None = None  # what the request begins with, where it was rendered once
    modules: Any = None  # DSPy's, that were calling when this call was made
    texts: dict[str, Any] | None = None

    def __init__(self, trace: LiveTrace, kind: str, name: str, parent: LiveSpan | None) -> None:
        self.trace, self.kind, self.name, self.parent = trace, kind, name, parent
        self.by = name  # the model whose attempt at this call was answered
        self.start = trace.now()

    def now(self) -> float:
        """The instant, by the clock of the trace."""
        return self.trace.now()

    def note(self, name: str, values: dict[str, Any]) -> None:
        """An event at this instant."""
        if self.events is None:
            self.events = []
        self.events.append((name, self.trace.now(), values))

    def attempted(self, model: str, start: float, error: BaseException | None) -> None:
        """A provider was asked for this call from `start` on. The only attempt is the call."""
        if error is None:
            self.by = model
            if not self.tried:
                return
        self.tried = True
        attempt = self.trace.span("attempt", model, self)
        attempt.start = start
        attempt.end(error)

    def streamed(self) -> None:
        """The first event that can be shown came."""
        if not self.streams:
            self.streams = self.trace.now() - self.start

    def answered(self, response: Any) -> None:
        """The call is over with this response."""
        self.end()
        self.response = response

    def gave(self, told: Any, error: str | None) -> None:
        """The tool or look-up is over: what it gave, and the kind of its error."""
        self.end()
        self.error = error
        if self.texts is not None:
            self.texts |= self.trace.shown({"outputs": snapshot(told)})

    def end(self, error: BaseException | None = None) -> None:
        """It is over, with this error or without one."""
        self.over = self.trace.now()
        if error is not None:
            self.error = type(error).__name__
            status = getattr(error, "status", None)
            self.status = status if isinstance(status, int) else None


class Step(NamedTuple):
    """A prediction that was given: by which predictor, in which call of it, when.

    DSPy makes a list of the calling modules for each call of a module: that list is the call.
    """

    predictor: Any
    modules: Any
    over: float
    texts: dict[str, Any]


class LiveTrace:
    """The spans of one call of a program, as they come.

    `keeps_texts` is whether inputs, prompts and answers are written down. `done` is called with
    the trace when the program's call is over. `veil` hides what is private in inputs and outputs
    before they are written down.
    """

    def __init__(
        self,
        id: str,
        clock: Clock,
        keeps_texts: bool,
        about: Mapping[str, Any],
        prices: Prices,
        done: Callable[[LiveTrace], None],
        veil: Veil | None = None,
    ) -> None:
        self.id, self.keeps_texts, self.about = id, keeps_texts, about
        self.prices, self._done, self._veil = prices, done, veil
        self.at, self.now = clock.wall(), clock.now
        self.left_out = 0
        self.steps: list[Step] = []
        self.root = LiveSpan(self, "program", about["program"], None)
        self.spans = [self.root]

    def span(self, kind: str, name: str, parent: LiveSpan | None) -> LiveSpan:
        """A span that begins now; beyond the most that a trace holds it is only counted."""
        made = LiveSpan(self, kind, name, parent)
        if len(self.spans) < MOST_SPANS:
            self.spans.append(made)
        else:
            self.left_out += 1
        return made

    def call(self, request: Any, stream: bool = False) -> LiveSpan:
        """A model is asked, by whoever is calling in this context."""
        made = self.span("call", request.model, self.root)
        made.request, made.modules = request, dspy.settings.caller_modules
        sample = SAMPLE.get()
        if sample is not None and (sample.index or sample.rollout_id is not None):
            made.sample = (sample.rollout_id, sample.index)
        if stream:
            made.streams = 0.0
        if self.keeps_texts:
            made.prefix = prefix_of(request)
        return made

    def tool(self, name: str, given: Mapping[str, Any]) -> LiveSpan:
        """A tool is called, by whoever is calling in this context."""
        return self._given("tool", name, given)

    def retrieval(self, name: str, given: Mapping[str, Any]) -> LiveSpan:
        """Passages are looked up by a retriever of this name."""
        return self._given("retrieval", name, given)

    def _given(self, kind: str, name: str, given: Mapping[str, Any]) -> LiveSpan:
        made = self.span(kind, name, self.root)
        if self.keeps_texts:
            made.texts = self.shown({"inputs": snapshots(given)})
        return made

    def predicted(
        self, predictor: Any, inputs: Mapping[str, Any], prediction: Any, modules: Any
    ) -> None:
        """A predictor gave its prediction, while these modules were calling where that is known."""
        texts = self.shown({"inputs": snapshots(inputs), "outputs": snapshot(prediction)})
        self.steps.append(Step(predictor, modules, self.now(), texts))

    def given(self, inputs: Mapping[str, Any]) -> None:
        """The program's inputs."""
        self.root.texts = self.shown({"inputs": snapshots(inputs)})

    def answered(self, prediction: Any) -> Any:
        """The program's prediction, before the trace ends; it is given back."""
        if self.root.texts is not None:
            self.root.texts |= self.shown({"outputs": snapshot(prediction)})
        return prediction

    def shown(self, texts: dict[str, Any]) -> dict[str, Any]:
        """The texts as they may be written down."""
        hidden: dict[str, Any] = texts if self._veil is None else self._veil(texts)
        return hidden

    def release(self) -> None:
        """Let go of what was said: it was written down, or will not be.

        What is still going on may tell of itself, to nobody.
        """
        self.spans, self.steps, self.root.texts = [], [], None

    def __enter__(self) -> LiveTrace:
        self._token = _TRACE.set(self)
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        _TRACE.reset(self._token)
        self.root.end(error)
        self._done(self)


class Steps(list[Any]):
    """What DSPy takes for its trace: told of each prediction, it passes it on and keeps nothing."""

    def __init__(self, trace: LiveTrace) -> None:
        super().__init__()
        self._trace = trace

    def append(self, step: Any) -> None:
        """One prediction: the predictor, its inputs, and what it gave."""
        predictor, inputs, prediction = step
        self._trace.predicted(predictor, inputs, prediction, dspy.settings.caller_modules)

    def extend(self, steps: Iterable[Any]) -> None:
        """Those of a part that kept its own, as `dspy.BestOfN` does."""
        for predictor, inputs, prediction in steps:
            self._trace.predicted(predictor, inputs, prediction, None)
