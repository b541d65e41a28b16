"""Nodes whose answers are accepted or not, and an Escalate as a node: fallbacks, people, demos."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import dspy
import pytest

from compilm.confidence import Case, Confidence, Escalate, Judge, Stated
from compilm.errors import ProgramError
from compilm.graphs import END, Graph, Node, Pause, Paused
from compilm.programs.predictors import predictors
from compilm.testing.engines import scripted_lm


def draft(question: str) -> dict[str, Any]:
    return {"answer": question.upper(), "confidence": float(question.count("!"))}


def by_hand(question: str, failure: dict[str, str]) -> dict[str, str]:
    return {"answer": f"{failure['node']} {failure['error']}: {failure['message']}"}


def graph(accept: Any) -> Graph:
    nodes = {"draft": Node(draft, accept=accept, fallback="hand"), "hand": by_hand}
    return Graph(nodes, {"draft": END, "hand": END}, "draft", inputs=("question",))


@pytest.mark.parametrize("way", ["threads", "tasks"])
@pytest.mark.parametrize(
    ("accept", "reason"),
    [
        (Confidence(Stated("confidence"), at_least=0.5), "0.00 sure, 0.50 is asked"),
        (lambda prediction: prediction.confidence > 0, "<lambda> said no"),
    ],
)
def test_what_is_not_accepted_goes_to_the_fallback(way: str, accept: Any, reason: str) -> None:
    program = graph(accept)

    def answer(question: str) -> str:
        if way == "threads":
            return str(program(question=question).answer)
        return str(asyncio.run(program.acall(question=question)).answer)

    assert answer("sure!") == "SURE!"
    assert answer("unsure") == f"draft NotAccepted: {reason}"


def test_accept_needs_a_fallback() -> None:
    with pytest.raises(ProgramError, match="node 'a' has accept and no fallback"):
        Graph({"a": Node(draft, accept=lambda said: True)}, {"a": END}, "a")


def judged() -> Graph:
    accept = Confidence(Judge(("answer",)), at_least=0.5)
    nodes = {
        "cheap": Node(dspy.Predict("question -> answer"), accept=accept, fallback="dear"),
        "dear": dspy.ChainOfThought("question -> answer"),
    }
    return Graph(nodes, {"cheap": END, "dear": END}, "cheap")


def test_the_demos_of_a_nodes_judge_reach_it_after_a_copy_and_a_reload(tmp_path: Path) -> None:
    def reply(request: Any) -> dict[str, str]:
        if "probability" in str(request.system):
            return {"probability": "0.1"}
        return {"reasoning": "sums", "answer": "4"}

    def heard(program: dspy.Module) -> list[int]:
        lm = scripted_lm(reply)
        with dspy.context(lm=lm):
            program(question="2+2?")
        return [str(request.messages).count("MARKED") for request in lm.engine.requests]

    program = judged()
    assert set(predictors(program)) == {
        "nodes.cheap", "nodes.dear.predict", "accepts.cheap.signal.ask"
    }  # fmt: skip
    for each in predictors(program).values():
        values = dict.fromkeys(each.signature.fields, "MARKED")
        values |= {"probability": 0.5} if "probability" in values else {}
        each.demos = [dspy.Example(**values).with_inputs(*each.signature.input_fields)]
    assert heard(program) == [2, 2, 3]
    assert heard(program.deepcopy()) == [2, 2, 3]
    program.save(tmp_path / "state.json")
    loaded = judged()
    loaded.load(tmp_path / "state.json")
    assert heard(loaded) == [2, 2, 3]


def test_an_escalate_is_a_node_whose_person_pauses_the_run_and_comes_back() -> None:
    def ask(case: Case) -> Any:
        raise Pause("What is right?", draft=case.tried[-1].prediction.answer)

    step = Escalate(
        dspy.Predict("question -> answer"), accept=lambda said: False, person=ask,
        answers=("answer",),
    )  # fmt: skip
    program = Graph({"answer": step}, {"answer": END}, "answer", inputs=("question", "other"))
    lm = scripted_lm([{"answer": "5"}])
    with dspy.context(lm=lm):
        paused = program(question="2+2?", other="not for it")
        assert isinstance(paused, Paused)
        assert paused.details == {"draft": "5"}
        given = program.resume(paused.to_json(), answer="4")
    assert (given.answer, given.escalation["step"]) == ("4", "person")
    assert lm.engine.calls == 1
    assert program.writes == ("answer", "escalation")
