"""An artifact and the program it was compiled from become something to call."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Any

import dspy

from ..artifact import Artifact, read
from ..errors import ArtifactError, ConfigError, ProgramError
from ..programs.awaiting import acalled
from ..programs.calling import named
from ..programs.predictors import applied, check_shape, predictors
from ..programs.reference import build, locate
from ..programs.rendering import rendered
from ..programs.veils import veil_maker
from .inputs import check_texts
from .layers.streams import aclose, close
from .layers.trace import heard
from .tracing import Tracer
from .tracing.live import SETTING, Steps
from .tracing.origin import origin
from .untraced import UNTRACED

__all__ = ["Runtime", "load"]

DEFAULT = "default"
EMBEDDED = "embedded/"
_ADAPTERS = ("ChatAdapter", "JSONAdapter", "XMLAdapter")


@dataclass(frozen=True, slots=True)
class Runtime:
    """A compiled program that is ready to be called, from any number of threads and tasks.

    `inputs` and `outputs` are the names of the whole program's fields, as far as the artifact or
    the program tells them; inputs in `optional` may be left out. `roles` are the models in use.
    Calls keep no DSPy history and no DSPy trace: nothing grows with traffic. `tracer` records them,
    where there is one. With `rendering`, what is the same in every prompt is rendered once.
    """

    artifact: Artifact
    program: dspy.Module
    roles: Mapping[str, dspy.LM]
    adapter: Any = field(repr=False)
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    optional: frozenset[str] = frozenset()
    tracer: Tracer | None = field(default=None, repr=False)
    rendering: bool = True
    _about: Mapping[str, Any] = field(default_factory=dict, repr=False)  # the same in each trace
    _asks: Any = field(init=False, repr=False, compare=False)
    _veil: Any = field(init=False, repr=False, compare=False)  # hides what is private in traces

    def __post_init__(self) -> None:
        asks = rendered(self.adapter) if self.rendering else self.adapter
        object.__setattr__(self, "_asks", asks)
        object.__setattr__(self, "_veil", veil_maker(self.program))

    def __call__(self, **inputs: Any) -> dspy.Prediction:
        """The program's prediction for these inputs.

        Raises:
            ProgramError: before any call, for unknown or missing inputs, or one that carries
                DSPy's marker for content parts, through which text could pose as an image, or
                half of a character, which no model can be sent.
        """
        self._check(inputs)
        with self._called(inputs) as told:
            return told(self.program(**inputs))

    async def acall(self, **inputs: Any) -> dspy.Prediction:
        """The program's prediction, awaited; a program without `aforward` runs in a thread."""
        self._check(inputs)
        with self._called(inputs) as told:
            return told(await acalled(self.program, inputs))

    def check(self, inputs: Mapping[str, Any]) -> None:
        """Nothing, or the `ProgramError` that a call with these inputs raises before it starts."""
        self._check(inputs)

    def calling(self, inputs: Mapping[str, Any]) -> AbstractContextManager[Any]:
        """The models and settings of a call, for what runs the program in another way: a desk."""
        return self._called(inputs)

    def close(self) -> None:
        """Close idle connections of its models' threads; the next call opens others."""
        with ExitStack() as closing:
            for lm in self.roles.values():
                closing.callback(close, lm)

    async def aclose(self) -> None:
        """Close the connections of this event loop too."""
        async with AsyncExitStack() as closing:
            for lm in self.roles.values():
                closing.push_async_callback(aclose, lm)

    @contextmanager
    def _called(self, inputs: Mapping[str, Any]) -> Iterator[Callable[[Any], Any]]:
        """One call: under its own settings and, if it is recorded, in its own trace."""
        trace = None if self.tracer is None else self.tracer.begin(self._about, inputs, self._veil)
        settings = {"lm": self.roles[DEFAULT], "adapter": self._asks, "disable_history": True}
        if trace is None:
            with dspy.context(**settings, trace=UNTRACED):
                yield _same
        else:
            steps = Steps(trace) if trace.keeps_texts else UNTRACED
            with trace, dspy.context(**settings, trace=steps, **{SETTING: trace}):
                yield trace.answered

    def _check(self, inputs: Mapping[str, Any]) -> None:
        known = [*self.inputs, *sorted(self.optional - set(self.inputs))]
        missing = [name for name in self.inputs if name not in inputs and name not in self.optional]
        unknown = [name for name in inputs if name not in known] if self.inputs else []
        if missing or unknown:
            found = [f"{name!r} is missing" for name in missing]
            found += [f"{name!r} is unknown{_meant(name, known)}" for name in unknown]
            raise ProgramError(
                f"{type(self.program).__name__} cannot be called so: {', '.join(found)}; its "
                f"inputs are {', '.join(known)}"
            )
        for name, value in inputs.items():
            check_texts(name, value)


def _same(prediction: Any) -> Any:
    return prediction


def load(
    path: str | Path | Artifact,
    program: Any = None,
    *,
    roles: Mapping[str, dspy.LM] | None = None,
    allow: Iterable[str] = (),
    adapter: Any = None,
    tracer: Tracer | None = None,
    rendering: bool = True,
) -> Runtime:
    """The artifact in this directory or file, applied to a copy of the program it was made for.

    Args:
        path: an artifact, or where one was written.
        program: a `dspy.Module`, its class, or a function that makes one. Without it the program
            that the artifact names is imported, if `allow` has it.
        roles: the model for each role. A missing `default` is `dspy.settings.lm`; a role that the
            artifact was compiled with the embedded engine for gets that engine again.
        allow: references an artifact may name: "package.module:Attr" for just this, "package."
            for the `dspy.Module` classes and instances anywhere in that package.
        adapter: instead of the one the artifact was compiled with.
        tracer: what records the calls, if they are to be recorded; who made it closes it.
        rendering: whether what stays in prompts is rendered once; the prompts are the same
            without, and cost more.

    Raises:
        ArtifactError: the artifact is not sound, names a program that is not allowed, or was made
            for another shape (`ArtifactMismatch`, which names the predictor and the field).
        ConfigError: a role has no model. It is never filled with another one.

    >>> from tempfile import TemporaryDirectory
    >>> from compilm.programs.dspy_state import adopt
    >>> from compilm.testing.engines import scripted_lm
    >>> program = dspy.Predict("question -> answer")
    >>> with TemporaryDirectory() as folder:
    ...     program.save(f"{folder}/state.json")
    ...     artifact = adopt(f"{folder}/state.json", program)
    >>> runtime = load(artifact, program, roles={"default": scripted_lm([{"answer": "4"}])})
    >>> runtime(question="2+2?").answer
    '4'
    """
    artifact = path if isinstance(path, Artifact) else read(path)
    given = _named_program(artifact, allow) if program is None else build(program)
    check_shape(artifact.predictors, given)
    copy = applied(given, {each.path: each for each in artifact.predictors})
    bound = _bound(artifact, roles or {})
    if tracer is not None:
        bound = {role: heard(lm) for role, lm in bound.items()}
    found = predictors(copy)
    for each in artifact.predictors:
        if each.role != DEFAULT:
            found[each.path].lm = bound[each.role]
    named(copy)
    declared = artifact.content["program"]
    inputs, optional = _inputs(declared["inputs"], copy)
    return Runtime(
        artifact=artifact,
        program=copy,
        roles=MappingProxyType(bound),
        adapter=adapter if adapter is not None else _adapter(artifact.content["adapter"]),
        inputs=inputs,
        outputs=tuple(declared["outputs"]) or _signature_names(copy, "output_fields"),
        optional=optional,
        tracer=tracer,
        _about=origin(type(copy).__name__, artifact, bound) if tracer is not None else {},
        rendering=rendering,
    )


def _named_program(artifact: Artifact, allow: Iterable[str]) -> dspy.Module:
    """The program the artifact names, if the application allows to import it."""
    reference = artifact.program_reference
    entries = [allow] if isinstance(allow, str) else list(allow)
    if reference and reference in entries:
        return build(reference)
    if reference and any(_covers(entry, reference) for entry in entries):
        target = locate(reference)
        # A whole package is allowed for its programs; calling whatever else it has is not meant.
        if isinstance(target, dspy.Module) or (
            isinstance(target, type) and issubclass(target, dspy.Module)
        ):
            return build(target)
    raise ArtifactError(
        f"this artifact was compiled from {reference or 'a program without a reference'!r}, and "
        "nothing is imported because a file says so: pass the program, as in "
        f"load(path, Program()), or allow=[{reference or 'package.module:Program'!r}]"
    )


def _covers(entry: str, reference: str) -> bool:
    """Whether a package entry ("package.") covers a reference; never one to a file."""
    module = reference.partition(":")[0]
    dotted = all(part.isidentifier() for part in module.split("."))
    return (
        entry.endswith(".")
        and dotted
        and not module.endswith(".py")
        and f"{module}.".startswith(entry)
    )


def _bound(artifact: Artifact, roles: Mapping[str, dspy.LM]) -> dict[str, dspy.LM]:
    """The model of each role that serving needs, and of those that were given besides."""
    needed = {DEFAULT: None} | {each.role: None for each in artifact.predictors}
    unknown = [role for role in roles if role not in needed and role not in artifact.models]
    if unknown:
        raise ConfigError(
            f"the artifact has no role {unknown[0]!r}{_meant(unknown[0], needed)}; it has "
            f"{', '.join({**needed, **artifact.models})}"
        )
    return {**roles, **{role: _model(role, artifact, roles) for role in needed}}


def _model(role: str, artifact: Artifact, roles: Mapping[str, dspy.LM]) -> dspy.LM:
    if role in roles:
        return roles[role]
    if role == DEFAULT and dspy.settings.lm is not None:
        return dspy.settings.lm
    compiled_for = artifact.models.get(role, "")
    if compiled_for.startswith(EMBEDDED):
        from .embedded import embedded_lm

        return embedded_lm(compiled_for)
    past = f"it was compiled for {compiled_for!r}" if compiled_for else "none is on record"
    raise ConfigError(
        f"no model is bound to the role {role!r} ({past}): pass "
        f"roles={{{role!r}: dspy.LM({compiled_for or 'provider/model'!r})}}"
        + (" or call dspy.configure(lm=...)" if role == DEFAULT else "")
    )


def _adapter(name: str) -> Any:
    if name not in _ADAPTERS:
        raise ConfigError(
            f"the artifact was compiled with the adapter {name!r}, which compilm cannot make: pass "
            f"adapter={name}(...)"
        )
    return getattr(dspy, name)()


def _inputs(declared: list[str], program: dspy.Module) -> tuple[tuple[str, ...], frozenset[str]]:
    """The names a call takes, and those that may be left out: by a default or by its own word."""
    forward = getattr(type(program), "forward", None) or getattr(type(program), "aforward", None)
    parameters = [
        each
        for each in (inspect.signature(forward).parameters.values() if forward else ())
        if each.kind in (each.KEYWORD_ONLY, each.POSITIONAL_OR_KEYWORD)
    ][1:]  # without self
    optional = {each.name for each in parameters if each.default is not each.empty}
    optional |= set(getattr(program, "optional_inputs", ()))
    for each in [program.signature] if hasattr(program, "signature") else []:
        optional |= {name for name, info in each.input_fields.items() if not info.is_required()}
    named = tuple(each.name for each in parameters)
    if hasattr(program, "optional_inputs"):  # a graph, or what stands around one: it names its own
        named = tuple(getattr(program, "inputs", named))
    names = tuple(declared) or named or _signature_names(program, "input_fields")
    # What a graph names as an input and a row of the data need not have can be given in a call.
    own = [each for each in getattr(program, "inputs", ()) if each in optional]
    return tuple(dict.fromkeys([*names, *own])), frozenset(optional)


def _signature_names(program: dspy.Module, side: str) -> tuple[str, ...]:
    """The fields of a program that has a signature of its own, or one predictor."""
    found = list(predictors(program).values())
    signature = getattr(program, "signature", found[0].signature if len(found) == 1 else None)
    return tuple(getattr(signature, side)) if signature is not None else ()


def _meant(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, list(known), n=1)
    return f" (is {close[0]!r} meant?)" if close else ""
