"""Steps in the order of their price: who answers, what is recorded, what an optimizer sees."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import dspy
import pytest

from compilm.confidence import Alike, Attempt, Case, Confidence, Escalate, Judge, Stated, Verdict
from compilm.errors import ProgramError, UsageError
from compilm.programs.predictors import predictors
from compilm.testing.engines import scripted_lm


def sure(prediction: dspy.Prediction) -> bool:
    return prediction.answer != "unsure"


def ladder(*replies: str, **more: Any) -> tuple[Escalate, list[dspy.LM]]:
    """A program whose steps answer these, each by a model of its own."""
    steps, lms = [], []
    for reply in replies:
        step = dspy.Predict("question -> answer")
        step.lm = scripted_lm([{"answer": reply}])
        steps.append(step)
        lms.append(step.lm)
    return Escalate(*steps, accept=more.pop("accept", sure), **more), lms


def calls(lms: list[dspy.LM]) -> list[int]:
    return [lm.engine.calls for lm in lms]


def test_the_first_step_whose_answer_is_accepted_gives_it_and_none_after_it_is_asked() -> None:
    program, lms = ladder("unsure", "4", "5")
    given = program(question="2+2?")
    assert (given.answer, calls(lms)) == ("4", [1, 1, 0])
    assert given.escalation == {
        "step": "1",
        "confidence": None,
        "tried": [{"step": "0", "confidence": None, "reason": "sure said no"}],
    }


def test_the_last_answer_stands_where_there_is_no_person() -> None:
    program, lms = ladder("unsure", "unsure")
    assert (program(question="2+2?").answer, calls(lms)) == ("unsure", [1, 1])


def test_a_person_is_asked_when_no_step_is_accepted_and_told_why() -> None:
    seen: list[Case] = []

    def ask(case: Case) -> dict[str, str]:
        seen.append(case)
        return {"answer": "four"}

    program, _ = ladder("unsure", "unsure", person=ask)
    given = program(question="2+2?")
    assert (given.answer, given.escalation["step"]) == ("four", "person")
    assert [attempt.step for attempt in seen[0].tried] == ["0", "1"]
    assert seen[0].inputs == {"question": "2+2?"}


def test_a_call_that_has_the_answer_of_a_person_asks_nobody() -> None:
    program, lms = ladder("unsure", person=lambda case: {}, answers=("answer",))
    given = program(question="2+2?", answer="four")
    assert (given.answer, given.escalation["step"], calls(lms)) == ("four", "person", [0])


def test_tasks_do_as_threads_do() -> None:
    program, lms = ladder("unsure", "4")
    given = asyncio.run(program.acall(question="2+2?"))
    assert (given.answer, given.escalation["step"], calls(lms)) == ("4", "1", [1, 1])


def test_an_answer_that_cannot_be_read_goes_on_unless_it_is_the_last() -> None:
    program, lms = ladder("4", "5")
    lms[0].engine._script = ["no fields at all"]
    given = program(question="2+2?")
    assert given.answer == "5"
    assert "AdapterParseError" in given.escalation["tried"][0]["reason"]
    lms[1].engine._script = ["no fields at all"]
    with pytest.raises(dspy.utils.exceptions.AdapterParseError):
        program(question="2+2?")


def test_another_error_of_a_step_passes() -> None:
    program, lms = ladder("4", "5")
    lms[0].engine._script = [dspy.lm15.AuthError("no key")]
    with pytest.raises(dspy.LMError):
        program(question="2+2?")
    assert lms[1].engine.calls == 0


def test_a_step_that_is_foreseen_to_be_refused_is_not_asked() -> None:
    seen = Alike(["hard one", "hard two", "easy one", "easy six"], [False] * 2 + [True] * 2, k=1)
    accept = Confidence(seen, at_least=0.5)
    program, lms = ladder("4", "5", accept=accept)
    assert program(question="hard three").answer == "5"
    assert calls(lms) == [0, 1]
    assert program(question="easy two").answer == "4"
    assert calls(lms) == [1, 1]


def test_each_step_may_have_a_check_of_its_own() -> None:
    program, lms = ladder("a", "b", "c", accept=[lambda p: False, lambda p: p.answer == "b"])
    assert (program(question="?").answer, calls(lms)) == ("b", [1, 1, 0])


@pytest.mark.parametrize(
    ("steps", "more", "told"),
    [
        (1, {}, "1 steps and 0 checks"),
        (3, {"accept": [sure]}, "3 steps and 1 checks"),
        (2, {"accept": [sure], "person": sure}, "for each that may be refused"),
    ],
)
def test_steps_and_checks_must_fit(steps: int, more: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        ladder(*["x"] * steps, **more)


def test_one_object_cannot_stand_in_two_steps() -> None:
    step = dspy.Predict("q -> a")
    with pytest.raises(UsageError, match=r"give program\.deepcopy\(\)"):
        Escalate(step, step, accept=sure)
    with pytest.raises(UsageError, match="step '1' is a function"):
        Escalate(step, sure, accept=sure)  # type: ignore[arg-type]


def test_a_check_that_gives_a_number_is_told_what_to_do() -> None:
    program, _ = ladder("a", "b", accept=lambda prediction: 0.7)
    with pytest.raises(ProgramError, match=r"Confidence\(signal, at_least"):
        program(question="?")


def test_a_step_that_gives_no_prediction_is_named() -> None:
    class Bare(dspy.Module):
        def forward(self, question: str) -> Any:
            return {"answer": question}

    with pytest.raises(ProgramError, match="step 'bare' gave a dict"):
        Escalate({"bare": Bare(), "b": Bare()}, accept=lambda said: True)(question="?")


def test_an_escalation_inside_another_is_told_within() -> None:
    inner, _ = ladder("unsure", "4")
    outer = Escalate({"inner": inner, "dear": dspy.Predict("question -> answer")}, accept=sure)
    given = outer(question="?")
    assert given.escalation["step"] == "inner"
    assert given.escalation["within"]["step"] == "1"


class Desk(Escalate):
    """Two steps, and a judge between them."""

    def __init__(self) -> None:
        steps = {
            "cheap": dspy.Predict("question -> answer"),
            "dear": dspy.ChainOfThought("question -> answer"),
        }
        super().__init__(steps, accept=Confidence(Judge(("answer",)), at_least=0.5))


PATHS = ["steps.cheap", "steps.dear.predict", "accept.signal.ask"]


def desk_reply(request: Any) -> dict[str, str]:
    text = str(request.system)
    if "probability" in text:
        return {"probability": "0.1"}
    return {"reasoning": "sums", "answer": "4"}


def demos_heard(program: dspy.Module) -> int:
    """How many of the marked demonstrations stand in the requests of one call."""
    lm = scripted_lm(desk_reply)
    with dspy.context(lm=lm):
        program(question="2+2?")
    told = [
        part.text
        for request in lm.engine.requests
        for message in request.messages
        for part in message.parts
    ]
    return sum(text.count("MARKED") for text in told)


def test_every_predictor_is_found_and_its_demos_reach_the_model(tmp_path: Path) -> None:
    program = Desk()
    assert sorted(predictors(program)) == sorted(PATHS)
    assert len(program.named_predictors()) == 3
    for path, each in predictors(program).items():
        values = dict.fromkeys(each.signature.fields, f"{path} MARKED")
        values |= {"probability": 0.5} if "probability" in values else {}
        inputs = list(each.signature.input_fields)
        each.demos = [dspy.Example(**values).with_inputs(*inputs)]
    expected = demos_heard(program)
    assert expected == 2 + 3 + 2  # the values of the three demonstrations
    assert demos_heard(program.deepcopy()) == expected
    program.save(tmp_path / "state.json")
    loaded = Desk()
    loaded.load(tmp_path / "state.json")
    assert demos_heard(loaded) == expected


def test_what_a_refused_step_said_becomes_no_demonstration() -> None:
    def reply(request: Any) -> dict[str, str]:
        asked = str(request.messages[-1].parts[0].text)
        if "probability" in str(request.system):
            return {"probability": "0.0" if "wrong" in asked else "1.0"}
        is_dear = "reasoning" in str(request.system)
        return {"reasoning": "sums", "answer": "4" if is_dear else "wrong"}

    rows = [dspy.Example(question=f"2+2? {n}", answer="4").with_inputs("question") for n in (1, 2)]
    with dspy.context(lm=scripted_lm(reply)):
        compiled = dspy.BootstrapFewShot(
            metric=lambda gold, said, trace=None: gold.answer == said.answer,
            max_labeled_demos=0,
        ).compile(Desk(), trainset=rows)
    found = predictors(compiled)
    assert found["steps.cheap"].demos == []
    assert [demo.answer for demo in found["steps.dear.predict"].demos] == ["4", "4"]
    assert len(found["accept.signal.ask"].demos) == 2


def test_a_process_that_escalates_imports_nothing_heavy() -> None:
    code = (
        "import sys, dspy\n"
        "from compilm.confidence import Confidence, Escalate, LogProbability\n"
        "from compilm.testing.engines import scripted_lm\n"
        "steps = [dspy.Predict('q -> a'), dspy.Predict('q -> a')]\n"
        "program = Escalate(*steps, accept=Confidence(LogProbability(), at_least=0.5))\n"
        "with dspy.context(lm=scripted_lm([{'a': '4'}])):\n"
        "    assert program(q='?').a == '4'\n"
        "heavy = {'numpy', 'litellm', 'compilm.metrics', 'compilm.datasets', 'pandas'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_attempts_keep_no_text_of_an_answer() -> None:
    attempt = Attempt("cheap", dspy.Prediction(answer="secret"), Verdict(False, 0.2, "too low"))
    assert "secret" not in str(attempt.to_json())


def test_a_number_that_a_program_states_is_read_or_is_none() -> None:
    stated = Stated("confidence", most=100)
    for said, signal in ((80, 0.8), ("80", 0.8), (140, 1.0), ("high", None), (None, None)):
        assert stated(Case(prediction=dspy.Prediction(confidence=said))) == signal
    with pytest.raises(ProgramError, match="no field 'confidence'"):
        stated(Case(prediction=dspy.Prediction(answer="4")))
