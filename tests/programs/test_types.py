"""A type's text is readable, the same everywhere, and changes when the type does."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple, Optional, TypedDict, TypeVar, Union

import dspy
import pydantic
import pytest

from compilm.programs.types import type_text


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Tree(pydantic.BaseModel):
    value: int
    below: list[Tree] = []


@dataclass
class Point:
    x: int


class Row(TypedDict):
    cell: str


class Pair(NamedTuple):
    left: int


T = TypeVar("T")


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        (str, "str"),
        (None, "None"),
        (type(None), "None"),
        (Any, "Any"),
        (list, "list"),
        (list[str], "list[str]"),
        (dict[str, list[int]], "dict[str, list[int]]"),
        (tuple[int, ...], "tuple[int, ...]"),
        (tuple[()], "tuple"),
        (Optional[int], "int | None"),  # noqa: UP045 - the older spelling is the point
        (Union[int, str], "int | str"),  # noqa: UP007
        (int | str, "int | str"),
        (Literal["a", 1, None], "Literal['a', 1, None]"),
        (Literal[Color.RED], "Literal[Color.RED]"),
        (Annotated[int, "at least 0"], "int"),
        (Callable[[int], str], "Callable[[int], str]"),
        (dspy.Image, "dspy.Image"),
        (list[dspy.Tool], "list[dspy.Tool]"),
        (T, "~T"),
        (object, "object"),
    ],
)
def test_types_read_as_they_are_written(annotation: Any, text: str) -> None:
    assert type_text(annotation) == text


@pytest.mark.parametrize("cls", [Color, Tree, Point, Row, Pair])
def test_a_class_with_members_is_a_name_and_a_digest(cls: type) -> None:
    name, _, digest = type_text(cls).partition("#")
    assert name == cls.__name__
    assert len(digest) == 12


def test_a_changed_member_changes_the_text() -> None:
    def point(kind: type) -> type:
        return pydantic.create_model("Point", x=(kind, ...))

    assert type_text(point(int)) == type_text(point(int))
    assert type_text(point(int)) != type_text(point(str))


def test_a_type_known_by_name_only_is_taken_by_name() -> None:
    @dataclass
    class Local:
        x: Missing  # type: ignore[name-defined]  # noqa: F821

    assert type_text(Local).partition("#")[0].endswith("Local")


def test_no_address_gets_into_a_text() -> None:
    assert "0x" not in type_text(object())
