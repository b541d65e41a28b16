"""Signatures, demonstrations and inputs of many kinds, drawn by hypothesis."""

from __future__ import annotations

import enum
from typing import Any, Literal

import dspy
import pydantic
from hypothesis import strategies as st

from compilm.testing.strategies import json_values, texts


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Person(pydantic.BaseModel):
    name: str
    tags: list[str] = []


people = st.builds(Person, name=texts(8), tags=st.lists(texts(4), max_size=2))
pictures = st.sampled_from(["AAAA", "BBBB"]).map(
    lambda data: dspy.Image(f"data:image/png;base64,{data}")
)
numbers = st.integers(-(2**40), 2**40)

# Each type, and values of it.
TYPES: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (str, texts(20)),
    (int, numbers),
    (float, st.floats(allow_nan=False)),
    (bool, st.booleans()),
    (list[str], st.lists(texts(6), max_size=3)),
    (dict[str, int], st.dictionaries(texts(4), numbers, max_size=2)),
    (Literal["a", "b"], st.sampled_from(["a", "b"])),
    (Color, st.sampled_from(list(Color))),
    (Person, people),
    (list[Person], st.lists(people, max_size=2)),
    (str | None, st.none() | texts(8)),
    (dspy.Image, pictures),
]
ANSWERED = [kind for kind in TYPES if kind[0] is not dspy.Image]

anything = st.one_of(json_values(), people, st.sampled_from(list(Color)), texts(10), st.none())


@st.composite
def signatures(draw: st.DrawFn) -> tuple[Any, dict[str, st.SearchStrategy[Any]]]:
    """A signature, and the values that its fields are meant to have."""
    fields, values = {}, {}
    for name in ("one", "two", "three")[: draw(st.integers(1, 3))]:
        kind, values[name] = draw(st.sampled_from(TYPES))
        fields[name] = (kind, dspy.InputField(desc=draw(st.none() | texts(10))))
    for name in ("answer", "note")[: draw(st.integers(1, 2))]:
        kind, values[name] = draw(st.sampled_from(ANSWERED))
        fields[name] = (kind, dspy.OutputField(desc=draw(st.none() | texts(10))))
    return dspy.Signature(fields, draw(texts(30)) or "Answer."), values


def _value(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Mostly what the type says, at times anything at all."""
    return st.one_of(values, values, values, anything)


@st.composite
def demos(draw: st.DrawFn, values: dict[str, st.SearchStrategy[Any]]) -> Any:
    """A demonstration: complete or not, with fields it should not have, a record or a dict."""
    names = draw(st.sets(st.sampled_from([*values, "extra", "augmented"])))
    if draw(st.booleans()):
        names |= set(values)
    found = {name: draw(_value(values.get(name, anything))) for name in sorted(names)}
    return found if draw(st.booleans()) else dspy.Example(found)


@st.composite
def inputs(
    draw: st.DrawFn, signature: Any, values: dict[str, st.SearchStrategy[Any]]
) -> dict[str, Any]:
    """The inputs of a call, of which one may be missing or None."""
    names = [name for name in signature.input_fields if draw(st.integers(0, 9))]
    return {name: draw(_value(values[name])) for name in names}


@st.composite
def cases(draw: st.DrawFn) -> tuple[Any, list[Any], dict[str, Any]]:
    """A signature, demonstrations for it, and the inputs of a call."""
    signature, values = draw(signatures())
    shown = draw(st.lists(demos(values), max_size=4))
    return signature, shown, draw(inputs(signature, values))


def program(signature: Any, demos: list[Any]) -> dspy.Predict:
    """A predictor that shows these demonstrations."""
    made = dspy.Predict(signature)
    made.demos = demos
    return made
