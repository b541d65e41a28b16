"""The display of a run while it goes on: a live panel, plain lines, or one cell of a notebook.

It watches the journal and nothing else, and whatever goes wrong here is logged and forgotten: a
display never fails a run.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Literal, Protocol, TextIO

from .clock import SYSTEM_CLOCK, Clock
from .journal import Journal, Record
from .views import sentences
from .views.story import Reader, Story
from .views.summary import live_html, summary_html

__all__ = ["Mode", "Watch", "watch"]

Mode = Literal["auto", "live", "plain", "notebook", "none"]

_log = logging.getLogger(__name__)
_SHOWN = {"run.started", "resumed", "decision", "confirmed", "note", "run.finished"}
_INTERRUPTED = (
    "interrupted: the calls under way may end, then what was found, if anything, is written; "
    "Ctrl-C again stops at once"
)
_PER_SECOND = {"live": 8.0, "notebook": 2.0}


class Display(Protocol):
    """Something that shows a story as it grows."""

    def show(self, story: Story, kind: str) -> None:
        """Show the story, of which a record of this kind is the last."""
        ...

    def say(self, text: str) -> None:
        """Show a sentence that no record tells."""
        ...

    def close(self, story: Story | None) -> None:
        """Show the end, and let go of the screen."""
        ...


def watch(
    journal: Journal,
    run: str,
    mode: Mode = "auto",
    stream: TextIO | None = None,
    *,
    clock: Clock = SYSTEM_CLOCK,
) -> Watch:
    """A display of `run`, which its `close()` or the end of its `with` block takes down.

    mode: `live` is a panel on a terminal; `plain` a line for each decision; `notebook` one output
    that is updated twice a second at most; `none` nothing; `auto` is `notebook` under an IPython
    kernel, `live` where `stream` (else stderr) is a terminal, and `plain` elsewhere, under `CI`,
    and where `NO_COLOR` or a dumb terminal asks for it.

    >>> from compilm.journal import MemoryJournal
    >>> journal = MemoryJournal()
    >>> with watch(journal, "r1", "plain", sys.stdout):
    ...     _ = journal.append(Record("note", 0.0, "r1", {"text": "hello"}))
    note  hello
    """
    stream = sys.stderr if stream is None else stream
    chosen = _chosen(stream) if mode == "auto" else mode
    return Watch(journal, run, _display(chosen, stream), clock, _PER_SECOND.get(chosen))


class Watch:
    """One display on one run. Safe under threads: records come from wherever calls are made."""

    def __init__(
        self,
        journal: Journal,
        run: str,
        display: Display | None,
        clock: Clock,
        per_second: float | None = None,
    ) -> None:
        self._run, self._display, self._clock = run, display, clock
        self._pause = 1.0 / per_second if per_second else None
        self._next = float("-inf")
        self._reader = Reader()
        self._seen = 0
        self._lock = threading.Lock()  # protects the reader, the display, _next and _seen
        self._end: Callable[[], None] | None = None
        self._saying: threading.Thread | None = None
        if display is not None:
            # Watching first and catching up second leaves no gap; `_seen` keeps records single.
            with self._lock:
                self._end = journal.watch(self._take)
                self._catch_up(journal)

    def _catch_up(self, journal: Journal) -> None:
        try:
            for record in journal.read(self._run):
                self._reader.take(record)
                self._seen = record.seq
            if self._seen:
                self._show("resumed")
        except Exception:  # border: a display never fails a run
            _log.warning("the progress display cannot read the journal", exc_info=True)

    def _take(self, record: Record) -> None:
        if record.run != self._run:
            return
        with self._lock:
            if self._display is None or record.seq <= self._seen:
                return
            self._reader.take(record)
            self._show(record.kind)

    def _show(self, kind: str) -> None:
        """The story on the display, unless it was shown a moment ago."""
        assert self._display is not None
        now = self._clock.now()
        if self._pause is None:
            if kind not in _SHOWN:
                return
        elif now < self._next:
            return
        else:
            self._next = now + self._pause
        try:
            self._display.show(self._reader.story(), kind)
        except Exception:  # border: a display never fails a run
            _log.warning("the progress display failed and was taken down", exc_info=True)
            self._display = None

    def interrupted(self) -> None:
        """Tell that the first Ctrl-C was heard, and what a second one does.

        Safe in a signal's handler: the main thread may hold the lock or be writing just then, so
        another thread waits for it.
        """
        self._saying = threading.Thread(target=self._say, args=(_INTERRUPTED,), daemon=True)
        self._saying.start()

    def _say(self, text: str) -> None:
        with self._lock:
            if self._display is not None:
                try:
                    self._display.say(text)
                except Exception:  # border: a display never fails a run
                    _log.warning("the progress display cannot tell: %s", text, exc_info=True)

    def close(self) -> None:
        """Show the end and stop watching; a second time does nothing."""
        if self._saying is not None:
            self._saying.join()
        with self._lock:
            end, display = self._end, self._display
            self._end = self._display = None
            if end is not None:
                end()
            if display is not None:
                try:
                    display.close(self._reader.story() if self._reader.started else None)
                except Exception:  # border: a display never fails a run
                    _log.warning("the progress display could not be closed", exc_info=True)

    def __enter__(self) -> Watch:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _chosen(stream: TextIO) -> Mode:
    if _in_kernel():
        return "notebook"
    quiet = os.environ.get("CI") or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return "live" if stream.isatty() and not quiet else "plain"


def _in_kernel() -> bool:
    """Whether this process is a notebook's kernel; IPython is not imported to find out."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None


def _display(mode: Mode, stream: TextIO) -> Display | None:
    if mode == "none":
        return None
    try:
        if mode == "live":
            return _Live(stream)
        if mode == "notebook":
            return _Notebook()
    except Exception:  # border: a display never fails a run
        _log.warning("no %s display here; showing plain lines", mode, exc_info=True)
    return _Plain(stream)


class _Plain:
    """A line for the start, each decision, the confirmation, each note and the end."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._color = stream.isatty() and not (os.environ.get("CI") or os.environ.get("NO_COLOR"))

    def show(self, story: Story, kind: str) -> None:
        line = _line(story, kind)
        self._stream.write((_painted(line, kind, story) if self._color else line) + "\n")
        self._stream.flush()

    def say(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()

    def close(self, story: Story | None) -> None:
        """Every line stands already."""


def _line(story: Story, kind: str) -> str:
    if kind == "run.started":
        return f"run   {story.run}  {story.name}  budget: {sentences.budget_text(story.budget)}"
    if kind == "resumed" and not story.finished:
        return f"run   {story.run}  goes on after {sentences.spending(story.spent)}"
    if kind == "decision":
        return sentences.decision_line(story, story.decisions[-1])
    if kind == "confirmed" and story.confirmed is not None:
        gain = sentences.interval(story.confirmed.gain, difference=True)
        return f"held out  {story.confirmed.candidate} gains {gain}"
    if kind == "note":
        return f"note  {story.notes[-1]}"
    return f"{sentences.headline(story)}: {sentences.finding(story)}"


def _painted(line: str, kind: str, story: Story) -> str:
    won = kind == "decision" and story.decisions[-1].outcome == "won"
    return f"\x1b[32m{line}\x1b[0m" if won or story.verdict == "proven" else line


class _Live:
    """A panel at the bottom of a terminal."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.live import Live

        # What others write to stderr meanwhile goes above the panel instead of through it.
        self._live = Live(
            console=Console(file=stream),
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=stream is sys.stderr,
        )
        self._live.start()

    def show(self, story: Story, kind: str) -> None:  # noqa: ARG002 - every kind is shown alike
        self._live.update(_panel(story), refresh=True)

    def say(self, text: str) -> None:
        self._live.console.print(text, markup=False, highlight=False)

    def close(self, story: Story | None) -> None:
        if story is not None:
            self._live.update(_panel(story), refresh=True)
        self._live.stop()


def _panel(story: Story) -> Any:
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="dim", no_wrap=True)
    rows.add_column()
    for name, words in _facts(story):
        rows.add_row(name, Text(words))
    title = Text.assemble((story.name or story.run, "bold"), "  ", (sentences.phase(story), "cyan"))
    gone = sentences.tightest(story.budget, story.spent)
    if gone is None:
        return Group(title, rows)
    bar = Table.grid(padding=(0, 1))
    share = f"{gone[1]:.0%} of the {gone[0]}"
    bar.add_row(ProgressBar(total=1.0, completed=gone[1], width=40), Text(share))
    return Group(title, bar, rows)


def _facts(story: Story) -> list[tuple[str, str]]:
    best = f"{story.challenger}  val {sentences.interval(story.best_score)}"
    facts = [
        ("candidates", f"{max(0, len(story.candidates) - 1):,}"),
        ("best", best if story.decisions else "not measured yet"),
        ("spent", sentences.spending(story.spent)),
    ]
    won = [row for row in story.decisions if row.outcome == "won"]
    if won:
        facts.append(("accepted", sentences.accepted(story, won[-1])))
    if story.failures:
        facts.append(("failed", ", ".join(f"{n} × {name}" for name, n in story.failures.items())))
    return facts


class _Notebook:
    """One output of a cell, updated in place, from whatever thread."""

    def __init__(self) -> None:
        from IPython.display import HTML, display

        self._html = HTML
        self._handle: Any = display(HTML(""), display_id=True)

    def show(self, story: Story, kind: str) -> None:  # noqa: ARG002 - every kind is shown alike
        self._handle.update(self._html(live_html(story)))

    def say(self, text: str) -> None:
        """Nothing: the front end shows that the cell was interrupted."""

    def close(self, story: Story | None) -> None:
        if story is not None:
            shown = summary_html(story) if story.finished else live_html(story)
            self._handle.update(self._html(shown))
