"""The predictors of a program: found under stable paths, read as values, and set on a copy."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

import dspy
from dspy.predict.parameter import Parameter

from .. import canonical
from ..artifact import Field, Predictor
from ..errors import ArtifactMismatch, ProgramError
from .copying import copied
from .demos import as_declared, plain_demo
from .retrieving import Retrieving, release, retrieve
from .roles import role_of
from .types import type_text

__all__ = [
    "applied",
    "check_shape",
    "described",
    "fingerprint",
    "frozen_paths",
    "modules",
    "predictors",
    "shape",
]

# A program that is itself one `dspy.Predict` has no attribute to name the predictor by.
SELF = "self"

# What a part can be, or can be found in.
_HOLDERS = (dspy.Module, Parameter, list, tuple, dict)


def predictors(program: dspy.Module) -> dict[str, dspy.Predict]:
    """Every `dspy.Predict` of the program by its path, in the program's own order.

    `nodes['draft'].predict` is `nodes.draft.predict` and `steps[0]` is `steps.0`. Unlike DSPy's
    `named_predictors`, this also finds those in lists of lists and in sub-modules that an
    optimizer has marked as compiled (`frozen_paths` tells which those are): they are part of what
    runs, so they are part of an artifact.

    >>> list(predictors(dspy.ChainOfThought("question -> answer")))
    ['predict']
    """
    found = {path: each for path, each in _parts(program) if isinstance(each, dspy.Predict)}
    if not found:
        raise ProgramError(
            f"{type(program).__name__} has no predictor that could be compiled: hold a "
            "dspy.Predict, or a module made of some, in an attribute "
            "(self.draft = dspy.Predict(...)), not in a local variable of forward"
        )
    return found


def modules(program: dspy.Module) -> dict[str, dspy.Module]:
    """Every `dspy.Module` below the program by its path, itself as `self`.

    >>> list(modules(dspy.ChainOfThought("question -> answer")))
    ['self', 'predict']
    """
    below = {path: each for path, each in _parts(program) if isinstance(each, dspy.Module)}
    return {SELF: program, **below}


def frozen_paths(program: dspy.Module) -> tuple[str, ...]:
    """The paths of predictors below a sub-module marked compiled, which DSPy leaves as they are.

    >>> frozen_paths(dspy.Predict("question -> answer"))
    ()
    """
    frozen = [
        path
        for path, each in modules(program).items()
        if each is not program and getattr(each, "_compiled", False)
        if not isinstance(each, Parameter)
    ]
    return tuple(
        path for path in predictors(program) if any(path.startswith(f"{at}.") for at in frozen)
    )


def shape(program: dspy.Module) -> tuple[Predictor, ...]:
    """The program's predictors as values: fields, instructions, demos and pools of demos.

    A demo keeps the values of the predictor's fields only: nothing else of it reaches the prompt.

    >>> [field.name for field in shape(dspy.Predict("question -> answer"))[0].inputs]
    ['question']
    """
    return tuple(_as_value(path, each) for path, each in predictors(program).items())


def described(
    program: dspy.Module,
    *,
    reference: str = "",
    inputs: Iterable[str] = (),
    outputs: Iterable[str] = (),
) -> dict[str, Any]:
    """The `program` part of an artifact's content.

    >>> described(dspy.Predict("question -> answer"), inputs=["question"])["inputs"]
    ['question']
    """
    found = shape(program)
    return {
        "reference": reference,
        "fingerprint": fingerprint(found),
        "inputs": list(inputs),
        "outputs": list(outputs),
        "predictors": [each.to_json() for each in found],
    }


def fingerprint(found: Iterable[Predictor]) -> str:
    """One digest of paths, roles, field names and types; texts do not change it.

    >>> found = shape(dspy.Predict("question -> answer"))
    >>> fingerprint(found) == fingerprint(shape(dspy.Predict("question -> answer", n=2)))
    True
    """
    return canonical.digest(
        sorted(
            [
                each.path,
                each.role,
                [[field.name, field.type] for field in each.inputs],
                [[field.name, field.type] for field in each.outputs],
            ]
            for each in found
        )
    )


def applied(program: dspy.Module, states: Mapping[str, Predictor]) -> dspy.Module:
    """A copy of the program with these states, by path; other predictors stay as they are.

    A state is instructions, demos, and the pool that demos are chosen from for each call.

    The program itself is untouched, signature classes included. Its `dspy.LM` objects are shared
    with the copy, because their history and connections are not part of the program.

    >>> program = dspy.Predict("question -> answer")
    >>> state = Predictor("self", "default", (), (), "Answer in one word.")
    >>> applied(program, {"self": state}).signature.instructions
    'Answer in one word.'
    """
    copy = copied(program)
    found = predictors(copy)
    for path, state in states.items():
        if path not in found:
            raise ProgramError(
                f"{type(program).__name__} has no predictor {path!r}{_meant(path, found)}; "
                f"it has {', '.join(found)}"
            )
        _set(path, found[path], state)
    return copy


def check_shape(wanted: Iterable[Predictor], program: dspy.Module) -> None:
    """Nothing, if the program has just the predictors and fields that are wanted.

    Raises:
        ArtifactMismatch: naming the predictor and the field that differ.
    """
    expected = {each.path: each for each in wanted}
    actual = predictors(program)
    title = type(program).__name__
    for path in expected:
        if path not in actual:
            raise ArtifactMismatch(
                f"predictor {path!r} of the artifact is not in {title}{_meant(path, actual)}; "
                f"{title} has {', '.join(actual)}. {_REMEDY}"
            )
    for path in actual:
        if path not in expected:
            raise ArtifactMismatch(
                f"predictor {path!r} of {title} is not in the artifact, which has "
                f"{', '.join(expected)}. {_REMEDY}"
            )
    for path, each in expected.items():
        signature = actual[path].signature
        _check_fields(path, "input", each.inputs, _fields(signature.input_fields))
        _check_fields(path, "output", each.outputs, _fields(signature.output_fields))


_REMEDY = "Load it with the program it was compiled from, or compile this program"


def _check_fields(
    path: str, kind: str, wanted: tuple[Field, ...], actual: tuple[Field, ...]
) -> None:
    expected, found = ({each.name: each.type for each in fields} for fields in (wanted, actual))
    gone = next((name for name in expected if name not in found), None)
    new = next((name for name in found if name not in expected), None)
    if gone is not None:
        what = f"{kind} field {gone!r} of the artifact is missing" + _meant(gone, found)
    elif new is not None:
        what = f"{kind} field {new!r} is new"
    elif list(expected) != list(found):
        orders = ", ".join(expected), ", ".join(found)
        what = f"the {kind} fields stood in the order {orders[0]} and now stand as {orders[1]}"
    else:
        changed = next((name for name in expected if expected[name] != found[name]), None)
        if changed is None:
            return
        what = (
            f"{kind} field {changed!r} was of type {expected[changed]} and now is of type "
            f"{found[changed]}"
        )
    raise ArtifactMismatch(f"predictor {path!r}: {what}. {_REMEDY}")


def _meant(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, list(known), n=1)
    return f" (is {close[0]!r} meant?)" if close else ""


def _as_value(path: str, predictor: dspy.Predict) -> Predictor:
    signature = predictor.signature
    demos = tuple(plain_demo(demo, signature, path) for demo in predictor.demos)
    return Predictor(
        path,
        role_of(predictor),
        _fields(signature.input_fields),
        _fields(signature.output_fields),
        signature.instructions,
        demos,
        predictor.nearest if isinstance(predictor, Retrieving) else None,
    )


def _fields(fields: Mapping[str, Any]) -> tuple[Field, ...]:
    return tuple(
        Field(name, type_text(info.annotation), info.json_schema_extra["desc"])
        for name, info in fields.items()
    )


def _set(path: str, predictor: dspy.Predict, state: Predictor) -> None:
    signature = predictor.signature
    if signature.instructions != inspect.cleandoc(state.instructions):
        predictor.signature = signature.with_instructions(state.instructions)
        # A new class made with an empty text gets DSPy's default text; it is ours, so it is set.
        predictor.signature.instructions = state.instructions
    inputs = list(signature.input_fields)
    predictor.demos = [
        dspy.Example(as_declared(demo, signature)).with_inputs(*inputs) for demo in state.demos
    ]
    if state.nearest is None:
        release(predictor)
    else:
        retrieve(predictor, state.nearest, path)


def _parts(program: dspy.Module) -> Iterator[tuple[str, Any]]:
    """The parameters and modules of a program with their paths, each once, parents first."""
    taken: dict[str, Any] = {}
    for names, part in _walk(program):
        path = ".".join(names)
        if path in taken:
            raise ProgramError(
                f"{type(program).__name__} has two parts that are both called {path!r}: rename one "
                "of the attributes or keys on the way to them"
            )
        taken[path] = part
        yield path, part


def _walk(program: dspy.Module) -> Iterator[tuple[tuple[str, ...], Any]]:
    seen: set[int] = set()
    if isinstance(program, Parameter):
        seen.add(id(program))
        yield (SELF,), program
    yield from _attributes((), program, seen | {id(program)})


def _attributes(
    names: tuple[str, ...], module: dspy.Module, seen: set[int]
) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in vars(module).items():
        if key not in ("history", "callbacks"):
            yield from _held((*names, key), value, seen)


def _held(
    names: tuple[str, ...], value: Any, seen: set[int]
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """What stands at one place; a parameter is a leaf, as it is for DSPy."""
    if isinstance(value, _HOLDERS):
        if id(value) in seen:
            return
        seen.add(id(value))
    if isinstance(value, dspy.Module | Parameter):
        yield names, value
        if isinstance(value, dspy.Module) and not isinstance(value, Parameter):
            yield from _attributes(names, value, seen)
    elif isinstance(value, list | tuple | dict):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            if isinstance(item, _HOLDERS):  # a program may hold a table of thousands of texts
                yield from _held((*names, str(key)), item, seen)
