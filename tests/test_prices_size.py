"""What a call may take is expected large enough, and learned from what calls took."""

from __future__ import annotations

from dataclasses import replace

from dspy import lm15
from hypothesis import given
from hypothesis import strategies as st

from compilm.prices import Size, Tokens, prompt_tokens
from compilm.testing.layer_kit import request


def test_text_of_any_kind_is_expected_to_be_long_enough() -> None:
    assert prompt_tokens(request("word " * 300)) >= 300
    assert prompt_tokens(request("\u4f60\u597d" * 100)) >= 200


def test_a_prompt_counts_system_tools_schemas_and_pictures() -> None:
    plain = prompt_tokens(request())
    tool = lm15.FunctionTool(name="find", description="d" * 300, parameters={"type": "object"})
    picture = lm15.Message("user", (lm15.ImagePart(url="https://example.org/a.png"),))
    for larger in (
        replace(request(), system="s" * 300),
        replace(request(), tools=(tool,)),
        replace(request(), messages=(picture,)),
        request(response_format={"type": "json_schema", "schema": {"d": "d" * 300}}),
    ):
        assert prompt_tokens(larger) >= plain + 100


def test_thinking_with_a_budget_of_its_own_is_expected() -> None:
    thinking = lm15.Reasoning(effort="low", thinking_budget=5000)
    assert Size().expected(request(max_tokens=10, reasoning=thinking)).answer == 5010


def test_calls_side_by_side_that_are_denser_count_as_one() -> None:
    size, asked = Size(), request("a" * 300)
    plain = size.expected(asked).plain
    for _ in range(8):  # all of them were asked before the first was answered
        size.saw(plain, Tokens(2 * plain, 10))
    assert size.expected(asked).prompt == 2 * plain + 1


@given(st.lists(st.tuples(st.integers(1, 400), st.floats(0.1, 7), st.integers(0, 5000))))
def test_what_came_once_is_expected_from_then_on(calls: list[tuple[int, float, int]]) -> None:
    size = Size()
    for length, density, answer in calls:
        asked = request("a" * length)
        used = Tokens(int(prompt_tokens(asked) * density), answer)
        size.saw(size.expected(asked).plain, used)
        again = size.expected(asked)
        assert (again.prompt >= used.prompt, again.answer >= used.output) == (True, True)
