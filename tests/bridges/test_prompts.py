"""A prompt is a text that loses no value and no demonstration, whatever an optimizer wrote."""

from __future__ import annotations

import copy
import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compilm.bridges.prompts import Prompt, as_lines


def test_it_is_a_text_to_any_sdk() -> None:
    prompt = Prompt("answer", "Be brief.")
    assert isinstance(prompt, str)
    assert json.dumps([prompt]) == '["Be brief."]'
    assert copy.deepcopy(prompt) is copy.copy(prompt) is prompt
    assert pickle.loads(pickle.dumps(prompt)) == "Be brief."


def test_values_stand_in_their_places_and_other_braces_stay() -> None:
    prompt = Prompt("answer", 'As {"a": {}}: {question} {unknown}')
    assert prompt.format(question="2+2?") == 'As {"a": {}}: 2+2? {unknown}'


def test_a_value_is_not_looked_through_for_places() -> None:
    prompt = Prompt("answer", "{demos}|{a}|{b}", "{a} {b}")
    assert prompt.format(a="{b}", b="{a}") == "{a} {b}|{b}|{a}"


def test_values_come_one_after_the_other_if_they_come_so() -> None:
    prompt = Prompt("answer", "{a} and {b}")
    first = prompt.format(a=1)
    assert isinstance(first, Prompt)
    assert first.format(b=[2, "é"]) == '1 and [2, "é"]'


def test_examples_stand_before_a_text_with_values_and_after_one_without() -> None:
    prompt = Prompt("answer", "Q: {question}", "one")
    assert prompt == "Q: {question}\n\nExamples:\n\none"
    assert prompt.format(question="2+2?") == "Examples:\n\none\n\nQ: 2+2?"


def test_a_place_has_a_name() -> None:
    with pytest.raises(TypeError, match="the places of 'answer' have names"):
        Prompt("answer", "{}").format("a")


names = st.sampled_from(["question", "context", "n"])


@given(st.text(), st.text(min_size=1), st.dictionaries(names, st.text(min_size=1)))
def test_every_value_and_every_demo_is_in_the_prompt(
    template: str, shown: str, values: dict[str, str]
) -> None:
    filled = Prompt("any", template, shown).format(**values)
    assert shown in filled
    for name, value in values.items():
        assert value in filled, name


@given(st.text())
def test_a_text_without_demos_and_values_is_itself(template: str) -> None:
    assert Prompt("any", template) == template.replace("{demos}", "")


def test_demos_are_lines_with_their_names() -> None:
    assert as_lines([{"a": 1, "b": "x"}, {"a": None}]) == "a: 1\nb: x\n\na: null"
