"""What stands around a step takes and writes what the step does."""

from __future__ import annotations

import dspy

from compilm.graphs import END, Graph
from compilm.guardrails import Guard, Length, Redacted
from compilm.testing.engines import scripted_lm


def test_a_hidden_step_is_given_what_it_reads_and_no_more():
    graph = Graph(
        {"note": lambda message: {"is_long": len(message) > 80},
         "answer": Redacted(dspy.Predict("message -> answer"))},
        {"note": "answer", "answer": END},
        start="note",
    )  # fmt: skip
    assert graph.inputs == ("message",)
    lm = scripted_lm([{"answer": "Dear [NAME_1]."}])
    with dspy.context(lm=lm):
        assert graph(message="I am Ana Pratt.").answer == "Dear Ana Pratt."
    assert "is_long" not in str(lm.engine.requests)


def test_a_guarded_step_writes_its_outcome_too():
    graph = Graph(
        {"answer": Guard(dspy.Predict("message -> answer"), after=[Length("answer", most=1)])},
        {"answer": END},
        start="answer",
    )
    assert graph.inputs == ("message",)
    assert graph.writes == ("answer", "guard")
