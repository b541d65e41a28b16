"""A foreign program: any callable whose prompts are named texts, compiled without becoming DSPy."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import dspy

from ..errors import ProgramError
from ..programs.demos import plain_demo
from ..programs.finished import finished
from ..programs.retrieving import Retrieving
from .prompts import Prompt, as_lines
from .uses import Uses

__all__ = ["Foreign", "Text"]

Shown = Callable[[Sequence[Mapping[str, Any]]], str]

# The fields of one of several texts that says nothing else: what it was sent with, what came back.
_EXCHANGE = "request -> response"


@dataclass(frozen=True, slots=True)
class Text:
    """A named text of a foreign program: how it begins, and the fields of the step it serves.

    fields: as in a DSPy signature ("passage -> summary"); what demonstrations and reflection are
    made of. show: how demonstrations are written down.

    >>> Text("Sum it up.", "passage -> summary").fields
    'passage -> summary'
    """

    text: str
    fields: str = ""
    show: Shown = as_lines


class Foreign(dspy.Module):
    """A function, or any callable, as a program whose prompts every optimizer can compile.

    The callable gets the inputs by keyword, and under the name of each text the text as it stands
    now: a `Prompt`, which is a `str`. Demonstrations stand in it where it says `{demos}`, else at
    its end. It gives back a mapping, or the value of the only output; more than the outputs is
    welcome: values under the names of a text's fields are what that text's demonstrations are
    made of. It may be `async`, or have an `acall`
    that is.

    Args:
        fn: the callable. Copies of the program share it.
        texts: by name, the text or a `Text` that also tells its fields. A single text has the
            fields of the program; of several, each one that says nothing else has `request` and
            `response`, heard of calls that go through a `dspy.LM` (`compilm.bridges.openai` makes
            any SDK's do so), or said by `Prompt.record`.
        inputs, outputs: names, as in a signature: "question", "question, context: list[str]".
        parts: DSPy modules that the callable gets by name; their predictors are compiled as well.
        models: `dspy.LM` objects that it gets by name, so that a compile can meter them.

    Raises:
        ProgramError: two things have one name, no text and no part, inputs that the call does not
            have, or outputs that it did not give.

    >>> def shout(word, *, style):
    ...     return f"{style} {word}!".upper()
    >>> program = Foreign(shout, texts={"style": "Oh"}, inputs="word", outputs="said")
    >>> program(word="no").said
    'OH NO!'
    >>> [name for name, _ in program.named_predictors()]
    ["texts['style']"]
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        *,
        texts: Mapping[str, str | Text] | None = None,
        inputs: str,
        outputs: str,
        parts: Mapping[str, dspy.Module] | None = None,
        models: Mapping[str, dspy.LM] | None = None,
    ) -> None:
        super().__init__()
        self.signature = dspy.Signature(f"{inputs} -> {outputs}")
        declared = {name: _declared(text) for name, text in (texts or {}).items()}
        self.parts, self.models = dict(parts or {}), dict(models or {})
        _check_names([*self.signature.input_fields], declared, self.parts, self.models)
        usual = self.signature if len(declared) == 1 else dspy.Signature(_EXCHANGE)
        self.texts = {name: _predictor(text, usual) for name, text in declared.items()}
        self._shown = _Kept({name: text.show for name, text in declared.items()})
        self._written = {name: text.text for name, text in declared.items()}
        self._fn = _Kept(fn)

    def forward(self, **inputs: Any) -> dspy.Prediction:
        """One call; an `async` callable is awaited, in a thread of its own if need be."""
        with self._called(inputs) as (fn, arguments, tell):
            returned = fn(**arguments)
            if inspect.isawaitable(returned):
                returned = finished(returned)
            return tell(returned)

    async def aforward(self, **inputs: Any) -> dspy.Prediction:
        """One call, awaited; a callable that is not `async` runs in a thread."""
        with self._called(inputs) as (fn, arguments, tell):
            awaited = getattr(fn, "acall", None)
            if awaited is not None:
                returned = awaited(**arguments)
            elif inspect.iscoroutinefunction(fn):
                returned = fn(**arguments)
            else:
                returned = await asyncio.to_thread(fn, **arguments)
            return tell(await returned if inspect.isawaitable(returned) else returned)

    @property
    def __compilm_sources__(self) -> tuple[Any, ...]:
        """The callable: a run that goes on must know that it is the same."""
        fn = self._fn.value
        return (fn, *getattr(fn, "__compilm_sources__", ()))

    @contextmanager
    def _called(self, inputs: Mapping[str, Any]) -> Iterator[tuple[Any, dict[str, Any], Any]]:
        """The callable, its arguments, and what makes a prediction of what it gives back."""
        self._check(inputs)
        uses, given = Uses(), dict[str, Any]()
        prompts = {name: self._prompt(name, inputs, uses) for name in self.texts}
        arguments = {**inputs, **prompts, **self.parts, **self.models}

        def tell(returned: Any) -> dspy.Prediction:
            given.update(self._values(returned))
            return dspy.Prediction(**given)

        try:
            with dspy.context(**self._settings(uses)):
                yield self._fn.value, arguments, tell
        finally:  # what was done before an error is what a proposer has to read
            _trace(uses.steps(self.texts, inputs, given))

    def _settings(self, uses: Uses) -> dict[str, Any]:
        """The listener, and the model that somebody set on all the texts (`set_lm`)."""
        settings: dict[str, Any] = {"callbacks": [*(dspy.settings.callbacks or []), uses]}
        set_on = {id(each.lm): each.lm for each in self.texts.values()}
        if len(set_on) == 1 and None not in set_on.values():
            settings["lm"] = next(iter(set_on.values()))
        return settings

    def _prompt(self, name: str, inputs: Mapping[str, Any], uses: Uses) -> Prompt:
        predictor = self.texts[name]
        chosen = predictor.shown(inputs) if isinstance(predictor, Retrieving) else predictor.demos
        signature = predictor.signature
        demos = [
            {key: demo[key] for key in plain_demo(demo, signature, name) if key in signature.fields}
            for demo in chosen
        ]
        shown = self._shown.value[name](demos) if demos else ""
        return Prompt(name, self._now(name), shown, told=uses.told)

    def _now(self, name: str) -> str:
        """The text as it stands; DSPy takes indentation away, which nobody changed."""
        now, written = self.texts[name].signature.instructions, self._written[name]
        return written if inspect.cleandoc(written) == inspect.cleandoc(now) else str(now)

    def _check(self, inputs: Mapping[str, Any]) -> None:
        wanted = set(self.signature.input_fields)
        missing, unknown = wanted - set(inputs), set(inputs) - wanted
        if missing or unknown:
            what = [f"{name!r} is missing" for name in sorted(missing)]
            what += [f"{name!r} is unknown" for name in sorted(unknown)]
            raise ProgramError(
                f"{_title(self._fn.value)} cannot be called so: {', '.join(what)}; its inputs are "
                f"{', '.join(self.signature.input_fields)}"
            )

    def _values(self, returned: Any) -> dict[str, Any]:
        """What the callable gave back, by name."""
        wanted = list(self.signature.output_fields)
        if isinstance(returned, Mapping | dspy.Example):
            values = dict(returned.items())
        else:
            values = {wanted[0]: returned} if len(wanted) == 1 else {}
        lost = [name for name in wanted if name not in values]
        if lost:
            raise ProgramError(
                f"{_title(self._fn.value)} gave {type(returned).__name__} without {lost[0]!r}: "
                f"return a dict with {', '.join(wanted)}"
            )
        return values


class _Kept:
    """Something that copies of a program share, whatever it is: functions, clients, connections."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __deepcopy__(self, memo: dict[int, Any]) -> _Kept:
        return self


def _declared(text: str | Text) -> Text:
    return text if isinstance(text, Text) else Text(text)


def _predictor(text: Text, usual: type[dspy.Signature]) -> dspy.Predict:
    predictor = dspy.Predict(dspy.Signature(text.fields) if text.fields else usual)
    predictor.signature = predictor.signature.with_instructions(text.text or " ")
    predictor.signature.instructions = text.text  # DSPy would give an empty text one of its own
    return predictor


def _check_names(*groups: Iterable[str]) -> None:
    names = [name for group in groups for name in group]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ProgramError(
            f"{twice!r} stands twice among inputs, texts, parts and models, which the callable all "
            "gets by keyword: rename one"
        )
    if not any(map(list, groups[1:3])):
        raise ProgramError(
            "nothing can be compiled without a text or a part: give texts= or parts="
        )


def _trace(steps: Sequence[Any]) -> None:
    """Add the steps to DSPy's trace, as its own predictors do."""
    trace = dspy.settings.trace
    if trace is not None and dspy.settings.max_trace_size > 0:
        for step in steps:
            if len(trace) >= dspy.settings.max_trace_size:
                trace.pop(0)
            trace.append(step)


def _title(fn: Any) -> str:
    return str(getattr(fn, "__qualname__", type(fn).__qualname__))
