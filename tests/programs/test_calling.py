from __future__ import annotations

import asyncio

import dspy
import pytest

from compilm.programs.calling import caller, calling, named
from compilm.testing.engines import ScriptedEngine, scripted_lm


class Desk(dspy.Module):
    """Two predictors, one of them in a sub-module, and one that is made for each call."""

    def __init__(self) -> None:
        super().__init__()
        self.draft = dspy.Predict("question -> answer")
        self.check = dspy.ChainOfThought("question, answer -> verdict")

    def forward(self, question: str) -> dspy.Prediction:
        answer = self.draft(question=question).answer
        verdict = self.check(question=question, answer=answer).verdict
        dspy.Predict("verdict -> word")(verdict=verdict)
        dspy.settings.lm("directly")
        return dspy.Prediction(answer=answer)

    async def aforward(self, question: str) -> dspy.Prediction:
        both = self.draft.acall(question=question), self.check.acall(question=question, answer="4")
        first, _ = await asyncio.gather(*both)
        return dspy.Prediction(answer=first.answer)


@pytest.fixture
def heard() -> list[str | None]:
    return []


@pytest.fixture
def lm(heard: list[str | None]) -> dspy.LM:
    def answer(_: object) -> dict[str, str]:
        heard.append(calling())
        return {"answer": "4", "reasoning": "sums", "verdict": "right", "word": "yes"}

    return scripted_lm(answer)


@pytest.fixture
def desk() -> Desk:
    made = Desk()
    named(made)
    return made


def test_nobody_is_calling_outside_a_call() -> None:
    assert (calling(), caller()) == (None, None)


def test_the_innermost_predictor_is_calling(desk: Desk, lm: dspy.LM, heard: list[object]) -> None:
    with dspy.context(lm=lm):
        desk(question="2+2?")
    assert heard == ["draft", "check.predict", None, None]
    assert calling() is None


def test_tasks_side_by_side_know_their_own(desk: Desk, lm: dspy.LM, heard: list[object]) -> None:
    async def many() -> None:
        with dspy.context(lm=lm):
            await asyncio.gather(*(desk.acall(question=str(n)) for n in range(20)))

    asyncio.run(many())
    assert sorted(map(str, heard)) == ["check.predict"] * 20 + ["draft"] * 20


def test_threads_of_dspy_know_their_own(desk: Desk, lm: dspy.LM, heard: list[object]) -> None:
    rows = [dspy.Example(question=str(n)).with_inputs("question") for n in range(12)]
    with dspy.context(lm=lm):
        dspy.Parallel(num_threads=4, disable_progress_bar=True)([(desk, row) for row in rows])
    assert heard.count("draft") == heard.count("check.predict") == 12


def test_a_copy_keeps_its_name(desk: Desk, lm: dspy.LM, heard: list[object]) -> None:
    for copy in (desk.deepcopy(), desk.draft.deepcopy(), desk.reset_copy()):
        heard.clear()
        with dspy.context(lm=lm):
            copy(question="2+2?")
        assert heard[0] == "draft"


def test_samples_of_a_copy_that_dspy_makes_are_known(lm: dspy.LM, heard: list[object]) -> None:
    best = dspy.BestOfN(dspy.Predict("question -> answer"), 3, lambda _, __: 0.0, 1.0)
    named(best)
    with dspy.context(lm=lm):
        best(question="2+2?")
    assert heard == ["module"] * 3


def test_a_stream_is_of_its_predictor(heard: list[object]) -> None:
    class Noting(ScriptedEngine):
        def stream(self, request):
            heard.append(calling())
            yield from super().stream(request)

    engine = Noting([{"answer": "4"}])
    lm = dspy.LM("scripted/model", engine=engine, cache=False)
    program = dspy.Predict("question -> answer")
    named(program)
    listener = dspy.streaming.StreamListener(signature_field_name="answer")
    streamed = dspy.streamify(program, stream_listeners=[listener], async_streaming=False)
    with dspy.context(lm=lm):
        list(streamed(question="2+2?"))
    assert heard[:1] == ["self"]


def test_saved_states_do_not_hold_the_name(desk: Desk) -> None:
    assert "_compilm_path" not in str(desk.dump_state())
