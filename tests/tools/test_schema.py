"""What a tool takes, read from functions and from schemas of others."""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from compilm.errors import ProgramError
from compilm.tools import tool
from compilm.tools.docstrings import told_by
from compilm.tools.failures import BadArguments
from compilm.tools.schema import from_schema, normalized
from compilm.tools.signature import described


class Part(BaseModel):
    name: str
    parts: list[Part] = []


class Order(BaseModel):
    part: Part
    count: int = 1


def test_types_defaults_and_texts_of_a_signature_are_in_its_schema() -> None:
    def order(what: Order, speed: Literal["slow", "fast"] = "slow", note: str | None = None) -> str:
        """Order a part.

        It is sent at once.

        Args:
            what: the part, and how many
            speed (str): how soon;
                fast costs more
        """
        return ""

    about = described(order)
    schema = about.parameters.schema()
    assert about.description == "Order a part.\n\nIt is sent at once."
    assert schema["required"] == ["what"]
    assert schema["properties"]["speed"] == {
        "enum": ["slow", "fast"],
        "type": "string",
        "default": "slow",
        "description": "how soon; fast costs more",
    }
    assert schema["properties"]["what"]["properties"]["count"]["default"] == 1
    assert "$" not in json.dumps(schema), "references are resolved, this one names itself"
    assert schema["properties"]["note"]["default"] is None


@pytest.mark.parametrize(
    "docstring",
    [
        "Add.\n\nArgs:\n    a (int): the first\n        of two\n    b: the second\n\n"
        "Returns:\n    c: no",
        "Add.\n\nParameters\n----------\na : int\n    the first\n    of two\nb\n    the second\n"
        "\nReturns\n-------\nint\n    c: no",
        "Add.\n\n:param int a: the first\n    of two\n:param b: the second\n:returns: c: no\n",
    ],
    ids=["google", "numpy", "sphinx"],
)
def test_three_styles_of_docstrings_are_read(docstring: str) -> None:
    told = told_by(docstring)
    assert told.summary == "Add."
    assert told.arguments == {"a": "the first of two", "b": "the second"}


def test_a_docstring_without_sections_is_the_description() -> None:
    assert told_by("One: two.\n\nthree").summary == "One: two.\n\nthree"
    assert told_by(None) == ("", {})


def test_what_a_partial_has_bound_is_not_shown_and_cannot_be_given() -> None:
    def find(database: object, number: int, limit: int = 3) -> int:
        return number

    one = tool(functools.partial(find, object(), limit=5), name="find")
    assert list(one.args) == ["number"]
    assert one(number=4) == 4
    assert one(number=4, limit=1)["error"] == "arguments"


def test_methods_and_callable_objects_are_tools() -> None:
    class Shelf:
        """Books by title."""

        def take(self, title: str) -> str:
            """Take a book."""
            return title.upper()

        def __call__(self, title: str) -> str:
            return title.lower()

    assert (tool(Shelf().take).name, tool(Shelf().take)(title="a")) == ("take", "A")
    whole = tool(Shelf())
    assert (whole.name, whole.desc, whole(title="B")) == ("Shelf", "Books by title.", "b")


def test_arguments_without_a_name_or_a_json_form_are_refused() -> None:
    def rest(*names: str) -> None: ...
    def odd(what: Path | threading_lock) -> None: ...
    def at(a: int, /) -> None: ...

    for func in (rest, at):
        with pytest.raises(ProgramError, match="cannot be given by name"):
            tool(func)
    with pytest.raises(ProgramError, match="has no form in JSON"):
        tool(odd)


class threading_lock:
    pass


def test_a_type_that_is_not_known_where_the_function_is_says_so() -> None:
    def late(what: NotThere) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(ProgramError, match="NotThere"):
        tool(late)


def test_annotations_of_pydantic_bound_the_arguments() -> None:
    def half(number: Annotated[int, Field(gt=0, description="above 0")]) -> float:
        return number / 2

    one = tool(half)
    assert one.args["number"]["description"] == "above 0"
    assert one(number=-1)["error"] == "arguments"
    assert one(number="3") == 1.5


def test_open_keywords_pass_and_are_not_required() -> None:
    def free(name: str, **rest: Any) -> dict[str, Any]:
        return {"name": name, **rest}

    assert tool(free)(name="a", more=1) == {"name": "a", "more": 1}
    assert tool(free).format_as_litellm_function_call()["function"]["parameters"]["required"] == [
        "name"
    ]


def test_types_of_other_worlds_become_those_of_json_schema() -> None:
    found = from_schema(
        {
            "type": "dict",
            "properties": {
                "a": {"type": "float"},
                "b": {"type": "tuple", "items": {"type": "int"}},
                "c": {"type": "any"},
                "d": {"type": ["string", "null"]},
            },
            "required": ["a", "z"],
        }
    )
    assert found.args == {
        "a": {"type": "number"},
        "b": {"type": "array", "items": {"type": "integer"}},
        "c": {},
        "d": {"type": ["string", "null"]},
    }
    assert found.required == ("a",)
    with pytest.raises(ProgramError, match="expected an object"):
        from_schema({"type": "string"})


def test_a_schema_that_holds_itself_ends() -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}
    assert normalized({"$ref": "#/$defs/Node", "$defs": {"Node": node}}) == {
        "type": "object",
        "properties": {"next": {}},
    }


def test_arguments_are_held_against_a_schema() -> None:
    schema = {"properties": {"at": {"type": "array", "items": {"type": "integer"}}}}
    one = tool(lambda at: sum(at), name="total", schema=schema)
    assert one(at=[1, 2]) == 3
    wrong = one(at=[1, "x"])
    assert wrong == {
        "error": "arguments",
        "message": "argument 'at.1': 'x' is not of type 'integer'",
    }


def _calls() -> list[dict[str, Any]]:
    home = Path(os.environ.get("COMPILM_DATA", "/nowhere")) / "bfcl" / "calls.jsonl"
    if not home.is_file():
        pytest.skip("COMPILM_DATA names no folder with bfcl/calls.jsonl")
    return [json.loads(line) for line in home.read_text().splitlines()]


def test_functions_of_bfcl_round_trip_and_take_the_calls_that_are_accepted() -> None:
    functions = taken = refused = 0
    for row in _calls():
        for each in row["functions"]:
            one = tool(dict, name=each["name"], description=each["description"],
                       schema=each["parameters"])  # fmt: skip
            told = one.format_as_litellm_function_call()["function"]
            again = from_schema(told["parameters"])
            assert again.args == one.args
            assert set(again.required) == set(told["parameters"]["required"])
            assert list(one.args) == list(each["parameters"]["properties"])
            functions += 1
            for call in row["accepted"] or ():
                for name, args in call.items():
                    if name == each["name"]:
                        given = {k: v[0] if v[0] != "" else v[-1] for k, v in args.items()
                                 if v and v != [""]}  # fmt: skip
                        was_taken = _takes(one, given)
                        taken, refused = taken + was_taken, refused + (not was_taken)
    print(f"{functions} functions; {taken} calls taken, {refused} refused")
    assert functions > 1000
    assert refused / (taken + refused) < 0.05


def _takes(one: Any, given: dict[str, Any]) -> bool:
    try:
        one.caller.reader(given)
    except BadArguments:
        return False
    return True


def test_a_schema_that_multiplies_itself_is_refused_at_once() -> None:
    """Thirty lines that refer to each other twice would be a thousand million parts."""
    defs: dict[str, Any] = {"d0": {"type": "string"}}
    for n in range(1, 30):
        below = {"$ref": f"#/$defs/d{n - 1}"}
        defs[f"d{n}"] = {"type": "object", "properties": {"a": below, "b": below}}
    bomb = {"properties": {"x": {"$ref": "#/$defs/d29"}}, "$defs": defs}
    deep: dict[str, Any] = {}
    for _ in range(5000):
        deep = {"items": deep}
    for schema in (bomb, {"properties": {"x": deep}}):
        with pytest.raises(ProgramError, match="more than 20,000 parts, or they lie too deep"):
            from_schema(schema)
