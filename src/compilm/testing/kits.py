"""Kits: the tests that every member of a family must pass. Subclass one and give its fixture."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from ..errors import JournalError
from ..journal import Journal, Record

__all__ = ["JournalKit"]


class JournalKit:
    """What every journal must do. Override `journal` with a fixture that gives an empty one."""

    @pytest.fixture
    def journal(self) -> Journal:
        raise NotImplementedError("give an empty journal")

    def test_records_come_back_in_order_with_growing_places(self, journal: Journal) -> None:
        kept = [journal.append(_record(number)) for number in range(5)]
        assert list(journal.read()) == kept
        assert [r.seq for r in kept] == sorted({r.seq for r in kept})

    def test_reading_can_be_narrowed(self, journal: Journal) -> None:
        for number in range(6):
            journal.append(_record(number, run="ab"[number % 2], kind="xy"[number // 3]))
        numbers = [r.body["number"] for r in journal.read("a", kinds=["x"])]
        later = list(journal.read(after=next(iter(journal.read())).seq))
        assert (numbers, len(later)) == ([0, 2], 5)

    def test_what_is_read_does_not_change_what_is_kept(self, journal: Journal) -> None:
        body: dict[str, Any] = {"list": [1]}
        journal.append(Record("k", 0.0, "r", body))
        body["list"].append(2)
        assert next(iter(journal.read())).body == {"list": [1]}

    def test_only_plain_json_is_taken(self, journal: Journal) -> None:
        with pytest.raises(JournalError, match="'k' record is not plain JSON"):
            journal.append(Record("k", 0.0, "r", {"value": float("nan")}))
        assert list(journal.read()) == []

    def test_a_watcher_hears_every_record_until_it_leaves(self, journal: Journal) -> None:
        heard: list[int] = []
        leave = journal.watch(lambda record: heard.append(record.body["number"]))
        journal.append(_record(1))
        leave()
        journal.append(_record(2))
        assert heard == [1]

    def test_a_failing_watcher_fails_nobody(self, journal: Journal) -> None:
        journal.watch(_raise)
        assert journal.append(_record(1)).body == {"number": 1}

    def test_many_threads_lose_nothing(self, journal: Journal) -> None:
        def work(start: int) -> None:
            for number in range(50):
                journal.append(_record(start + number))

        threads = [threading.Thread(target=work, args=(1000 * i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        numbers = sorted(record.body["number"] for record in journal.read())
        assert numbers == sorted(1000 * i + n for i in range(8) for n in range(50))

    def test_many_go_in_at_once_or_none(self, journal: Journal) -> None:
        journal.append(_record(0))
        journal.extend([_record(1), _record(2)])
        with pytest.raises(JournalError, match="'k' record is not plain JSON"):
            journal.extend([_record(3), Record("k", 0.0, "r", {"value": object()})])
        assert [record.body["number"] for record in journal.read()] == [0, 1, 2]
        assert len({record.seq for record in journal.read()}) == 3

    def test_the_last_ones_can_be_asked_for(self, journal: Journal) -> None:
        for number in range(6):
            journal.append(_record(number, kind="xy"[number % 2]))
        numbers = [record.body["number"] for record in journal.read(kinds=["x"], last=2)]
        assert numbers == [2, 4]
        assert len(list(journal.read(last=99))) == 6

    def test_only_the_oldest_of_a_kind_are_forgotten(self, journal: Journal) -> None:
        for number in range(8):
            journal.append(_record(number, kind="xy"[number % 2]))
        journal.forget("x", keep=2)
        journal.forget("y", keep=9)
        kept = [(record.kind, record.body["number"]) for record in journal.read()]
        assert kept == [("y", 1), ("y", 3), ("x", 4), ("y", 5), ("x", 6), ("y", 7)]
        assert journal.append(_record(8)).seq > max(r.seq for r in journal.read()) - 1

    def test_a_run_is_claimed_and_given_back(self, journal: Journal) -> None:
        journal.claim("r")()
        journal.claim("r")()

    def test_of_two_who_claim_a_run_one_gets_it(self, journal: Journal) -> None:
        release = journal.claim("r")
        journal.claim("another")()
        with pytest.raises(JournalError, match="'r' is being worked on"):
            journal.claim("r")
        release()
        journal.claim("r")()

    def test_half_a_character_comes_back_as_it_was(self, journal: Journal) -> None:
        journal.append(Record("k", 0.0, "r", {"cut": "caf\u00e9 \ud83d"}))
        assert [record.body["cut"] for record in journal.read()] == ["caf\u00e9 \ud83d"]

    def test_a_run_may_have_a_long_name(self, journal: Journal) -> None:
        journal.claim("\u00e9" * 200)()


def _record(number: int, *, run: str = "r", kind: str = "k") -> Record:
    return Record(kind, float(number), run, {"number": number})


def _raise(record: Record) -> None:
    assert record.seq
    raise RuntimeError("a watcher that fails")
