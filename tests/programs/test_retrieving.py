"""A predictor that chooses its demos is DSPy's own in every other way, and never loses its pool."""

from __future__ import annotations

import asyncio
import copy
import inspect
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dspy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compilm.artifact import Nearest, Predictor
from compilm.errors import ArtifactError, ProgramError
from compilm.programs.dspy_state import adopt, import_state
from compilm.programs.predictors import applied, described, fingerprint, predictors, shape
from compilm.programs.reference import source_fingerprint
from compilm.programs.retrieving import Retrieving, own_class, release, retrieve
from compilm.testing.engines import scripted_lm

CARD, ROOF, DOG = "I lost my card", "the roof is leaking", "a lost dog"
POOL = (
    {"text": ROOF, "label": "claims"},
    {"text": CARD, "label": "cards"},
    {"text": DOG, "label": "other"},
)
FIXED = {"text": "hello", "label": "other"}


class Own(dspy.Predict):
    """Somebody's subclass, with narrow arguments and inputs of its own making."""

    def forward(self, message: str) -> dspy.Prediction:
        return super().forward(text=message.lower())


class Desk(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.steps = [dspy.Predict("text -> label"), Own("text -> label")]
        self.think = dspy.ChainOfThought("label -> answer")

    def forward(self, text: str) -> dspy.Prediction:
        label = self.steps[0](text=text).label
        self.steps[1](message=text)
        return dspy.Prediction(answer=self.think(label=label).answer)

    async def aforward(self, text: str) -> dspy.Prediction:
        found = await self.steps[0].acall(text=text)
        return dspy.Prediction(answer=(await self.think.acall(label=found.label)).answer)


def desk(k: int = 2, *paths: str, program: dspy.Module | None = None) -> dspy.Module:
    """A desk whose steps choose `k` demos after the fixed one."""
    program = program or Desk()
    states = {each.path: each for each in shape(program)}
    nearest = Nearest(k, "words-v1", POOL)
    wanted = paths or ("steps.0", "steps.1")
    return applied(
        program, {path: replace(states[path], demos=(FIXED,), nearest=nearest) for path in wanted}
    )


def lm() -> dspy.LM:
    return scripted_lm([{"label": "cards", "reasoning": "r", "answer": "a"}])


def questions(model: dspy.LM) -> list[list[str]]:
    """What was asked and shown to the predictors with a text, by request: the call stands last."""
    found = []
    for request in model.engine.requests:
        told = [message.text or "" for message in request.messages if message.role == "user"]
        if "[[ ## text ## ]]" in told[-1]:
            found.append([text.split("## ]]")[1].split("\n\n")[0].strip() for text in told])
    return found


def asked(program: dspy.Module, **inputs: Any) -> list[list[str]]:
    model = lm()
    with dspy.context(lm=model):
        program(**inputs)
    return questions(model)


NEAR = [["hello", DOG, CARD, "lost card"], ["hello", DOG, CARD, "lost card"]]


def test_the_prompt_holds_the_fixed_demos_and_then_the_nearest_with_the_closest_last() -> None:
    assert asked(desk(), text="lost card") == NEAR
    assert asked(desk(1), text="a leaking roof")[0] == ["hello", ROOF, "a leaking roof"]


def test_a_call_in_a_task_is_shown_the_same() -> None:
    model = lm()
    with dspy.context(lm=model):
        asyncio.run(desk().acall(text="lost card"))
    assert questions(model) == NEAR[:1]


def test_calls_side_by_side_each_get_their_own() -> None:
    model = lm()
    program = desk(1, "steps.0").steps[0]

    async def all_at_once() -> None:
        await asyncio.gather(*(program.acall(text=demo["text"]) for demo in POOL * 5))

    with dspy.context(lm=model):
        asyncio.run(all_at_once())
    assert len(questions(model)) == 15
    assert all(shown == call for _, shown, call in questions(model))


def test_a_subclass_is_asked_by_what_it_makes_of_the_call() -> None:
    """Its own arguments are narrow, and its inputs are known only further down."""
    assert asked(desk(), text="LOST CARD")[1] == ["hello", DOG, CARD, "lost card"]


def test_demos_given_with_a_call_are_the_only_ones() -> None:
    predictor = desk().steps[0]
    assert asked(predictor, text="lost card", demos=[]) == [["lost card"]]


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, dspy.Module.deepcopy, lambda program: applied(program, {}), copy.copy]
)
def test_a_copy_chooses_as_the_original_does(copied: Any) -> None:
    program = copied(desk())
    assert asked(program, text="lost card") == NEAR
    assert shape(program) == shape(desk())


def test_a_copy_that_fails_halfway_is_made_by_dspy_part_by_part() -> None:
    program = desk()
    program.generator = (n for n in range(3))  # has no copy
    assert asked(program.deepcopy(), text="lost card") == NEAR


def test_a_copy_and_its_original_change_apart() -> None:
    program = desk()
    twin = copy.deepcopy(program)
    twin.steps[0].demos.clear()
    release(twin.steps[1])
    assert asked(program, text="lost card") == NEAR
    assert asked(twin, text="lost card") == [[DOG, CARD, "lost card"], ["hello", "lost card"]]


def test_everything_dspy_knows_about_a_predictor_is_as_before() -> None:
    plain, program = Desk(), desk()
    assert [name for name, _ in program.named_predictors()] == [
        name for name, _ in plain.named_predictors()
    ]
    assert list(predictors(program)) == list(predictors(plain))
    assert repr(program) == repr(plain)
    assert fingerprint(shape(program)) == fingerprint(shape(plain))
    assert source_fingerprint(program) == source_fingerprint(plain)
    assert isinstance(program.steps[1], Own)
    assert (own_class(program.steps[0]), own_class(program.steps[1])) == (dspy.Predict, Own)
    assert (own_class(program), own_class(plain.steps[1])) == (Desk, Own)
    assert inspect.getsource(type(program.steps[1])) == inspect.getsource(Own)
    assert type(desk().steps[1]) is type(program.steps[1])


def test_the_trace_holds_the_call_and_not_the_demos() -> None:
    program = desk()
    trace: list[Any] = []
    with dspy.context(lm=lm(), trace=trace):
        program(text="lost card")
    assert trace[0][0] is program.steps[0]
    assert trace[0][1] == {"text": "lost card"}


def test_what_is_read_back_is_what_was_set() -> None:
    states = shape(desk())
    assert states[0].nearest == Nearest(2, "words-v1", POOL)
    assert (states[0].demos, states[2].nearest) == ((FIXED,), None)
    assert [Predictor.from_json(each) for each in described(desk())["predictors"]] == list(states)


def test_a_state_without_a_pool_takes_it_away_again() -> None:
    back = applied(desk(), {each.path: each for each in shape(Desk())})
    assert shape(back) == shape(Desk())
    assert (type(back.steps[0]), type(back.steps[1])) == (dspy.Predict, Own)
    assert asked(back, text="lost card") == [["lost card"], ["lost card"]]


values = st.builds(
    Nearest,
    st.integers(1, 4),
    st.just("words-v1"),
    st.lists(st.fixed_dictionaries({"text": st.text("ab c", max_size=5), "label": st.just("x")}),
             max_size=4).map(tuple),
)  # fmt: skip
PROGRAM = Desk()
BEFORE = shape(PROGRAM)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.none() | values, min_size=2, max_size=4))
def test_any_states_one_after_another_leave_what_the_last_one_says(
    several: list[Nearest | None],
) -> None:
    program: dspy.Module = PROGRAM
    for nearest in several:
        program = applied(program, {"steps.1": replace(BEFORE[1], nearest=nearest)})
        assert shape(program)[1].nearest == nearest
    assert shape(PROGRAM) == BEFORE
    assert type(PROGRAM.steps[1]) is Own


def test_a_student_of_dspys_optimizers_starts_blank_and_a_teacher_keeps_its_pool() -> None:
    blank = desk().reset_copy()
    assert shape(blank) == shape(Desk())
    rows = [dspy.Example(text=f"t{n}", label="x").with_inputs("text") for n in range(4)]
    predictor = desk().steps[0]
    labeled = dspy.LabeledFewShot(k=2).compile(predictor, trainset=rows)
    assert (len(labeled.demos), isinstance(labeled, Retrieving)) == (2, False)
    model = lm()
    with dspy.context(lm=model):
        taught = dspy.BootstrapFewShot(max_bootstrapped_demos=2, max_labeled_demos=0).compile(
            dspy.Predict("text -> label"), teacher=predictor, trainset=rows
        )
    assert len(taught.demos) == 2
    assert all(len(shown) == 4 for shown in questions(model))


def test_new_instructions_and_demos_leave_the_pool() -> None:
    """As DSPy's optimizers set them on a copy of the program."""
    predictor = desk().steps[0].deepcopy()
    predictor.signature = predictor.signature.with_instructions("Better.")
    predictor.demos = []
    assert asked(predictor, text="lost card") == [[DOG, CARD, "lost card"]]
    assert shape(predictor)[0].instructions == "Better."


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.WARNING, "compilm"):
        yield caplog


def test_dspys_own_save_says_what_dspys_own_load_will_not_read(
    tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    desk(2, "steps.0").save(tmp_path / "state.json")
    (warning,) = log.messages
    assert "the 1 demos that stay and not the 2 nearest of a pool of 3 (words-v1)" in warning
    body = json.loads((tmp_path / "state.json").read_text())["steps[0]"]
    assert body["demos"] == [FIXED]
    assert body["nearest"]["pool"] == list(POOL)
    plain = Desk()
    plain.load(tmp_path / "state.json")
    assert asked(plain, text="lost card")[0] == ["hello", "lost card"]


def test_a_saved_state_is_taken_back_by_a_program_that_chooses(tmp_path: Path) -> None:
    desk(2).save(tmp_path / "state.json")
    other = desk(1)
    other.load(tmp_path / "state.json")
    assert shape(other) == shape(desk(2))
    Desk().save(tmp_path / "plain.json")
    other.load(tmp_path / "plain.json")
    assert shape(other) == shape(Desk())


def test_a_saved_state_is_adopted_with_its_pool(tmp_path: Path) -> None:
    desk().save(tmp_path / "state.json")
    assert import_state(tmp_path / "state.json", Desk()) == shape(desk())
    artifact = adopt(tmp_path / "state.json", Desk())
    assert artifact.predictors == shape(desk())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"k": 0}, r"'steps\[0\]': nearest\.k: expected 1 or more"),
        ({"pool": [{"text": "a"}, 5]}, r"nearest\.pool\[1\]: expected an object"),
        ({"pool": [{"zzz": "a"}]}, r"nearest\.pool\[0\] has a field 'zzz'"),
    ],
)
def test_a_pool_that_does_not_fit_is_named(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "state.json"
    desk().save(path)
    body = json.loads(path.read_text())
    body["steps[0]"]["nearest"].update(change)
    path.write_text(json.dumps(body))
    with pytest.raises(ArtifactError, match=message):
        import_state(path, Desk())


ELSEWHERE = """
import dspy, sys
from compilm.testing.engines import scripted_lm
program = dspy.load(sys.argv[1], allow_pickle=True)
lm = scripted_lm([{"label": "cards"}])
with dspy.context(lm=lm):
    program(text="lost card")
told = [message.text for message in lm.engine.requests[0].messages if message.role == "user"]
print([text.split("## ]]")[1].strip().splitlines()[0] for text in told])
"""


def test_a_program_saved_whole_by_dspy_chooses_in_another_process(tmp_path: Path) -> None:
    program = dspy.Predict("text -> label")
    retrieve(program, Nearest(2, "words-v1", POOL))
    program.save(tmp_path / "whole", save_program=True)
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, str(tmp_path / "whole")],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout.strip() == str([DOG, CARD, "lost card"]), done.stderr


def test_a_predictor_without_text_is_named_when_it_is_set() -> None:
    program = dspy.Predict("page: dspy.Image -> label")
    state = replace(shape(program)[0], nearest=Nearest(1, "words-v1", ()))
    with pytest.raises(ProgramError, match="'self' has no input that is text"):
        applied(program, {"self": state})
    assert shape(program)[0].nearest is None


def test_a_dspy_without_the_place_where_demos_are_chosen_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(dspy.Predict, "_forward_preprocess")
    with pytest.raises(ProgramError, match=r"'a' chooses demos for each call, and dspy 3\.\S+ has"):
        retrieve(dspy.Predict("text -> label"), Nearest(1, "words-v1", POOL), "a")
