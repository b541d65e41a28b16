"""The desk: a pause becomes a review, an answer takes the run on; a kill between loses nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import dspy
import pytest

from compilm.clock import ManualClock
from compilm.confidence import Confidence, Escalate, Stated
from compilm.errors import ProgramError, ReviewTaken
from compilm.graphs import END, Graph, Pause
from compilm.graphs.runs import Runs
from compilm.guardrails import Redacted
from compilm.journal import Journal, MemoryJournal, open_journal
from compilm.reviews import AskPerson, Desk, Reviews, Waiting, asking
from compilm.testing.engines import scripted_lm


def approve(draft: str, approved: bool | None = None) -> dict[str, Any]:
    if approved is None:
        raise asking("May this be sent?", fields=["approved"], reason="a refund",
                     draft={"text": draft}, fallback={"approved": False}, within=60.0,
                     sum=12.5)  # fmt: skip
    return {"sent": approved}


def desk_over(
    journal: Journal, reviews: Reviews, node: Any = approve, name: str = "mail", **more: Any
) -> Desk:
    return Desk(
        Runs(Graph({"ask": node}, {"ask": END}, "ask"), journal, name=name), reviews, **more
    )


@pytest.fixture
def reviews(clock: ManualClock) -> Reviews:
    return Reviews(":memory:", clock=clock)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(start=1000.0)


def test_a_pause_is_a_review_with_its_reason_and_an_answer_takes_the_run_on(
    reviews: Reviews,
) -> None:
    desk = desk_over(MemoryJournal(), reviews)
    waiting = desk.start("m-1", draft="Hello.")
    assert isinstance(waiting, Waiting)
    told = waiting.review
    assert (told.reason, told.draft, told.details) == (
        "a refund",
        {"text": "Hello."},
        {"sum": 12.5},
    )
    assert (told.program, told.run, told.node, told.fields) == ("mail", "m-1", "ask", ("approved",))
    assert (told.inputs, told.expires_at) == ({"draft": "Hello."}, 1060.0)
    given = desk.answer(told.id, by="ana", answer={"approved": True})
    assert isinstance(given, dspy.Prediction)
    assert given.sent is True
    assert reviews.get(told.id).resumed_at == 1000.0
    assert desk.settle() == []
    assert list(reviews.examples("mail")) == [{"draft": "Hello.", "approved": True, "id": told.id}]


def test_tasks_do_as_threads_do(reviews: Reviews) -> None:
    desk = desk_over(MemoryJournal(), reviews)
    waiting = asyncio.run(desk.astart("m-1", draft="Hello."))
    assert isinstance(waiting, Waiting)
    given = asyncio.run(desk.aanswer(waiting.review.id, by="ana", answer={"approved": True}))
    assert isinstance(given, dspy.Prediction)
    assert given.sent is True


def test_the_same_start_again_asks_the_same_review(reviews: Reviews) -> None:
    desk = desk_over(MemoryJournal(), reviews)
    first, again = (desk.start("m-1", draft="Hello.") for _ in range(2))
    assert first == again
    assert len(reviews.list()) == 1


def test_a_question_that_is_asked_again_is_another_review(reviews: Reviews) -> None:
    def twice(draft: str, number: int | None = None) -> dict[str, Any]:
        if number is None or number < 0:
            raise asking("Which number?", fields=["number"])
        return {"given": number}

    desk = desk_over(MemoryJournal(), reviews, twice)
    first = desk.start("m-1", draft="x")
    assert isinstance(first, Waiting)
    second = desk.answer(first.review.id, by="ana", answer={"number": -1})
    assert isinstance(second, Waiting)
    assert second.review.id != first.review.id
    given = desk.answer(second.review.id, by="ana", answer={"number": 7})
    assert isinstance(given, dspy.Prediction)
    assert given.given == 7


def test_what_was_answered_and_not_resumed_goes_on_when_it_is_settled(tmp_path: Path) -> None:
    """Killed after the answer was written, or after the run had gone on: both are settled once."""
    reviews = Reviews(tmp_path / "reviews.db")
    for run in ("m-1", "m-2"):
        waiting = desk_over(open_journal(tmp_path / "runs.db"), reviews).start(run, draft="x")
        assert isinstance(waiting, Waiting)
        reviews.answer(waiting.review.id, by="ana", answer={"approved": True})
    runs = desk_over(open_journal(tmp_path / "runs.db"), reviews).runs
    runs.resume("m-2", approved=True)  # and died before the queue was told
    fresh = desk_over(open_journal(tmp_path / "runs.db"), Reviews(tmp_path / "reviews.db"))
    assert sorted(fresh.settle()) == ["m-1", "m-2"]
    assert fresh.settle() == []
    assert [fresh.runs.look(run).outputs["sent"] for run in ("m-1", "m-2")] == [True, True]


def test_a_pause_that_no_review_asks_yet_is_asked_when_it_is_settled(reviews: Reviews) -> None:
    journal = MemoryJournal()
    desk = desk_over(journal, reviews)
    desk.runs.start("m-1", draft="x")  # and died before the queue was told
    desk.settle()
    assert [each.run for each in reviews.list("open")] == ["m-1"]


def test_the_fallback_takes_an_overdue_run_on_and_is_no_example(
    reviews: Reviews, clock: ManualClock
) -> None:
    desk = desk_over(MemoryJournal(), reviews)
    desk.start("m-1", draft="x")
    clock.advance(60.0)
    assert desk.settle() == ["m-1"]
    assert desk.runs.look("m-1").outputs == {"sent": False}
    assert list(reviews.examples()) == []


def test_of_two_who_answer_one_takes_the_run_on(reviews: Reviews) -> None:
    desk = desk_over(MemoryJournal(), reviews)
    waiting = desk.start("m-1", draft="x")
    assert isinstance(waiting, Waiting)
    desk.answer(waiting.review.id, by="ana", answer={"approved": True})
    with pytest.raises(ReviewTaken):
        desk.answer(waiting.review.id, by="ben", answer={"approved": False})
    assert desk.runs.look("m-1").outputs == {"sent": True}


def test_a_review_of_another_program_is_not_resumed_here(reviews: Reviews) -> None:
    journal = MemoryJournal()
    waiting = desk_over(journal, reviews, name="one").start("m-1", draft="x")
    assert isinstance(waiting, Waiting)
    with pytest.raises(ProgramError, match="is of 'one', and this desk is of 'two'"):
        desk_over(journal, reviews, name="two").answer(
            waiting.review.id, by="ana", answer={"approved": True}
        )
    assert reviews.get(waiting.review.id).status == "open"


def test_a_low_confidence_asks_a_person_and_says_so(reviews: Reviews) -> None:
    step = Escalate(
        {"cheap": dspy.Predict("question -> answer, confidence: float")},
        accept=Confidence(Stated("confidence"), at_least=0.8),
        person=AskPerson("What is right?", fields=("answer",)),
        answers=("answer",),
    )
    graph = Graph({"answer": step}, {"answer": END}, "answer")
    desk = Desk(Runs(graph, MemoryJournal()), reviews)
    with dspy.context(lm=scripted_lm([{"answer": "5", "confidence": "0.4"}])):
        waiting = desk.start("q-1", question="2+2?")
        assert isinstance(waiting, Waiting)
        given = desk.answer(waiting.review.id, by="ana", answer={"answer": "4"})
    assert waiting.review.reason == "cheap: 0.40 sure, 0.80 is asked"
    assert waiting.review.draft == {"answer": "5"}
    assert isinstance(given, dspy.Prediction)
    assert (given.answer, given.escalation["step"]) == ("4", "person")
    (row,) = reviews.examples()
    assert row == {"question": "2+2?", "answer": "4", "id": waiting.review.id}


class Private(dspy.Module):
    """Redacted around a predictor, then a person."""

    def __init__(self) -> None:
        super().__init__()
        self.answer = Redacted(dspy.Predict("question -> answer"))

    def forward(self, question: str, approved: bool | None = None) -> dspy.Prediction:
        if approved is None:
            draft = self.answer(question=question).answer
            raise asking("May this be sent to Ana Pratt?", fields=["approved"],
                         draft={"answer": draft})  # fmt: skip
        return dspy.Prediction(sent=approved)


@pytest.mark.parametrize("hide", ["default", None])
def test_a_redacted_run_stays_redacted_in_the_queue_unless_told_otherwise(
    tmp_path: Path, hide: str | None
) -> None:
    more = {} if hide else {"hide": None}
    reviews = Reviews(tmp_path / "reviews.db")
    desk = desk_over(MemoryJournal(), reviews, Private(), **more)
    lm = scripted_lm([{"answer": "Dear [NAME_1], yes."}])
    with dspy.context(lm=lm):
        waiting = desk.start("p-1", question="I am Ana Pratt. May I come?")
    assert isinstance(waiting, Waiting)
    shown = str(waiting.review.to_json())
    written = b"".join(each.read_bytes() for each in tmp_path.glob("reviews.db*"))
    assert ("Ana Pratt" in shown) == (hide is None)
    assert (b"Ana Pratt" in written) == (hide is None)
    if hide:
        assert waiting.review.draft == {"answer": "Dear [NAME_1], yes."}
        assert waiting.review.inputs == {"question": "I am [NAME_1]. May I come?"}
    given = desk.answer(waiting.review.id, by="ana", answer={"approved": True})
    assert isinstance(given, dspy.Prediction)
    assert given.sent is True


def test_runs_and_queue_in_one_postgres_go_on_on_another_machine(postgres_url: str) -> None:
    here = desk_over(open_journal(postgres_url), Reviews(postgres_url))
    waiting = here.start("m-1", draft="x")
    assert isinstance(waiting, Waiting)
    there = desk_over(open_journal(postgres_url), Reviews(postgres_url))
    there.reviews.answer(waiting.review.id, by="ana", answer={"approved": True})
    assert there.settle() == ["m-1"]
    assert here.settle() == []
    assert here.runs.look("m-1").outputs == {"sent": True}
    for desk in (here, there):
        desk.reviews.close()
        desk.runs.journal.close()


def test_an_answer_that_no_node_takes_keeps_no_other_run_from_going_on(reviews: Reviews) -> None:
    def ask(draft: str, approved: bool | None = None) -> dict[str, Any]:
        if approved is None:
            raise Pause("May this be sent?")
        return {"sent": approved}

    desk = desk_over(MemoryJournal(), reviews, ask)
    wrong, right = (desk.start(run, draft="Hello.") for run in ("m-1", "m-2"))
    assert isinstance(wrong, Waiting)
    assert isinstance(right, Waiting)
    reviews.answer(wrong.review.id, by="ana", answer={"aproved": True})
    reviews.answer(right.review.id, by="ana", answer={"approved": True})
    assert desk.settle() == ["m-2"]
    assert desk.runs.look("m-2").outputs["sent"] is True
    assert reviews.get(wrong.review.id).status == "open"
