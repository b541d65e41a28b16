"""What goes wrong with one run or one answer stops no other, and leaves none without a way on."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from compilm.clock import ManualClock
from compilm.errors import ProgramError, UsageError
from compilm.graphs import END, Graph, Node, Pause, Runs
from compilm.journal import Journal, MemoryJournal
from compilm.reviews import Desk, Reviews, Waiting, asking

PLAIN = "May this be sent?"


def plain(draft: str, approved: bool | None = None) -> dict[str, Any]:
    """It asks without saying what an answer consists of, so the queue takes any."""
    if approved is None:
        raise Pause(PLAIN)
    if approved == "fail":
        raise ConnectionError("the mailbox is down")
    return {"sent": approved}


def graph_of(node: Any, name: str = "ask") -> Graph:
    return Graph({name: node}, {name: END}, name)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(start=1000.0)


@pytest.fixture
def reviews(clock: ManualClock) -> Reviews:
    return Reviews(":memory:", clock=clock)


def desk_over(reviews: Reviews, node: Any = plain, journal: Journal | None = None) -> Desk:
    return Desk(Runs(graph_of(node), journal or MemoryJournal(), name="mail"), reviews)


def asked(desk: Desk, run: str) -> str:
    waiting = desk.start(run, draft="x")
    assert isinstance(waiting, Waiting)
    return waiting.review.id


def test_an_answer_that_the_node_does_not_take_is_refused_and_the_review_stays_open(
    reviews: Reviews,
) -> None:
    desk = desk_over(reviews)
    id = asked(desk, "m-1")
    with pytest.raises(ProgramError, match="takes no answer called 'yes'"):
        desk.answer(id, by="ana", answer={"yes": True})
    assert reviews.get(id).status == "open"
    assert desk.answer(id, by="ana", answer={"approved": True}).sent is True  # type: ignore[union-attr]


def test_one_that_came_by_the_queue_alone_is_asked_again_and_holds_up_no_other(
    reviews: Reviews,
) -> None:
    desk = desk_over(reviews)
    bad, good = asked(desk, "m-1"), asked(desk, "m-2")
    reviews.answer(bad, by="ana", answer={"yes": True})
    reviews.answer(good, by="ben", answer={"approved": True})
    assert desk.settle() == ["m-2"]
    again = reviews.get(bad)
    assert (again.status, again.answer, again.claimed_by) == ("open", None, None)
    assert "takes no answer called 'yes'" in again.reason
    reviews.answer(bad, by="ana", answer={"approved": False})
    assert desk.settle() == ["m-1"]
    assert desk.runs.look("m-1").outputs == {"sent": False}


def test_a_run_that_fails_holds_up_no_other(
    reviews: Reviews, caplog: pytest.LogCaptureFixture
) -> None:
    desk = desk_over(reviews)
    down, fine = asked(desk, "m-1"), asked(desk, "m-2")
    reviews.answer(down, by="ana", answer={"approved": "fail"})
    reviews.answer(fine, by="ana", answer={"approved": True})
    with caplog.at_level(logging.WARNING):
        assert desk.settle() == ["m-2"]
    assert "run 'm-1' could not go on" in caplog.text
    assert [each.run for each in reviews.unresumed("mail")] == ["m-1"]  # and it is tried again


def test_a_run_that_another_worker_has_holds_up_no_other(reviews: Reviews) -> None:
    journal = MemoryJournal()
    desk = desk_over(reviews, journal=journal)
    for run in ("m-1", "m-2"):
        reviews.answer(asked(desk, run), by="ana", answer={"approved": True})
    release = journal.claim("m-1")
    assert desk.settle() == ["m-2"]
    release()
    assert desk.settle() == ["m-1"]


def test_a_question_that_comes_back_after_the_same_answer_is_asked_anew(reviews: Reviews) -> None:
    def number(draft: str, number: int | None = None) -> dict[str, Any]:
        if number is None or number < 0:
            raise asking("Which number?", fields=["number"])
        return {"given": number}

    desk = desk_over(reviews, number)
    id, seen = asked(desk, "m-1"), set[str]()
    for _ in range(4):
        seen.add(id)
        waiting = desk.answer(id, by="ana", answer={"number": -1})
        assert isinstance(waiting, Waiting)
        assert waiting.review.status == "open"
        id = waiting.review.id
    assert len(seen) == 4
    assert desk.answer(id, by="ana", answer={"number": 7}).given == 7  # type: ignore[union-attr]


def test_whether_an_effect_happened_is_asked_until_it_is_answered(reviews: Reviews) -> None:
    class Killed(BaseException):
        pass

    def pay(draft: str) -> dict[str, Any]:
        raise Killed

    journal = MemoryJournal()
    desk = desk_over(reviews, Node(pay, effect=True), journal)
    with pytest.raises(Killed):
        desk.start("m-1", draft="x")
    id = asked(desk, "m-1")
    reviews.answer(id, by="ana", answer={"happened": "yes"})  # by the queue alone
    assert desk.settle() == []
    desk.answer(id, by="ana", answer={"happened": True, "wrote": {"receipt": "seen"}})
    assert desk.runs.look("m-1").outputs == {"receipt": "seen"}


def test_a_fallback_that_is_no_answer_is_told_where_it_is_written() -> None:
    with pytest.raises(UsageError, match="the fallback gives ok, and an answer consists of approv"):
        asking("May this be sent?", fields=["approved"], fallback={"ok": True})
    with pytest.raises(UsageError, match="fields is a list of names"):
        asking("May this be sent?", fields="approved")


def test_an_overdue_fallback_that_the_node_does_not_take_leaves_a_question_to_people(
    reviews: Reviews, clock: ManualClock
) -> None:
    def old(draft: str, approved: bool | None = None) -> dict[str, Any]:
        if approved is None:
            raise Pause(PLAIN, fallback={"yes": True}, within=10.0)
        return {"sent": approved}

    desk = desk_over(reviews, old)
    id = asked(desk, "m-1")
    clock.advance(10.0)
    assert desk.settle() == desk.settle() == []
    assert (reviews.get(id).status, reviews.get(id).fallback) == ("open", None)
    assert desk.answer(id, by="ana", answer={"approved": True}).sent is True  # type: ignore[union-attr]
