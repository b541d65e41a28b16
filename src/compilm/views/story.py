"""The story of one run: its records folded into one frozen value that every view reads.

A story may be of a run that is still going, was killed, or has only just begun: what is not known
is `None`, empty or 0, and `finished` says which case it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import JournalError
from ..journal import Record
from .rows import (
    CandidateRow,
    Confirmed,
    DataRow,
    DecisionRow,
    Interval,
    Pair,
    Prompt,
    RolloutRow,
    Spending,
    Usage,
)

__all__ = ["BASELINE", "Reader", "Story", "read_story"]

BASELINE = "c0"


@dataclass(frozen=True, slots=True)
class Story:
    """One run as its records tell it.

    `spent` is what the run says it has spent, or what its calls add up to while it goes on;
    `baseline` and `compiled` map a split to an interval or `None`; `failures` counts failed
    attempts by error class; `prompts` are those of the program as it was given.
    """

    run: str
    started: float = 0.0
    last: float = 0.0
    sessions: int = 0
    name: str = ""
    level: int | None = None
    optimizer: str | None = None
    seed: int = 0
    budget: Mapping[str, float | None] = field(default_factory=dict)
    program: Mapping[str, Any] = field(default_factory=dict)
    metric: Mapping[str, str] = field(default_factory=dict)
    data: tuple[DataRow, ...] = ()
    models: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    notice: str = ""
    split_note: str = ""
    prompts: Mapping[str, Prompt] = field(default_factory=dict)
    candidates: tuple[CandidateRow, ...] = ()
    decisions: tuple[DecisionRow, ...] = ()
    rollouts: tuple[RolloutRow, ...] = ()
    confirmed: Confirmed | None = None
    usage: tuple[Usage, ...] = ()
    failures: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    finished: bool = False
    verdict: str = ""
    shipped: str = ""
    gain: Interval | None = None
    baseline: Mapping[str, Interval | None] = field(default_factory=dict)
    compiled: Mapping[str, Interval | None] = field(default_factory=dict)
    spent: Spending = field(default_factory=Spending)
    lost_calls: int = 0
    stop: str = ""
    artifact: Mapping[str, Any] = field(default_factory=dict)

    @property
    def challenger(self) -> str:
        """The candidate that was held against the baseline in the end; while it runs, the best."""
        if self.confirmed is not None:
            return self.confirmed.candidate
        if self.decisions:
            return self.decisions[-1].best
        return self.shipped or BASELINE

    @property
    def best_score(self) -> Interval | None:
        """The validation score of the best candidate so far."""
        return self.decisions[-1].best_score if self.decisions else None

    @property
    def baseline_score(self) -> Interval | None:
        """The validation score of the program as it was given, as it was last measured."""
        found = [d.score for d in self.decisions if d.candidate == BASELINE and d.score]
        found += [d.best_score for d in self.decisions if d.best == BASELINE and d.best_score]
        return self.baseline.get("val") or (found[-1] if found else None)

    def candidate(self, id: str) -> CandidateRow | None:
        """The candidate with this id."""
        return next((each for each in self.candidates if each.id == id), None)

    def outcome(self, id: str) -> DecisionRow | None:
        """The last decision about this candidate."""
        return next((each for each in reversed(self.decisions) if each.candidate == id), None)

    def standing(self, id: str) -> str:
        """What became of this candidate in the search, in a word or two."""
        decided = self.outcome(id)
        if decided is not None:
            return decided.outcome
        return "not raced" if self.finished else "waiting"

    def prompt(self, id: str, path: str) -> Prompt:
        """What a candidate says to one predictor; an empty prompt where nothing is known."""
        row = self.candidate(id)
        found = row.predictors.get(path) if row is not None else self.prompts.get(path)
        return found if found is not None else Prompt()

    def cells(self, id: str, split: str) -> dict[str, RolloutRow]:
        """A candidate's rollouts on a split by example, those of an equal candidate included."""
        row = self.candidate(id)
        digest = row.digest if row is not None else ""
        return {
            each.example: each
            for each in self.rollouts
            if each.split == split and (each.candidate == id or (digest and each.digest == digest))
        }

    def pairs(self, split: str) -> tuple[Pair, ...]:
        """Baseline and challenger on every example of a split that either was run on."""
        before, after = self.cells(BASELINE, split), self.cells(self.challenger, split)
        return tuple(Pair(e, before.get(e), after.get(e)) for e in {**before, **after})


def read_story(records: Iterable[Record]) -> Story:
    """The story that the records of one run tell, in the order of the journal.

    Kinds that are not known are passed over. Raises `JournalError` for no records at all and for
    records of two runs.

    >>> read_story([Record("note", 0.0, "r1", {"text": "hello"})]).notes
    ('hello',)
    """
    reader = Reader()
    for record in records:
        reader.take(record)
    return reader.story()


class Reader:
    """Folds records one by one; `story()` is the story so far.

    >>> reader = Reader()
    >>> reader.take(Record("session.opened", 5.0, "r1", {"concurrency": 4}))
    >>> reader.story().sessions
    1
    """

    def __init__(self) -> None:
        self._run = ""
        self._facts: dict[str, Any] = {}
        self._first: float | None = None
        self._last = 0.0
        self._kinds: Counter[str] = Counter()
        self._candidates: dict[str, CandidateRow] = {}
        self._decisions: list[DecisionRow] = []
        self._rollouts: dict[tuple[str, str, str], RolloutRow] = {}
        self._usage: dict[tuple[str, str], Usage] = {}
        self._failures: Counter[str] = Counter()
        self._notes: list[str] = []
        self._take: dict[str, Callable[[Record], None]] = {
            "run.started": self._started,
            "call": self._answered,
            "call.failed": self._failed,
            "candidate": self._proposed,
            "rollout": self._ran,
            "decision": self._decided,
            "confirmed": self._held_out,
            "note": self._noted,
            "run.finished": self._finished,
        }

    def take(self, record: Record) -> None:
        """One more record of the run."""
        if self._run and record.run != self._run:
            raise JournalError(
                f"records of two runs, {self._run!r} and {record.run!r}, make no story: "
                "read the journal for one run"
            )
        self._run, self._last = record.run, record.at
        self._first = record.at if self._first is None else self._first
        self._kinds[record.kind] += 1
        take = self._take.get(record.kind)
        if take is not None:
            take(record)

    @property
    def started(self) -> bool:
        """Whether there was a record."""
        return self._first is not None

    def story(self) -> Story:
        """The story so far."""
        if self._first is None:
            raise JournalError("there are no records of this run: nothing to tell yet")
        return Story(
            run=self._run,
            last=self._last,
            sessions=self._kinds["session.opened"],
            candidates=tuple(self._candidates.values()),
            decisions=tuple(self._decisions),
            rollouts=tuple(self._rollouts.values()),
            usage=tuple(self._usage[key] for key in sorted(self._usage)),
            failures=dict(sorted(self._failures.items())),
            notes=tuple(self._notes),
            **{"started": self._first, "spent": self._spending(), **self._facts},
        )

    def _spending(self) -> Spending:
        """What is known while the run goes on: the last word of the run, and what came since."""
        said = self._decisions[-1].spent if self._decisions else Spending()
        used = self._usage.values()
        prices = [each.usd for each in used]
        known = [price for price in prices if price is not None]
        since = self._decisions[-1].at if self._decisions else (self._first or 0.0)
        return Spending(
            max(said.rollouts, len(self._rollouts)),
            max(said.calls, self._kinds["call.sent"]),
            max(said.tokens, sum(each.input_tokens + each.output_tokens for each in used)),
            None if said.usd is None or len(known) < len(prices) else max(said.usd, sum(known)),
            said.seconds + max(0.0, self._last - since),
        )

    def _started(self, record: Record) -> None:
        body = record.body
        named = ("name", "level", "optimizer", "seed", "notice", "split_note")
        mapped = ("budget", "program", "metric", "models", "versions")
        self._facts["started"] = record.at
        self._facts.update({key: body[key] for key in named if body.get(key) is not None})
        self._facts.update({key: dict(body[key]) for key in mapped if body.get(key)})
        data = body.get("data") or {}
        self._facts["data"] = tuple(DataRow.of(key, data[key]) for key in data if data[key])
        predictors = (body.get("program") or {}).get("predictors") or ()
        self._facts["prompts"] = {each["path"]: Prompt.of(each) for each in predictors}

    def _answered(self, record: Record) -> None:
        key = (str(record.body.get("role", "")), str(record.body.get("model", "")))
        self._usage[key] = self._usage.get(key, Usage(*key)).plus(record.body)

    def _failed(self, record: Record) -> None:
        self._failures[str(record.body.get("error", "unknown"))] += 1

    def _proposed(self, record: Record) -> None:
        row = CandidateRow.of(record.body, record.at)
        self._candidates[row.id] = row

    def _ran(self, record: Record) -> None:
        row = RolloutRow.of(record.body)
        self._rollouts[row.candidate, row.split, row.example] = row

    def _decided(self, record: Record) -> None:
        self._decisions.append(DecisionRow.of(record.body, record.at))

    def _held_out(self, record: Record) -> None:
        self._facts["confirmed"] = Confirmed.of(record.body)

    def _noted(self, record: Record) -> None:
        self._note(str(record.body.get("text", "")))

    def _note(self, text: str) -> None:
        if text not in self._notes:
            self._notes.append(text)

    def _finished(self, record: Record) -> None:
        body = record.body
        for text in body.get("notes") or ():
            self._note(str(text))
        splits = {
            side: {split: Interval.of(found) for split, found in (body.get(side) or {}).items()}
            for side in ("baseline", "compiled")
        }
        self._facts.update(
            finished=True,
            verdict=str(body.get("verdict", "")),
            shipped=str(body.get("candidate", "")),
            gain=Interval.of(body.get("gain")),
            spent=Spending.of(body.get("spent")),
            lost_calls=int(body.get("lost_calls") or 0),
            stop=str(body.get("stop", "")),
            artifact=dict(body.get("artifact") or {}),
            **splits,
        )
