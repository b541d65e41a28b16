"""Values of a schema are valid whatever is found, and found where there is something to find."""

from __future__ import annotations

from typing import Any

import pytest

from compilm.runtime.embedded.memo import Memo
from compilm.runtime.embedded.options import Options
from compilm.runtime.embedded.prompt import Prompt
from compilm.runtime.embedded.solve import Row, Slot, Solver
from compilm.runtime.embedded.values import fill

TEXT = "12 lamps: mail ann@example.com or https://x.test/a by March 5, 2024 at 4:30pm, code QX-7."
UUID = "123e4567-e89b-12d3-a456-426614174000"


def filled(schema: dict[str, Any], text: str = TEXT, rows: tuple[Row, ...] = ()) -> Any:
    prompt = Prompt("key", "", (), (), (), is_json=False)
    solver = Solver(prompt, {"text": text}, Options(), Memo(99))
    return fill(schema, Slot(("out",), "", rows), solver)


def rows(*pairs: tuple[str, Any]) -> tuple[Row, ...]:
    return tuple(({"text": text}, value) for text, value in pairs)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"const": 5}, 5),
        ({"type": "null"}, None),
        ({"anyOf": [{"type": "null"}]}, None),
        ({"type": "string", "format": "email"}, "ann@example.com"),
        ({"type": "string", "format": "uri"}, "https://x.test/a"),
        ({"type": "string", "format": "date"}, "2024-03-05"),
        ({"type": "string", "format": "date-time"}, "2024-03-05T00:00:00"),
        ({"type": "string", "format": "time"}, "16:30:00"),
        ({"type": "string", "format": "ipv4"}, "0.0.0.0"),
        ({"type": "string", "pattern": r"^[A-Z]{2}-\d$"}, "QX-7"),
        ({"type": "string", "pattern": r"^[a-z]{3}!$"}, "aaa!"),
        ({"type": ["integer", "null"]}, 12),
        ({"type": "integer", "maximum": 10}, 10),
        ({"type": "integer", "minimum": 20, "multipleOf": 7}, 21),
        ({"type": "integer", "maximum": 11, "multipleOf": 4}, 8),
        ({"allOf": [{"type": "integer"}]}, 12),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 2}, [12, 12]),
        ({"type": "array", "prefixItems": [{"type": "integer"}, {"const": "x"}]}, [12, "x"]),
        ({"type": "object"}, {}),
        ({"$ref": "#/$defs/N", "$defs": {"N": {"type": "integer"}}}, 12),
    ],
    ids=str,
)
def test_each_kind_of_schema(schema: dict[str, Any], value: Any) -> None:
    assert filled(schema) == value


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("date", "1970-01-01"),
        ("time", "00:00:00"),
        ("email", "nobody@example.com"),
        ("uuid", "00000000-0000-0000-0000-000000000000"),
    ],
)
def test_a_format_without_a_candidate_has_a_default(kind: str, value: str) -> None:
    assert filled({"type": "string", "format": kind}, "nothing here") == value


def test_an_identifier_is_taken_from_the_text() -> None:
    assert filled({"type": "string", "format": "uuid"}, f"see {UUID} now") == UUID


def test_a_nullable_date_or_number_that_is_not_there_is_null() -> None:
    for inner in ({"type": "string", "format": "date"}, {"type": "number"}):
        assert filled({"anyOf": [inner, {"type": "null"}]}, "nothing here") is None


NULLABLE = {"anyOf": [{"type": "string"}, {"type": "null"}]}


def test_null_is_given_where_alike_examples_have_it() -> None:
    known = rows(("ask Ann", "Ann"), ("ask Bob", "Bob"), ("quiet day", None), ("quiet night", None))
    assert filled(NULLABLE, "quiet hour", known) is None
    assert filled(NULLABLE, "ask Cid", known) == "Cid"


def test_null_is_given_where_all_examples_have_it() -> None:
    assert filled(NULLABLE, "ask Cid", rows(("ask Ann", None))) is None


def test_structures_follow_the_nearest_example() -> None:
    known = rows(("red", {"a": 1}), ("blue", {"b": 2}))
    assert filled({"type": "object", "additionalProperties": True}, "blue", known) == {"b": 2}
    known = rows(("red", [1]), ("blue", [2, 3]))
    schema = {"type": "array", "items": {"type": "integer"}, "maxItems": 1}
    assert filled(schema, "blue", known) == [2]


def test_rows_that_are_no_structures_are_not_followed() -> None:
    known = rows(("red", "oops"), ("blue", "oops"))
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    assert filled(schema, "blue 4", known) == {"n": 4}
    assert filled({"type": "array", "items": {"enum": ["blue", "red"]}}, "blue", known) == ["blue"]
    assert filled({"type": "object"}, "blue", known) == {}


def test_dates_and_numbers_that_no_text_holds_teach_nothing() -> None:
    known = rows(
        ("sent 2024-01-02, due 2024-03-04", "2024-03-04"), ("none", "2024-05-06"), ("?", "?")
    )
    schema = {"type": "string", "format": "date"}
    assert filled(schema, "sent 2025-01-02, due 2025-03-04", known) == "2025-03-04"
