"""Equal values give equal bytes; what is not JSON is refused, never bent."""

from __future__ import annotations

import datetime
import math

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compilm import canonical

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)  # fmt: skip


@given(JSON)
def test_a_round_trip_gives_the_value_back(value: object) -> None:
    text = canonical.dumps(value)
    assert canonical.dumps(canonical.loads(text)) == text


@given(st.dictionaries(st.text(), st.integers(), min_size=2))
def test_the_order_of_keys_does_not_matter(value: dict[str, int]) -> None:
    backwards = dict(reversed(list(value.items())))
    assert canonical.digest(value) == canonical.digest(backwards)


@given(JSON, JSON)
def test_different_values_have_different_digests(one: object, two: object) -> None:
    same = canonical.dumps(one) == canonical.dumps(two)
    assert (canonical.digest(one) == canonical.digest(two)) is same


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"a": 1, "a": 2}', "key 'a' stands twice"),
        ("[NaN]", "NaN is not JSON"),
        ("[-Infinity]", "-Infinity is not JSON"),
        ("[1e999]", "1e999 is too large"),
    ],
)
def test_loads_is_strict(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        canonical.loads(text)


def test_nan_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical.dumps(math.nan)


def test_a_lone_surrogate_has_a_digest() -> None:
    assert canonical.text_digest("\ud800") != canonical.text_digest("?")


class Point(pydantic.BaseModel):
    x: int


class Scalar:
    def item(self) -> int:
        return 7


class Example:
    def toDict(self) -> dict[str, int]:
        return {"a": 1}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Point(x=1), {"x": 1}),
        ((1, [2, (3,)]), [1, [2, [3]]]),
        ({1: "a"}, {"1": "a"}),
        ({"b", "a"}, ["a", "b"]),
        (Scalar(), 7),
        (Example(), {"a": 1}),
        (datetime.date(2024, 5, 1), "2024-05-01"),
        (True, True),
        (1.5, 1.5),
    ],
)
def test_plain_unwraps_what_carries_plain_data(value: object, expected: object) -> None:
    assert canonical.plain(value) == expected


@pytest.mark.parametrize("value", [object(), math.nan, math.inf, [object()]])
def test_plain_refuses_what_has_no_json_form(value: object) -> None:
    with pytest.raises(TypeError, match="has no JSON form"):
        canonical.plain(value)
