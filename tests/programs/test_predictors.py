"""Predictors have stable paths, and a candidate is set on a copy without touching the program."""

from __future__ import annotations

import enum
import inspect
import sqlite3
import threading
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any, Literal

import dspy
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compilm.artifact import Field, Predictor
from compilm.canonical import dumps, loads
from compilm.errors import ArtifactMismatch, ProgramError
from compilm.programs.predictors import (
    applied,
    check_shape,
    described,
    fingerprint,
    frozen_paths,
    modules,
    predictors,
    shape,
)
from compilm.testing.strategies import texts


class Part(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.think = dspy.ChainOfThought("question -> answer")


class Whole(dspy.Module):
    """Everything that can hold a predictor; no call of super().__init__."""

    def __init__(self, size: int = 2) -> None:
        self.first = dspy.Predict("question -> query")
        self.nodes = {"draft": dspy.ChainOfThought("query -> answer"), "deep": {"er": Part()}}
        self.steps = [dspy.Predict("answer -> better") for _ in range(size)]
        self.pair = (Part(), [dspy.Predict("a -> b")])
        self.again = self.first
        self.agent = dspy.ReAct("question -> answer", tools=[self.look])
        self.me = self

    def look(self, query: str) -> str:
        """Look something up."""
        return query


PATHS = [
    "first",
    "nodes.draft.predict",
    "nodes.deep.er.think.predict",
    "steps.0",
    "steps.1",
    "pair.0.think.predict",
    "pair.1.0",
    "agent.react",
    "agent.extract.predict",
]


def test_every_predictor_has_one_path_with_dots() -> None:
    assert list(predictors(Whole())) == PATHS


def test_a_bare_predictor_is_called_self() -> None:
    assert list(predictors(dspy.Predict("a -> b"))) == ["self"]


def test_paths_are_dspys_own_with_dots_for_brackets() -> None:
    program = dspy.ReAct("question -> answer", tools=[len])
    assert list(predictors(program)) == [name for name, _ in program.named_predictors()]


def test_the_order_of_a_dictionary_is_the_order_of_the_program() -> None:
    class Graph(dspy.Module):
        def __init__(self) -> None:
            self.nodes = {"b": dspy.Predict("a -> b"), "a": Part()}

    names = [name for name, _ in Graph().named_predictors()]
    assert names == ["nodes['b']", "nodes['a'].think.predict"]
    assert list(predictors(Graph())) == ["nodes.b", "nodes.a.think.predict"]


def test_a_program_without_predictors_is_told_what_to_do() -> None:
    class Empty(dspy.Module):
        pass

    with pytest.raises(ProgramError, match=r"Empty has no predictor.*self\.draft = dspy\.Predict"):
        predictors(Empty())


def test_two_parts_of_one_path_are_refused() -> None:
    class Twice(dspy.Module):
        def __init__(self) -> None:
            self.nodes = {"a.b": dspy.Predict("a -> b"), "a": {"b": dspy.Predict("a -> b")}}

    with pytest.raises(ProgramError, match=r"both called 'nodes\.a\.b'"):
        predictors(Twice())


def test_predictors_of_a_compiled_part_are_found_and_known_as_frozen() -> None:
    """DSPy leaves them out of named_predictors, so a saved state would lose their demos."""
    program = Whole()
    program.pair[0]._compiled = True
    program._compiled = True
    program.first._compiled = True
    assert "pair[0].think.predict" not in dict(program.nodes["draft"].named_predictors())
    assert list(predictors(program)) == PATHS
    assert frozen_paths(program) == ("pair.0.think.predict",)


def test_modules_are_found_with_the_program_itself() -> None:
    assert list(modules(Part())) == ["self", "think", "think.predict"]


class Color(enum.Enum):
    RED = "red"


class Address(pydantic.BaseModel):
    street: str
    city: str


class Person(pydantic.BaseModel):
    name: str
    home: Address
    age: int = 0


class Typed(dspy.Signature):
    """Types of all kinds."""

    question: str = dspy.InputField(desc="what is asked")
    day: date = dspy.InputField()
    person: Person = dspy.OutputField()
    kind: Literal["a", "b"] = dspy.OutputField()
    items: list[str] = dspy.OutputField()
    free: dict[str, Any] = dspy.OutputField()


def test_a_shape_is_fields_with_types_and_texts() -> None:
    (value,) = shape(dspy.Predict(Typed))
    assert value.path == "self"
    assert value.role == "default"
    assert value.inputs == (
        Field("question", "str", "what is asked"),
        Field("day", "date", "${day}"),
    )
    kinds = {each.name: each.type for each in value.outputs}
    assert kinds["kind"] == "Literal['a', 'b']"
    assert kinds["items"] == "list[str]"
    assert kinds["free"] == "dict[str, Any]"
    assert kinds["person"].startswith("Person#")
    assert value.instructions == "Types of all kinds."


def test_the_fingerprint_is_of_the_shape_and_not_of_the_texts() -> None:
    value = shape(dspy.Predict(Typed))[0]
    assert fingerprint([replace(value, instructions="x", demos=({"question": "y"},))]) == (
        fingerprint([value])
    )
    for other in (
        replace(value, path="x"),
        replace(value, role="judge"),
        replace(value, inputs=value.inputs[::-1]),
        replace(value, outputs=(*value.outputs[1:], Field("person", "str"))),
    ):
        assert fingerprint([other]) != fingerprint([value])


def test_a_description_is_the_program_part_of_an_artifact() -> None:
    program = Whole()
    part = described(program, reference="a:B", inputs=["question"], outputs=["answer"])
    assert part["fingerprint"] == fingerprint(shape(program))
    assert [Predictor.from_json(each) for each in part["predictors"]] == list(shape(program))
    assert (part["reference"], part["inputs"], part["outputs"]) == (
        "a:B", ["question"], ["answer"]
    )  # fmt: skip


def prompt(predictor: dspy.Predict, adapter: Any) -> Any:
    return adapter.format(predictor.signature, predictor.demos, {"question": "Who?", "day": "now"})


ADAPTERS = [dspy.ChatAdapter(), dspy.JSONAdapter(), dspy.XMLAdapter()]


@pytest.mark.parametrize("adapter", ADAPTERS, ids=lambda each: type(each).__name__)
def test_demos_of_all_types_render_the_same_after_a_round_trip(adapter: Any) -> None:
    program = dspy.Predict(Typed)
    person = Person(name="Ada", home=Address(street="Z", city="A"), age=36)
    filled = {"question": "Who?", "day": date(2026, 1, 2), "kind": "a", "free": {"a": 1, "b": [2]}}
    program.demos = [
        dspy.Example(**filled, person=person, items=["x", "y"], dspy_uuid="u", augmented=True),
        dspy.Example(**filled, person=person.model_dump(), items=("x",), extra=object()),
        {"question": ["one", "two"], "kind": None},
        dspy.Example(question=("one", "two"), kind="b", day=datetime(2026, 1, 2, tzinfo=UTC)),
    ]
    state = shape(program)[0]
    assert sorted(state.demos[0]) == sorted([*Typed.fields, "augmented"])
    back = Predictor.from_json(loads(dumps(state.to_json())))
    assert back == state
    copy = applied(program, {"self": back})
    assert prompt(copy, adapter) == prompt(program, adapter)
    assert shape(copy)[0] == state


def test_an_image_in_a_demo_renders_the_same() -> None:
    program = dspy.Predict("image: dspy.Image -> answer")
    program.demos = [dspy.Example(image=dspy.Image("data:image/png;base64,AAAA"), answer="x")]
    copy = applied(program, {"self": shape(program)[0]})
    chat = dspy.ChatAdapter()
    rendered, expected = (
        chat.format(each.signature, each.demos, {"image": "y"}) for each in (copy, program)
    )
    assert rendered == expected
    assert "image_url" in str(rendered)


@pytest.mark.parametrize("value", [object(), float("nan"), lambda: 1, Color, b"\xff\xfe"])
def test_a_demo_value_without_json_form_is_named(value: Any) -> None:
    program = Part()
    program.think.predict.demos = [dspy.Example(question=value, answer="x")]
    with pytest.raises(ProgramError, match=r"'think\.predict'.*value for 'question'"):
        shape(program)


def test_a_value_that_only_looks_like_json_is_refused() -> None:
    class Odd:
        def isoformat(self) -> str:
            return "2026"

    program = dspy.Predict("day: int -> answer")
    program.demos = [dspy.Example(day=Odd(), answer="x")]
    with pytest.raises(ProgramError, match="its JSON form reads otherwise"):
        shape(program)


def test_a_demo_that_is_not_valid_for_its_class_is_kept_as_it_is() -> None:
    program = dspy.Predict(Typed)
    state = replace(shape(program)[0], demos=({"person": {"name": 5}, "unknown": {"z": 1}},))
    assert applied(program, {"self": state}).demos[0].toDict() == state.demos[0]


states = st.builds(
    lambda path, text, demos: Predictor(path, "default", (), (), text, tuple(demos)),
    st.sampled_from(PATHS),
    texts(),
    st.lists(st.dictionaries(st.sampled_from(["question", "answer"]), texts(), max_size=2)),
)
PROGRAM = Whole()
BEFORE = shape(PROGRAM)


@settings(max_examples=40, deadline=None)
@given(st.lists(states, max_size=4))
def test_applying_any_states_leaves_the_program_untouched(chosen: list[Predictor]) -> None:
    by_path = {each.path: each for each in chosen}
    signatures = {path: each.signature for path, each in predictors(PROGRAM).items()}
    copy = applied(PROGRAM, by_path)
    assert shape(PROGRAM) == BEFORE
    assert {path: each.signature for path, each in predictors(PROGRAM).items()} == signatures
    for path, each in predictors(copy).items():
        assert each is not predictors(PROGRAM)[path]
        if path in by_path:
            assert each.signature.instructions == inspect.cleandoc(by_path[path].instructions)
            assert [demo.toDict() for demo in each.demos] == list(by_path[path].demos)
            assert list(each.signature.fields) == list(signatures[path].fields)
        else:
            assert each.signature is signatures[path]
    assert fingerprint(shape(copy)) == fingerprint(BEFORE)
    if chosen:
        assert shape(applied(copy, {each.path: each for each in BEFORE})) == BEFORE


def test_changing_a_copy_changes_neither_the_program_nor_the_state() -> None:
    state = Predictor("self", "default", (), (), "x", ({"answer": {"k": ["v"]}},))
    copy = applied(dspy.Predict("question -> answer: dict"), {"self": state})
    copy.demos[0].answer["k"].append("w")
    assert state.demos == ({"answer": {"k": ["v"]}},)


def test_models_are_shared_wherever_they_are_held() -> None:
    class Tooled(Whole):
        def __init__(self) -> None:
            super().__init__()
            self.lm = dspy.LM("openai/m")
            self.first.lm = self.lm
            self.judges = {"a": [dspy.LM("openai/n")]}

            class Client:
                lm = self.lm

                def __init__(self, lm: Any) -> None:
                    self.inner = lm

                def ask(self) -> None: ...

            self.client = Client(dspy.LM("openai/o"))
            self.tool = self.client.ask

    program = Tooled()
    program.lm.history.append({"big": "entry"})
    copy = applied(program, {})
    assert copy is not program
    assert copy.lm is copy.first.lm is program.lm
    assert copy.judges["a"] is not program.judges["a"]
    assert copy.judges["a"][0] is program.judges["a"][0]
    assert copy.client is not program.client
    assert copy.client.inner is program.client.inner
    assert copy.agent.tools["look"].func.__self__ is copy


def test_what_cannot_be_copied_is_shared_and_the_rest_is_not() -> None:
    class Stuck(Part):
        def __init__(self, connection: sqlite3.Connection) -> None:
            super().__init__()
            self.lock = threading.Lock()
            self.mixed = [dspy.Predict("a -> b"), connection, {"k": connection}, ["data"]]

    connection = sqlite3.connect(":memory:")
    program = Stuck(connection)
    copy = applied(program, {"mixed.0": Predictor("mixed.0", "default", (), (), "new")})
    assert copy.lock is program.lock
    assert copy.mixed[1] is copy.mixed[2]["k"] is connection
    assert copy.mixed[3] is not program.mixed[3]
    assert copy.mixed[0].signature.instructions == "new"
    assert program.mixed[0].signature.instructions != "new"
    connection.close()


def test_a_program_that_cannot_be_copied_at_all_is_said_to_be_so() -> None:
    class Never(Part):
        def __deepcopy__(self, memo: dict[int, Any]) -> Any:
            raise RuntimeError("never", len(memo))

    with pytest.raises(ProgramError, match="Never cannot be copied"):
        applied(Never(), {})


def test_a_state_for_no_predictor_is_refused_with_a_guess() -> None:
    with pytest.raises(ProgramError, match=r"no predictor 'frist' \(is 'first' meant\?\)"):
        applied(Whole(), {"frist": Predictor("frist", "default", (), (), "")})
    with pytest.raises(ProgramError, match=r"no predictor 'zzz'; it has"):
        applied(Whole(), {"zzz": Predictor("zzz", "default", (), (), "")})


def test_the_same_shape_is_accepted_whatever_the_texts() -> None:
    check_shape(shape(Whole()), applied(Whole(), {}))


def test_a_missing_and_an_extra_predictor_are_named() -> None:
    with pytest.raises(ArtifactMismatch, match=r"'steps\.2' of the artifact is not in Whole"):
        check_shape(shape(Whole(size=3)), Whole())
    with pytest.raises(ArtifactMismatch, match=r"'steps\.2' of Whole is not in the artifact"):
        check_shape(shape(Whole()), Whole(size=3))


@pytest.mark.parametrize(
    ("signature", "message"),
    [
        ("question -> answers, why", r"output field 'answer' .* missing \(is 'answers' meant\?\)"),
        ("question, more -> answer, why", "input field 'more' is new"),
        ("question -> why, answer", "order answer, why and now stand as why, answer"),
        ("question -> answer: int, why", "'answer' was of type str and now is of type int"),
    ],
)
def test_a_changed_field_is_named(signature: str, message: str) -> None:
    made_for = shape(dspy.Predict("question -> answer, why"))
    with pytest.raises(ArtifactMismatch, match=rf"predictor 'self': .*{message}"):
        check_shape(made_for, dspy.Predict(signature))
