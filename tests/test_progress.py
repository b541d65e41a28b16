"""The display of a run: what each mode shows, how often, and that it never fails a run."""

from __future__ import annotations

import io
import logging
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from tests.views import stories

from compilm.clock import ManualClock
from compilm.errors import JournalError
from compilm.journal import Journal, MemoryJournal, Record
from compilm.progress import Mode, Watch, watch
from compilm.views.story import Story


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _quiet_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CI", "NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)


def plain(tell: Any, stream: io.StringIO | None = None) -> str:
    """What `tell(journal)` leaves on a plain display."""
    journal, out = MemoryJournal(), stream or io.StringIO()
    with watch(journal, "r", "plain", out):
        tell(journal)
    return out.getvalue()


def test_plain_lines_tell_the_start_each_decision_notes_the_proof_and_the_end() -> None:
    lines = plain(lambda journal: stories.proven(journal, "r")).splitlines()
    assert lines[0] == "run   r  claims-desk  budget: 1,000 rollouts"
    assert [line.split()[0] for line in lines[1:]] == [
        "c0", "c1", "c2", "c3", "note", "c4", "c5", "c6", "held", "Proven",
    ]  # fmt: skip
    assert "+0.250 vs c0  p=0.98    won          204 calls  bootstrapped demos" in lines[4]
    assert lines[-2] == "held out  c4 gains +0.218 [+0.15, +0.29]"


def test_plain_lines_are_colored_only_on_a_terminal_that_wants_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def tell(journal: Journal) -> None:
        stories.unfinished(journal, "r")

    colored = plain(tell, Terminal()).splitlines()
    assert [line.startswith("\x1b[32m") for line in colored] == [False] * 4 + [True]
    assert "\x1b" not in plain(tell)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in plain(tell, Terminal())


def test_records_of_other_runs_are_not_shown() -> None:
    assert plain(lambda journal: stories.proven(journal, "other")) == ""


def test_nothing_is_shown_in_mode_none() -> None:
    journal, out = MemoryJournal(), io.StringIO()
    with watch(journal, "r", "none", out):
        stories.unfinished(journal, "r")
    assert out.getvalue() == ""


def test_a_run_that_goes_on_is_told_with_what_it_had_spent() -> None:
    journal, out = MemoryJournal(), io.StringIO()
    book = stories.Book(journal, "r")
    book.add("run.started", name="desk")
    book.call()
    with watch(journal, "r", "plain", out):
        book.add("note", text="on we go")
    first, second = out.getvalue().splitlines()
    assert first.startswith("run   r  goes on after 0 rollouts, 1 call, 228 tokens")
    assert second == "note  on we go"


def test_a_run_that_was_finished_before_is_told_with_its_verdict() -> None:
    out = io.StringIO()
    watch(stories.proven(run="r"), "r", "plain", out).close()
    assert out.getvalue().startswith("Proven better: ")


def test_after_the_end_nothing_is_shown_and_a_second_close_does_nothing() -> None:
    journal, out = MemoryJournal(), io.StringIO()
    display = watch(journal, "r", "plain", out)
    display.close()
    display.close()
    journal.append(Record("note", 0.0, "r", {"text": "late"}))
    assert out.getvalue() == ""


def test_the_default_stream_is_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    journal = MemoryJournal()
    with watch(journal, "r", "plain"):
        journal.append(Record("note", 0.0, "r", {"text": "hello"}))
    assert capsys.readouterr() == ("", "note  hello\n")


def test_a_live_panel_shows_phase_budget_best_and_the_last_change() -> None:
    out, clock = Terminal(), ManualClock()
    journal = MemoryJournal()
    with watch(journal, "r", "live", out, clock=clock):
        stories.unfinished(journal, "r")
    shown = out.getvalue()
    for words in ("claims-desk", "searching", "of the rollouts", "c3  val 0.688", "194 rollouts"):
        assert words in shown
    assert "c3, bootstrapped demos, +0.250 vs c0" in shown


def test_a_live_panel_without_a_budget_has_no_bar_and_says_what_failed() -> None:
    journal, out = MemoryJournal(), Terminal()
    book = stories.Book(journal, "r")
    with watch(journal, "r", "live", out):
        book.add("call.failed", error="LMTimeout")
    assert "1 × LMTimeout" in out.getvalue()
    assert "not measured yet" in out.getvalue()
    assert "of the" not in out.getvalue()


def test_a_live_panel_over_no_run_leaves_the_terminal_as_it_was() -> None:
    out = Terminal()
    watch(MemoryJournal(), "r", "live", out).close()
    assert "val" not in out.getvalue()


class Counting:
    """A display that counts."""

    def __init__(self) -> None:
        self.shown = 0
        self.closed: list[Story | None] = []

    def show(self, story: Story, kind: str) -> None:
        self.shown += 1

    def close(self, story: Story | None) -> None:
        self.closed.append(story)


def test_a_display_is_refreshed_no_more_often_than_it_asked_for() -> None:
    journal, clock, display = MemoryJournal(), ManualClock(), Counting()
    with Watch(journal, "r", display, clock, 2.0):
        for _ in range(100):  # 10 seconds, 10 records a second
            clock.advance(0.1)
            journal.append(Record("call.sent", clock.now(), "r", {}))
    assert 15 <= display.shown <= 20
    assert len(display.closed) == 1


def test_the_end_is_always_shown_whole() -> None:
    journal, display = MemoryJournal(), Counting()
    with Watch(journal, "r", display, ManualClock(), 2.0):
        stories.proven(journal, "r")
    assert display.shown == 1
    (story,) = display.closed
    assert story is not None
    assert story.finished


def test_records_from_many_threads_are_all_counted() -> None:
    journal, display = MemoryJournal(), Counting()
    with Watch(journal, "r", display, ManualClock(), 2.0):
        threads = [threading.Thread(target=_send, args=(journal,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    (story,) = display.closed
    assert story is not None
    assert story.spent.calls == 8 * 50


def _send(journal: Journal) -> None:
    for _ in range(50):
        journal.append(Record("call.sent", 0.0, "r", {}))


@pytest.mark.parametrize("mode", ["plain", "live"])
def test_an_interrupt_is_told_even_by_the_thread_that_is_showing_a_record(mode: Mode) -> None:
    journal, out = MemoryJournal(), Terminal()
    with watch(journal, "r", mode, out) as one:
        stories.unfinished(journal, "r")
        with one._lock:  # the handler of a signal runs on whatever thread is in here
            one.interrupted()
    assert "Ctrl-C again stops at once" in " ".join(out.getvalue().split())


def test_a_display_that_cannot_tell_of_an_interrupt_does_not_fail_the_run(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with (
        caplog.at_level(logging.WARNING),
        Watch(MemoryJournal(), "r", Broken(), ManualClock()) as one,
    ):
        one.interrupted()
    assert "cannot tell" in caplog.text


class Broken(Counting):
    """A display that fails at everything."""

    def show(self, story: Story, kind: str) -> None:
        super().show(story, kind)
        raise OSError("the terminal is gone")

    def say(self, text: str) -> None:
        raise OSError("the terminal is gone")

    def close(self, story: Story | None) -> None:
        raise OSError("the terminal is gone")


def test_a_display_that_fails_is_taken_down_and_the_run_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    journal, display = MemoryJournal(), Broken()
    with caplog.at_level(logging.WARNING), Watch(journal, "r", display, ManualClock()):
        stories.unfinished(journal, "r")
    assert display.shown == 1
    assert "taken down" in caplog.text
    assert len(list(journal.read("r"))) > 100


def test_a_display_that_cannot_close_does_not_fail_the_run(
    caplog: pytest.LogCaptureFixture,
) -> None:
    Watch(MemoryJournal(), "r", Broken(), ManualClock()).close()
    assert "could not be closed" in caplog.text


class Unreadable(MemoryJournal):
    """A journal that cannot be read."""

    def read(self, *args: Any, **kwargs: Any) -> Iterator[Record]:
        raise JournalError("the file is gone")


def test_a_journal_that_cannot_be_read_does_not_fail_the_run(
    caplog: pytest.LogCaptureFixture,
) -> None:
    out = io.StringIO()
    journal = Unreadable()
    with watch(journal, "r", "plain", out):
        journal.append(Record("note", 0.0, "r", {"text": "hello"}))
    assert "cannot read the journal" in caplog.text
    assert out.getvalue() == "note  hello\n"


@pytest.mark.parametrize(
    ("mode", "library"), [("live", "rich.live"), ("notebook", "IPython.display")]
)
def test_where_a_display_has_no_library_plain_lines_are_shown(
    mode: Mode, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    out = io.StringIO()
    journal = MemoryJournal()
    with watch(journal, "r", mode, out):
        journal.append(Record("note", 0.0, "r", {"text": "hello"}))
    assert out.getvalue() == "note  hello\n"


@pytest.mark.parametrize(
    ("name", "value", "live"),
    [("", "", True), ("CI", "true", False), ("NO_COLOR", "1", False), ("TERM", "dumb", False)],
)
def test_a_terminal_gets_the_panel_unless_the_environment_says_no(
    name: str, value: str, live: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name:
        monkeypatch.setenv(name, value)
    out = Terminal()
    with watch(stories.unfinished(run="r"), "r", "auto", out):
        pass
    assert ("goes on after" not in out.getvalue()) == live


def test_what_is_no_terminal_gets_plain_lines() -> None:
    out = io.StringIO()
    watch(stories.unfinished(run="r"), "r", "auto", out).close()
    assert "goes on after" in out.getvalue()


def test_a_notebook_over_no_run_shows_an_empty_output(capsys: pytest.CaptureFixture[str]) -> None:
    watch(MemoryJournal(), "r", "notebook").close()
    assert capsys.readouterr().out.count("HTML object") == 1


CELL = """
import threading
from compilm.journal import MemoryJournal
from compilm.progress import watch
from tests.views import stories

journal = MemoryJournal()
with watch(journal, "r"):
    worker = threading.Thread(target=stories.proven, args=(journal, "r"))
    worker.start()
    worker.join()
"""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning:jupyter_client")
@pytest.mark.filterwarnings("ignore::DeprecationWarning:zmq")
def test_a_notebook_gets_exactly_one_output_that_ends_with_the_result() -> None:
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": "."}}).execute()
    (output,) = notebook.cells[0].outputs
    assert output["output_type"] == "display_data"
    html = output["data"]["text/html"]
    assert "Proven better" in html
    assert html.count("<svg") == 2
