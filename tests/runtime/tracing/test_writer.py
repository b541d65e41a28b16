"""The writer keeps up or drops and counts; a journal that fails or hangs fails no call."""

from __future__ import annotations

import gc
import logging
import os
import signal
import stat
import threading
from pathlib import Path
from typing import Any

import dspy
import pytest
from dspy import lm15
from tests.runtime.tracing.desk import Desk, Kept, artifact_of

from compilm.errors import JournalError
from compilm.journal import MemoryJournal, Record, SqliteJournal
from compilm.runtime.load import load
from compilm.runtime.tracing import Trace, Tracer, live, writer
from compilm.testing.engines import scripted_lm


class Held(MemoryJournal):
    """A journal that writes only when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.let = threading.Event(), threading.Event()

    def extend(self, records: Any) -> None:
        self.asked.set()
        self.let.wait()
        super().extend(records)


class Full(MemoryJournal):
    """A journal on a disk without room."""

    def extend(self, records: Any) -> None:
        raise JournalError("disk is full, and here is a secret")


def call(kept: Kept, times: int = 1) -> None:
    for _ in range(times):
        assert kept.runtime(question="2+2?").answer == "4"


def test_a_journal_that_hangs_delays_no_call_and_what_has_no_room_is_counted() -> None:
    journal = Held()
    kept = Kept(journal=journal, waiting=4)
    call(kept)
    kept.tracer._writer._hurry.set()
    journal.asked.wait()  # the writer is in the journal now, and stays there
    call(kept, 10)
    assert kept.tracer.counts.dropped == 6
    journal.let.set()
    assert len(kept.traces()) == 5
    assert kept.tracer.counts.written == 5


def test_closing_does_not_wait_for_ever(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(writer, "_PATIENCE", 0.0)
    journal = Held()
    kept = Kept(journal=journal)
    call(kept)
    kept.tracer.close()
    assert "does not answer" in caplog.text
    journal.let.set()


def test_a_journal_that_cannot_be_written_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    kept = Kept(journal=Full())
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            call(kept)
            assert kept.tracer.flush()
    assert kept.tracer.counts.failed == 3
    assert caplog.text.count("cannot be written (JournalError)") == 1
    assert "secret" not in caplog.text


def test_one_that_has_no_json_form_takes_no_other_with_it(tmp_path: Path) -> None:
    class Odd(Desk):
        def forward(self, question: str) -> dspy.Prediction:
            half = "half of a character: \ud800" if question == "odd" else ""
            return dspy.Prediction(answer=half or super().forward(question).answer)

    kept = Kept(Odd, journal=SqliteJournal(tmp_path / "traces.db"))
    call(kept)
    kept.runtime(question="odd")
    call(kept)
    assert len(kept.traces()) == 2
    assert (kept.tracer.counts.written, kept.tracer.counts.failed) == (2, 1)


def test_the_journal_holds_the_last_ones_only() -> None:
    kept = Kept(most=20)
    kept.journal.append(Record("run.started", 0.0, "r", {}))
    for _ in range(7):
        call(kept, 10)
        assert kept.tracer.flush()
    assert 20 <= len(kept.traces()) <= 22
    assert len(list(kept.journal.read(kinds=["run.started"]))) == 1


def test_a_file_is_for_its_owner_alone_and_whole_after_closing(tmp_path: Path) -> None:
    path = tmp_path / "new" / "traces.db"
    with Tracer.at(path, keeps="texts") as tracer:
        runtime = load(
            artifact_of(Desk()),
            Desk(),
            roles={"default": scripted_lm([{"reasoning": "r", "answer": "4", "verdict": "v"}])},
            tracer=tracer,
        )
        runtime(question="2+2?")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    (record,) = SqliteJournal(path).read()
    assert Trace.of(record).root.texts["outputs"] == {"answer": "4", "verdict": "v"}


def test_what_cannot_be_opened_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(JournalError, match="cannot open the journal"):
        Tracer.at(tmp_path / "file" / "traces.db")
    with pytest.raises(JournalError, match="is not a journal"):
        (tmp_path / "other").write_text("hello " * 1000)
        Tracer.at(tmp_path / "other")


@pytest.mark.parametrize("waiting", [1024, 1], ids=["written", "dropped"])
def test_what_was_said_is_let_go_once_it_is_written_or_dropped(waiting: int) -> None:
    def held() -> int:
        spans = (one for one in gc.get_objects() if isinstance(one, live.LiveSpan))
        return sum(span.request is not None for span in spans)

    kept = Kept(keeps="numbers", waiting=waiting)
    gc.collect()
    gc.disable()  # none of it waits for a collection
    try:
        before = held()
        call(kept, 3)
        assert kept.tracer.flush()
        assert held() == before
    finally:
        gc.enable()


def test_a_call_that_outlives_its_program_tells_nobody_and_goes_on() -> None:
    left: list[Any] = []

    class Leaves(Desk):
        def forward(self, question: str) -> dspy.Prediction:
            trace = live.current()
            assert trace is not None
            left.append((trace, trace.call(lm15.Request("m", (lm15.Message.user("hi"),)))))
            return super().forward(question)

    kept = Kept(Leaves)
    call(kept)
    (found,) = kept.traces()
    assert [one.values.get("unfinished") for one in found.calls] == [True, None, None]
    trace, late = left[0]
    late.note("late", {})
    late.attempted("m", 0.0, lm15.ServerError("late"))
    late.end()
    trace.call(late.request).end()
    assert len(kept.traces()[0].spans) == len(found.spans)


def test_where_no_thread_can_be_had_calls_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_: Any) -> None:
        raise RuntimeError("can't start new thread")

    kept = Kept()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        call(kept, 2)
    call(kept)
    assert len(kept.traces()) == 3


class Spiteful:
    """A value that cannot be looked at."""

    @property
    def toDict(self) -> Any:
        raise ValueError("no")


def test_values_that_cannot_be_written_fail_no_call() -> None:
    class Odd(Desk):
        def forward(self, question: Any) -> dspy.Prediction:
            found = super().forward("2+2?")
            own: list[Any] = []
            own.append(own)
            return dspy.Prediction(answer=found.answer, odd=Spiteful(), own=own)

    kept = Kept(Odd)
    assert kept.runtime(question=Spiteful()).answer == "4"
    assert kept.tracer.flush()
    assert kept.tracer.counts.written + kept.tracer.counts.failed == 1


def test_a_tracer_that_is_dropped_writes_what_it_had() -> None:
    kept = Kept()
    call(kept)
    journal = kept.journal
    finish = kept.tracer._finish
    del kept.tracer
    object.__setattr__(kept.runtime, "tracer", None)
    assert not finish.alive
    assert len(list(journal.read())) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_has_a_writer_of_its_own() -> None:
    kept = Kept(rng=None)
    call(kept)
    assert kept.tracer.flush()
    ours, theirs = os.pipe()
    child = os.fork()
    if not child:  # pragma: no cover - in the other process
        call(kept)
        ok = kept.tracer.flush() and len(list(kept.journal.read())) == 2
        os.write(theirs, list(kept.journal.read())[-1].run.encode())
        os._exit(0 if ok else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    call(kept)
    assert kept.traces()[-1].id != os.read(ours, 32).decode()  # nor do they draw the same ids
    os.close(ours)
    os.close(theirs)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_what_waits_when_a_process_forks_is_written_once(tmp_path: Path) -> None:
    """By the parent; and the child writes its own by a connection of its own."""
    kept = Kept(journal=SqliteJournal(tmp_path / "traces.db"), rng=None)
    call(kept, 2)  # they are gathered for a second
    child = os.fork()
    if not child:  # pragma: no cover - in the other process
        call(kept)
        os._exit(0 if kept.tracer.flush() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert kept.tracer.flush()
    assert len({record.run for record in kept.journal.read()}) == 3
    assert len(list(kept.journal.read())) == 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_process_that_is_forked_while_a_call_is_admitted_goes_on() -> None:
    kept = Kept(journal=MemoryJournal(), rate=100.0, rng=None)
    with kept.tracer._writer._lock:  # as another thread would, at that instant
        child = os.fork()
    if not child:  # pragma: no cover - in the other process
        signal.alarm(20)  # what hangs ends
        kept.tracer._writer._lock.acquire(blocking=False)
        call(kept)
        os._exit(0 if kept.tracer.flush() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_where_no_thread_can_be_had_closing_says_what_is_lost(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def start(_: Any) -> None:
        raise RuntimeError("can't start new thread")

    kept = Kept()
    monkeypatch.setattr(threading.Thread, "start", start)
    call(kept)
    kept.tracer.close()
    assert "the last ones are lost" in caplog.text


def test_a_record_of_another_form_is_told() -> None:
    with pytest.raises(JournalError, match=r"trace 3f is damaged \(KeyError: 'spans'\)"):
        Trace.of(Record("trace", 0.0, "3f", {"format": 1}))
