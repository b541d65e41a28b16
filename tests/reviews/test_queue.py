"""The queue, in SQLite and in a real Postgres: one wins, leases end, answers stay."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import dspy
import pytest

from compilm.clock import ManualClock
from compilm.datasets import load
from compilm.errors import JournalError, ReviewTaken, UsageError
from compilm.reviews import Review, Reviews

from .conftest import Opened


def test_what_is_asked_is_kept_with_all_that_helps_to_answer_it(
    reviews: Reviews, opened: Opened
) -> None:
    asked = reviews.ask(
        "May this be sent?", within=60.0, reason="a refund", program="mail", run="m-1",
        node="approve", fields=("approved",), draft={"text": "Dear Žofie, …"},
        details={"sum": 12.5}, inputs={"message": "hi"}, fallback={"approved": False},
    )  # fmt: skip
    assert opened().get(asked.id) == asked
    assert asked == Review(
        "r1", "May this be sent?", "a refund", "mail", "m-1", "approve", ("approved",),
        {"text": "Dear Žofie, …"}, {"sum": 12.5}, {"message": "hi"}, 1000.0, 1060.0,
        {"approved": False},
    )  # fmt: skip


def test_the_same_id_is_asked_once(reviews: Reviews) -> None:
    first = reviews.ask("One?", id="x")
    assert reviews.ask("Another?", id="x") == first
    assert len(reviews.list()) == 1


def test_statuses_are_listed_as_they_are_now(reviews: Reviews, clock: ManualClock) -> None:
    for question in ("a", "b", "c", "d"):
        reviews.ask(question, within=10.0 if question == "d" else None)
        clock.advance(1.0)
    reviews.claim("r2", by="ana", lease=30.0)
    reviews.answer("r3", by="ana", answer={"x": 1})
    clock.advance(10.0)
    reviews.expire()

    def listed(status: str | None) -> list[str]:
        return [each.question for each in reviews.list(status)]  # type: ignore[arg-type]

    assert [listed(s) for s in ("open", "claimed", "answered", "expired", None)] == [
        ["a"], ["b"], ["c"], ["d"], ["a", "b", "c", "d"]
    ]  # fmt: skip
    clock.advance(30.0)
    assert listed("open") == ["a", "b"]
    assert reviews.get("r2").status_at(clock.wall()) == "open"


def test_a_claim_keeps_others_out_until_its_lease_is_over(
    opened: Opened, clock: ManualClock
) -> None:
    ana, ben = opened(), opened()
    asked = ana.ask("?")
    ana.claim(asked.id, by="ana", lease=60.0)
    with pytest.raises(ReviewTaken, match="claimed by ana for 60 s more") as refused:
        ben.claim(asked.id, by="ben")
    assert refused.value.retry_after == 60.0
    with pytest.raises(ReviewTaken, match="claimed by ana"):
        ben.answer(asked.id, by="ben", answer={"x": 1})
    assert ben.claim(by="ben") is None
    clock.advance(50.0)
    ana.claim(asked.id, by="ana", lease=60.0)  # goes on
    clock.advance(50.0)
    assert ben.claim(by="ben") is None
    clock.advance(11.0)
    taken = ben.claim(by="ben")
    assert taken is not None
    assert taken.claimed_by == "ben"
    with pytest.raises(ReviewTaken):
        ana.answer(asked.id, by="ana", answer={"x": 1})
    ben.release(asked.id, by="ben")
    assert ana.answer(asked.id, by="ana", answer={"x": 1}).answered_by == "ana"


def test_the_oldest_is_claimed_first(reviews: Reviews, clock: ManualClock) -> None:
    for question in ("first", "second"):
        reviews.ask(question)
        clock.advance(1.0)
    claimed = [reviews.claim(by=who) for who in ("ana", "ben", "eve")]
    assert [each and each.question for each in claimed] == ["first", "second", None]


def test_of_many_who_claim_at_one_time_each_review_has_one(opened: Opened) -> None:
    queue = opened()
    for number in range(40):
        queue.ask(f"question {number}")
    workers = [opened() for _ in range(8)]
    barrier, won = threading.Barrier(8), [list[str]() for _ in range(8)]

    def work(place: int) -> None:
        barrier.wait()
        while (taken := workers[place].claim(by=f"w{place}", lease=1000.0)) is not None:
            won[place].append(taken.id)

    threads = [threading.Thread(target=work, args=(place,)) for place in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counts = Counter(id for each in won for id in each)
    assert set(counts.values()) == {1}
    assert len(counts) == 40


def test_of_many_who_claim_or_answer_one_review_one_wins(opened: Opened) -> None:
    queue = opened()
    workers = [opened() for _ in range(8)]
    for round in range(10):
        asked = queue.ask(f"round {round}")
        barrier, won = threading.Barrier(8), list[int]()

        def work(place: int, id: str = asked.id, barrier: threading.Barrier = barrier,
                 won: list[int] = won) -> None:  # fmt: skip
            barrier.wait()
            try:
                if place % 2:
                    workers[place].answer(id, by=f"w{place}", answer={"by": place})
                else:
                    workers[place].claim(id, by=f"w{place}", lease=1000.0)
            except ReviewTaken:
                return
            won.append(place)

        threads = [threading.Thread(target=work, args=(place,)) for place in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1, won


def test_two_processes_never_claim_one_review(tmp_path: Path) -> None:
    place = tmp_path / "reviews.db"
    queue = Reviews(place)
    for number in range(60):
        queue.ask(f"question {number}")
    code = (
        "import sys\n"
        "from compilm.reviews import Reviews\n"
        "queue = Reviews(sys.argv[1])\n"
        "while (taken := queue.claim(by=sys.argv[2])) is not None:\n"
        "    print(taken.id)\n"
    )
    asked = [sys.executable, "-c", code, str(place)]
    running = [
        subprocess.Popen([*asked, who], stdout=subprocess.PIPE, text=True) for who in ("a", "b")
    ]
    told = [process.communicate()[0].split() for process in running]
    assert len(told[0]) + len(told[1]) == 60
    assert not set(told[0]) & set(told[1])


def test_the_same_answer_again_is_no_error_and_another_is(reviews: Reviews) -> None:
    asked = reviews.ask("?", fields=("x",))
    first = reviews.answer(asked.id, by="ana", answer={"x": 1})
    assert reviews.answer(asked.id, by="ana", answer={"x": 1}) == first
    for by, x in (("ana", 2), ("ben", 1)):
        with pytest.raises(ReviewTaken, match="answered by ana"):
            reviews.answer(asked.id, by=by, answer={"x": x})


def test_an_answer_has_the_fields_that_were_asked_for(reviews: Reviews) -> None:
    asked = reviews.ask("?", fields=("x", "y"))
    for answer in ({}, {"x": 1}, {"x": 1, "y": 2, "z": 3}):
        with pytest.raises(UsageError, match="is answered by x, y"):
            reviews.answer(asked.id, by="ana", answer=answer)
    with pytest.raises(UsageError, match="say who it is"):
        reviews.answer(asked.id, by=" ", answer={"x": 1, "y": 2})


def test_what_is_overdue_ends_with_its_fallback_unless_somebody_is_at_it(
    reviews: Reviews, clock: ManualClock
) -> None:
    reviews.ask("with", within=10.0, fallback={"x": 0}, fields=("x",))
    reviews.ask("without", within=10.0, fields=("x",))
    reviews.ask("in work", within=10.0, fallback={"x": 0}, fields=("x",))
    reviews.claim("r3", by="ana", lease=60.0)
    clock.advance(10.0)
    ended = reviews.expire()
    assert [(each.question, each.answer, each.answered_by) for each in ended] == [
        ("with", {"x": 0}, None), ("without", None, None)
    ]  # fmt: skip
    assert reviews.expire() == []
    with pytest.raises(ReviewTaken, match="r1 is expired"):
        reviews.answer("r1", by="ana", answer={"x": 1})
    # Nothing stands in for it, so a late answer is better than none.
    assert reviews.answer("r2", by="ana", answer={"x": 1}).status == "answered"
    assert reviews.answer("r3", by="ana", answer={"x": 1}).status == "answered"


def test_what_people_answered_becomes_rows_that_a_compile_reads(
    reviews: Reviews, clock: ManualClock, tmp_path: Path
) -> None:
    for number in range(3):
        reviews.ask("?", inputs={"question": f"{number}+1?\u2028"}, within=5.0,
                    fallback={"answer": "?"}, program="sums")  # fmt: skip
    reviews.ask("?", program="other", inputs={"question": "no"})
    reviews.answer("r1", by="ana", answer={"answer": "1"})
    reviews.answer("r2", by="ben", answer={"answer": "2"})
    reviews.answer("r4", by="ben", answer={"answer": "4"})
    clock.advance(5.0)
    reviews.expire()  # the third: nobody judged it, so it is no example
    assert reviews.export(tmp_path / "train.jsonl", program="sums") == 2
    lines = (tmp_path / "train.jsonl").read_text("utf-8").split("\n")[:-1]
    assert [json.loads(line) for line in lines] == [
        {"question": "0+1?\u2028", "answer": "1", "id": "r1"},
        {"question": "1+1?\u2028", "answer": "2", "id": "r2"},
    ]
    data = load(tmp_path / "train.jsonl", inputs=["question"], id="id")
    assert [(example.question, example.answer) for example in data] == [
        ("0+1?\u2028", "1"), ("1+1?\u2028", "2")
    ]  # fmt: skip
    assert isinstance(data[0], dspy.Example)


def test_the_beginning_of_an_id_is_enough_where_one_begins_so(reviews: Reviews) -> None:
    reviews.ask("?", id="abc1")
    reviews.ask("?", id="abd2")
    reviews.ask("?", id="abd")
    assert reviews.get("abc").id == "abc1"
    assert reviews.get("abd").id == "abd"
    for id, told in (("ab", "several reviews begin"), ("x", "no review begins"), ("", "no review")):
        with pytest.raises(UsageError, match=told):
            reviews.get(id)


def test_what_has_no_json_form_is_refused(reviews: Reviews) -> None:
    with pytest.raises(UsageError, match="a object has no JSON form"):
        reviews.ask("?", inputs={"x": object()})


def test_a_place_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x" * 4096)
    with pytest.raises(JournalError, match="name another file"):
        Reviews(tmp_path / "file")
    with pytest.raises(JournalError, match="does not answer"):
        Reviews(f"postgresql://nobody@/none?host={tmp_path}")


def test_any_text_and_no_nonsense_goes_into_the_queue(reviews: Reviews) -> None:
    """A model that stops in the middle of a character, and a caller who sends character 0."""
    asked = reviews.ask("Is \ud83d fine?\0", draft={"text": "\ud83d\0"}, fields=("ok",))
    assert reviews.get(asked.id).question == "Is ? fine?\ufffd"
    assert reviews.get(asked.id).draft == {"text": "\ud83d\0"}
    with pytest.raises(UsageError, match="no review begins"):
        reviews.get("\0\ud83d")
    for by in ("", "ana\x1b[2J", "\ud83d"):
        with pytest.raises(UsageError, match="say who it is"):
            reviews.claim(asked.id, by=by)
    for lease in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(UsageError, match="give seconds above 0"):
            reviews.claim(asked.id, by="ana", lease=lease)
    with pytest.raises(UsageError, match="give a number of seconds"):
        reviews.ask("?", within=float("nan"))
    with pytest.raises(UsageError, match="plain JSON"):
        reviews.answer(asked.id, by="ana", answer={"ok": object()})
    assert reviews.answer(asked.id, by="ana", answer={"ok": "\ud83d"}).answer == {"ok": "\ud83d"}
