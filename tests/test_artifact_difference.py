"""Differences and descriptions say what a person needs, and only that."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings

from compilm import canonical
from compilm.artifact import Artifact, Change, Field, Nearest, Predictor, describe, diff
from compilm.testing.strategies import artifacts, texts

DIGEST = canonical.text_digest("x")
DRAFT = Predictor(
    "draft",
    "default",
    (Field("question", "str"),),
    (Field("answer", "str"),),
    "Answer.\nBe kind.",
    ({"question": "a", "answer": "1"}, {"question": "a", "answer": "1"}),
)
HALF = {"value": 0.5, "low": 0.25, "high": 0.75, "n": 8}


def made(*predictors: Predictor, **changes: Any) -> Artifact:
    content: dict[str, Any] = {
        "program": {
            "reference": "claims:Desk",
            "fingerprint": DIGEST,
            "inputs": [],
            "outputs": [],
            "predictors": [each.to_json() for each in predictors],
        },
        "adapter": "ChatAdapter",
        "models": {"default": "m1"},
        "metric": {"name": "exact", "fingerprint": ""},
        "data": {"val": {"name": "v", "size": 8, "fingerprint": ""}, "test": None},
        "scores": {"baseline": {"val": HALF, "test": None}, "compiled": {}, "gain": None},
        "verdict": "likely",
        "search": {"level": 1, "optimizer": None, "budget": {}, "seed": 0},
        "parent": None,
    }
    provenance = {
        "run": "",
        "created": "2026-01-02T03:04:05Z",
        "spent": {"calls": 12, "usd": None},
        "versions": {"dspy": "3.4.1"},
        "notes": ["be careful", {"k": 1}],
    }
    return Artifact.build({**content, **changes}, provenance)


@settings(max_examples=15, deadline=None)
@given(artifacts(), artifacts())
def test_two_artifacts_differ_exactly_if_their_digests_do(a: Artifact, b: Artifact) -> None:
    assert not diff(a, a)
    assert diff(a, a).text() == "no difference"
    assert bool(diff(a, b)) == (a.digest != b.digest)
    assert diff(a, b).text()
    assert a.digest[7:19] in describe(a)


def test_changed_instructions_are_shown_by_line_and_by_word() -> None:
    change = diff(made(DRAFT), made(replace(DRAFT, instructions="Answer.\nBe brief."))).predictors[
        0
    ]
    assert list(change.lines()) == [
        "predictor draft", "  instructions", "  - Be kind.", "  + Be brief."
    ]  # fmt: skip
    assert change.words() == (("same", "Answer.\nBe "), ("removed", "kind."), ("added", "brief."))


@given(texts(), texts())
def test_the_words_of_a_change_give_back_both_texts(before: str, after: str) -> None:
    change = diff(
        made(replace(DRAFT, instructions=before)), made(replace(DRAFT, instructions=after))
    )
    for each in change.predictors:
        assert "".join(text for kind, text in each.words() if kind != "added") == before
        assert "".join(text for kind, text in each.words() if kind != "removed") == after
    assert bool(change) == (before != after)


def test_demos_are_compared_as_a_bag() -> None:
    once, other = {"question": "a", "answer": "1"}, {"question": "b", "answer": "2"}
    turned = diff(
        made(replace(DRAFT, demos=(once, other))), made(replace(DRAFT, demos=(other, once)))
    )
    assert list(turned.predictors[0].lines()) == ["predictor draft", "  its demos changed order"]
    change = diff(made(DRAFT), made(replace(DRAFT, demos=(other, once)))).predictors[0]
    assert change.demos_added == (other,)
    assert change.demos_removed == (once,)
    assert list(change.lines())[1:] == [
        '  - demo {"answer":"1","question":"a"}',
        '  + demo {"answer":"2","question":"b"}',
    ]


ONCE, OTHER = {"question": "a", "answer": "1"}, {"question": "b", "answer": "2"}


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        (
            None,
            Nearest(8, "words-v1", (ONCE, OTHER)),
            ["  demos per call: none -> 8 nearest of a pool of 2 (words-v1)",
             "  their pool: 2 more, 0 fewer"],
        ),
        (
            Nearest(8, "words-v1", (ONCE, OTHER)),
            Nearest(4, "words-v1", (ONCE, OTHER)),
            ["  demos per call: 8 nearest of a pool of 2 (words-v1) -> "
             "4 nearest of a pool of 2 (words-v1)"],
        ),
        (
            Nearest(8, "words-v1", (ONCE, ONCE)),
            Nearest(8, "words-v1", (ONCE, OTHER)),
            ["  their pool: 1 more, 1 fewer"],
        ),
        (
            Nearest(8, "words-v1", (ONCE, OTHER)),
            Nearest(8, "words-v1", (OTHER, ONCE)),
            ["  their pool changed order"],
        ),
    ],
    ids=["new", "fewer shown", "another demo", "another order"],
)  # fmt: skip
def test_a_choice_of_demos_per_call_is_told_by_number(
    before: Nearest | None, after: Nearest | None, lines: list[str]
) -> None:
    pair = made(replace(DRAFT, nearest=before)), made(replace(DRAFT, nearest=after))
    assert list(diff(*pair).predictors[0].lines()) == ["predictor draft", *lines]
    assert len(list(diff(*pair[::-1]).predictors[0].lines())) == 1 + len(lines)
    assert pair[0].digest != pair[1].digest


def test_a_predictor_that_is_added_brings_its_pool() -> None:
    new = replace(DRAFT, path="check", nearest=Nearest(1, "words-v1", (ONCE, OTHER)))
    change = diff(made(DRAFT), made(DRAFT, new)).predictors[0]
    assert change.nearest is not None
    assert (change.kind, change.nearest.added) == ("added", (ONCE, OTHER))


@pytest.mark.parametrize("kind", ["added", "removed"])
def test_a_predictor_on_one_side_only_is_named(kind: str) -> None:
    pair = made(DRAFT), made(DRAFT, replace(DRAFT, path="check"))
    change = diff(*(pair if kind == "added" else pair[::-1])).predictors[0]
    assert next(change.lines()) == f"predictor check ({kind})"
    assert not change.shape_changed


def test_a_changed_field_is_a_changed_shape() -> None:
    other = replace(DRAFT, outputs=(Field("answer", "int"),))
    assert "its fields changed" in diff(made(DRAFT), made(other)).text()


def test_figures_and_names_are_compared_by_path() -> None:
    better = {**HALF, "value": 0.75}
    scores = {"baseline": {"val": better, "test": None}, "compiled": {}, "gain": HALF}
    change = diff(made(DRAFT), made(DRAFT, verdict="proven", models={"judge": "m2"}, scores=scores))
    assert Change("verdict", "likely", "proven") in change.changes
    assert change.text().splitlines() == [
        "models.default: m1 -> none",
        "scores.baseline.val: 0.5 [0.25, 0.75] n=8 -> 0.75 [0.25, 0.75] n=8",
        "scores.gain: none -> 0.5 [0.25, 0.75] n=8",
        "verdict: likely -> proven",
        "models.judge: none -> m2",
    ]


def test_a_description_tells_the_outcome_the_cost_and_the_texts() -> None:
    nearest = Nearest(8, "words-v1", (ONCE, OTHER))
    artifact = made(DRAFT, replace(DRAFT, path="check", demos=DRAFT.demos[:1], nearest=nearest))
    text = describe(artifact)
    assert text.splitlines()[:3] == [
        f"claims:Desk  {canonical.short(artifact.digest)}  likely",
        "compiled 2026-01-02T03:04:05Z, run unknown",
        "",
    ]
    for line in (
        "  baseline  val 0.5 [0.25, 0.75] n=8",
        "  data      val 8",
        "  spent     12 calls, price unknown",
        "  note      be careful",
        '  note      {"k":1}',
        "draft (default)  question: str -> answer: str",
        "  | Be kind.",
        "  2 demos",
        "  1 demo",
        "  for each call the 8 nearest of a pool of 2 (words-v1)",
    ):
        assert line in text.splitlines()
    assert "gain" not in text


def test_a_description_says_what_is_not_known() -> None:
    program = {**made(DRAFT).content["program"], "reference": ""}
    scores = {"baseline": {}, "compiled": {}, "gain": HALF}
    text = describe(made(program=program, scores=scores, metric={"name": "", "fingerprint": ""}))
    assert text.startswith("(a program without a reference)")
    assert "  gain      0.5 [0.25, 0.75] n=8" in text
    assert "  metric    none" in text
