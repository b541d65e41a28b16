"""Ways around redaction: shapes of values, tools that fail or give pieces."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import dspy
import pydantic
import pytest

from compilm.errors import ProgramError
from compilm.guardrails import Redacted, Rules, Vault, with_real_values
from compilm.testing.engines import scripted_lm

SAID = "I am Ana Pratt, member id HP-678901"


@dataclasses.dataclass(frozen=True)
class Person:
    about: str


class Open(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    known: str = ""


class Asks(dspy.Module):
    """Calls a tool with what came in, and answers with what it said."""

    def __init__(self, tool: Any) -> None:
        super().__init__()
        self._tool = tool

    def forward(self, message: str) -> dspy.Prediction:
        return dspy.Prediction(answer=str(self._tool(message)))


@pytest.mark.parametrize(
    "value",
    [
        {SAID: 1},
        {"a": [{SAID: "x"}]},
        Person(SAID),
        Open.model_validate({"o": SAID}),
    ],
    ids=["key", "deep key", "dataclass", "extra field"],
)
def test_no_shape_of_a_value_carries_a_name_to_the_model(value: Any) -> None:
    lm = scripted_lm([{"answer": "ok"}])
    with dspy.context(lm=lm):
        Redacted(dspy.Predict("message -> answer"))(message=value)
    assert "Pratt" not in str(lm.engine.requests)
    assert "678901" not in str(lm.engine.requests)


@pytest.mark.parametrize("value", [{SAID: 1}, Person(SAID), Open.model_validate({"o": SAID})])
def test_hidden_values_come_back_in_every_shape(value: Any) -> None:
    vault = Vault(Rules())
    assert vault.restore(vault.hide(value)) == value


def test_a_picture_is_handed_on_whole() -> None:
    picture = dspy.Image("https://example.org/scan.png")
    assert Vault(Rules()).hide(picture) is picture


def test_the_error_of_a_tool_names_nobody() -> None:
    def look(member: str) -> str:
        raise LookupError(f"nothing about {member}")

    program = Redacted(Asks(with_real_values(look, ["member"])))
    with pytest.raises(
        ProgramError, match=r"look failed: LookupError: nothing about .*\[NAME_1\]"
    ) as e:
        program(message=SAID)
    assert "Pratt" not in repr(e.value)
    assert e.value.__cause__ is None
    assert e.value.__suppress_context__


def test_an_error_that_names_nobody_stays_as_it_is() -> None:
    def look(member: str) -> str:
        raise LookupError("nothing")

    with pytest.raises(LookupError, match=r"^nothing$"):
        Redacted(Asks(with_real_values(look, ["member"])))(message=SAID)


def test_the_pieces_of_a_tool_name_nobody() -> None:
    def look(member: str) -> Iterator[str]:
        yield f"about {member}"

    program = Redacted(Asks(with_real_values(look, ["member"])), restore=False)
    assert "Pratt" not in program(message=SAID).answer
