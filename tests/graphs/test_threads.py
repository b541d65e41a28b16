"""A conversation goes on where it was, in any process, and knows what was said."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dspy
import pytest
from tests.graphs.world import fields_of

from compilm.errors import JournalError, ProgramError
from compilm.graphs import END, Choice, Graph, Pause, Paused, Threads
from compilm.journal import Journal, open_journal
from compilm.testing.engines import ScriptedEngine, scripted_lm


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def journal(request: Any, tmp_path: Path) -> Iterator[Journal]:
    if request.param == "postgres":
        journal = open_journal(request.getfixturevalue("postgres_url"))
    else:
        journal = open_journal(None if request.param == "memory" else tmp_path / "threads.db")
    yield journal
    journal.close()


class Reply(dspy.Signature):
    """Answer."""

    message: str = dspy.InputField()
    history: dspy.History = dspy.InputField()
    answer: str = dspy.OutputField()


def approve(answer: str, approved: bool | None = None) -> dict[str, Any]:
    if approved is None:
        raise Pause("Send it?", answer=answer)
    return {"answer": answer if approved else "A colleague will write to you."}


def desk() -> Graph:
    return Graph(
        nodes={"reply": dspy.Predict(Reply), "check": check, "approve": approve},
        edges={
            "reply": "check",
            "check": Choice("is_risky", {True: "approve"}, END),
            "approve": END,
        },
        start="reply",
        inputs=["message", "history"],
        outputs=["answer"],
    )


def check(answer: str) -> dict[str, Any]:
    return {"is_risky": "money" in answer}


def lm(*answers: str) -> dspy.LM:
    return scripted_lm([{"answer": answer} for answer in answers])


def engine(model: dspy.LM) -> ScriptedEngine:
    assert isinstance(model.engine, ScriptedEngine)
    return model.engine


def said(model: dspy.LM) -> list[list[str]]:
    """The messages of each request, without the instruction."""
    return [
        [" ".join(part.text for part in message.parts) for message in request.messages]
        for request in engine(model).requests
    ]


def test_a_model_is_told_what_was_said_before(journal: Journal) -> None:
    model = lm("one", "two", "other")
    with dspy.context(lm=model):
        assert Threads(desk(), journal).turn("t", message="first").answer == "one"
        # another process, another object
        assert asyncio.run(Threads(desk(), journal).aturn("t", message="second")).answer == "two"
        Threads(desk(), journal).turn("u", message="elsewhere")
    first, second, other = said(model)
    assert (len(first), len(second), len(other)) == (1, 3, 1)
    assert "first" in second[0]
    assert "one" in second[1]
    assert fields_of(engine(model).requests[1])["message"] == "second"
    history = Threads(desk(), journal).history("t")
    assert history.messages == [
        {"message": "first", "answer": "one"},
        {"message": "second", "answer": "two"},
    ]


def test_a_turn_that_waits_for_a_person_goes_on_and_is_said(journal: Journal) -> None:
    with dspy.context(lm=lm("money back", "thanks")):
        threads = Threads(desk(), journal)
        assert isinstance(threads.turn("t", message="pay me"), Paused)
        assert threads.look("t").waits == "Send it?"
        with pytest.raises(
            ProgramError, match=r"'t' waits for an answer to 'Send it\?': resume it"
        ):
            threads.turn("t", message="hello?")
        answered = Threads(desk(), journal).resume("t", approved=False)
        assert answered.answer == "A colleague will write to you."
        assert threads.turn("t", message="ok").answer == "thanks"
        with pytest.raises(ProgramError, match="'t' asks nothing"):
            threads.resume("t", approved=True)
    assert [m["answer"] for m in threads.look("t").messages] == [answered.answer, "thanks"]


def test_a_turn_that_was_cut_off_goes_on_or_is_left_for_another(journal: Journal) -> None:
    model = scripted_lm([{"answer": "one"}, {"answer": "two"}])
    is_down = True

    def send(answer: str) -> dict[str, Any]:
        if is_down:
            raise ConnectionError("down")
        return {"sent": answer}

    graph = Graph(
        {"reply": dspy.Predict(Reply), "send": send}, {"reply": "send", "send": END}, "reply"
    )
    with dspy.context(lm=model):
        for _ in range(2):
            with pytest.raises(ConnectionError):
                Threads(graph, journal).turn("t", message="first")
        assert engine(model).calls == 1  # the same message again: the answer is there
        is_down = False
        assert Threads(graph, journal).turn("t", message="another").sent == "two"
        assert [m["message"] for m in Threads(graph, journal).look("t").messages] == ["another"]


def test_outputs_are_carried_and_turns_are_limited(journal: Journal) -> None:
    def find(message: str, history: Any, claim: str = "none") -> dict[str, Any]:
        found = message if message.startswith("CLM") else claim
        return {"claim": found, "seen": len(history.messages)}

    graph = Graph({"find": find}, {"find": END}, "find", outputs=["claim", "seen"])
    threads = Threads(graph, journal, carry=("claim",), remember=("message",), most=2)
    found = [threads.turn("t", message=text) for text in ("hi", "CLM-1", "and?", "thanks")]
    assert [one.claim for one in found] == ["none", "CLM-1", "CLM-1", "CLM-1"]
    assert [one.seen for one in found] == [0, 1, 2, 2]
    assert threads.history("t").messages == [{"message": "and?"}, {"message": "thanks"}]
    assert threads.turn("t", message="other", claim="CLM-2").claim == "CLM-2"


def test_any_module_can_be_talked_to(journal: Journal) -> None:
    with dspy.context(lm=lm("one", "two")):
        threads = Threads(dspy.Predict(Reply), journal)
        assert threads.turn("t", message="a").answer == "one"
        assert asyncio.run(threads.aturn("t", message="b")).answer == "two"
        plain = Threads(dspy.Predict("message -> answer"), journal)
        assert plain.turn("v", message="a").answer == "two"
    assert len(threads.look("t").messages) == 2

    class Hidden(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.graph = Graph({"approve": approve}, {"approve": END}, "approve")

        def forward(self, answer: str) -> Any:
            return self.graph(answer=answer)

    with pytest.raises(ProgramError, match="a program that pauses must be the graph itself"):
        Threads(Hidden(), journal).turn("w", answer="a")


def test_a_thread_is_answered_by_one_at_a_time(tmp_path: Path) -> None:
    threads = Threads(desk(), open_journal(tmp_path / "threads.db"))
    release = threads.journal.claim("thread-t")
    with pytest.raises(JournalError, match="is being worked on"):
        threads.turn("t", message="a")
    release()
