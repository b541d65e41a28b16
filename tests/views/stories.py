"""Records of runs as a compile writes them: a proven one, an unfinished one, one without a gain."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from compilm import canonical
from compilm.journal import Journal, MemoryJournal, Record
from compilm.randomness import rng

START = 1_760_000_000.0
SIZES = {"train": 120, "val": 60, "test": 156}
GIVEN = (
    "Read the customer's message and decide which desk should handle it. "
    "Answer with the name of the desk."
)
BETTER = (
    "Read the customer's message and decide which one desk should handle it: billing, claims, "
    "cards or complaints. If money was taken without the customer's consent, it is cards, not "
    "billing. Answer with the name of the desk only."
)
DEMOS = [
    {"message": "I was charged twice for <March>.", "desk": "billing"},
    {"message": "Someone used my card in Lisbon & I was not there.", "desk": "cards"},
    {"message": "My roof leaks since the storm.", "desk": "claims"},
]
MOVES = (
    ("baseline", None, ""),
    ("labeled demos", "c0", "up to 4 a predictor"),
    ("proposed instructions", "c0", "route"),
    ("bootstrapped demos", "c0", "3 of route"),
    ("proposed instructions", "c3", "route"),
    ("bootstrapped demos", "c3", "2 of reply"),
    ("proposed instructions", "c3", "reply"),
)
# skill on validation, and what became of each
SKILLS = (0.50, 0.52, 0.44, 0.60, 0.68, 0.57, 0.46)
OUTCOMES = ("measured", "lost", "dropped", "won", "won", "lost", "dropped")


class Book:
    """Appends records of one run to a journal, one second apart."""

    def __init__(self, journal: Journal, run: str) -> None:
        self.journal, self.run, self.at = journal, run, START
        self.calls = self.rollouts = 0

    def add(self, kind: str, **body: Any) -> None:
        """One more record."""
        self.at += 1.0
        self.journal.append(Record(kind, self.at, self.run, body))

    def spent(self) -> dict[str, Any]:
        """The spending so far."""
        tokens = self.calls * 228
        return {
            "rollouts": self.rollouts,
            "calls": self.calls,
            "tokens": tokens,
            "usd": None,
            "seconds": self.at - START,
        }

    def call(self, role: str = "default") -> None:
        """One answered call."""
        self.calls += 1
        key = canonical.digest([role, self.calls])
        self.add("call.sent", role=role, request=key, tokens=1300, usd=None)
        self.add("call", key=key, role=role, model="embedded/rules", request=key, response={},
                 input_tokens=208, output_tokens=20, usd=None, seconds=0.2)  # fmt: skip

    def rollout(self, candidate: str, split: str, index: int, value: float | None) -> None:
        """One rollout with one call."""
        self.call()
        self.rollouts += 1
        said = "" if value else f"expected 'claims', got 'billing' <{index}>"
        missing = "" if value is not None else "a model call failed: LMTimeout"
        score: dict[str, Any] = {"value": value, "feedback": said, "parts": {}, "missing": missing}
        self.add("rollout", candidate=candidate, digest=_digest(candidate), split=split,
                 example=f"{split}-{index:03d}", score=score, outputs={"desk": "billing"},
                 calls=1, seconds=0.3)  # fmt: skip


def _digest(candidate: str) -> str:
    return canonical.digest(["candidate", candidate])


def _field(name: str) -> dict[str, str]:
    return {"name": name, "type": "str", "desc": ""}


def _predictors() -> list[dict[str, Any]]:
    route = {"path": "route", "role": "default", "inputs": [_field("message")],
             "outputs": [_field("desk")], "instructions": GIVEN, "demos": []}  # fmt: skip
    reply = {"path": "reply", "role": "default", "inputs": [_field("desk")],
             "outputs": [_field("answer")], "instructions": "Write a short {{kind}} reply.",
             "demos": []}  # fmt: skip
    return [route, reply]


def _started(book: Book, notice: str) -> None:
    book.add(
        "run.started",
        name="claims-desk",
        level=2,
        optimizer=None,
        seed=0,
        budget={"rollouts": 1000, "calls": None, "tokens": None, "usd": None, "seconds": None},
        program={"reference": "claims.program:ClaimsDesk",
                 "fingerprint": canonical.digest("program"), "predictors": _predictors()},
        metric={"name": "exact(desk)", "fingerprint": canonical.digest("metric")},
        data={name: {"name": "messages.jsonl", "size": size,
                     "fingerprint": canonical.digest(name)} for name, size in SIZES.items()},
        models={"default": "embedded/rules", "proposer": "embedded/rules"},
        notice=notice,
        versions={"compilm": "0.1.0", "dspy": "3.4.1", "python": "3.11.9"},
        split_note="split by thread, 38 % / 13 % / 49 %",
    )  # fmt: skip
    book.add("session.opened", concurrency=32)


def _candidate(book: Book, number: int) -> None:
    move, parent, note = MOVES[number]
    demos = DEMOS if number >= 3 else []
    text = BETTER if number in (2, 4) else GIVEN
    book.add(
        "candidate",
        id=f"c{number}",
        number=number,
        digest=_digest(f"c{number}"),
        parent=parent,
        move=move,
        note=note,
        predictors={
            "route": {"instructions": text, "demos": demos},
            "reply": {"instructions": "Write a short {{kind}} reply.", "demos": []},
        },
    )


def _estimate(value: float, n: int, spread: float = 0.98) -> dict[str, Any]:
    half = spread * (0.25 / n) ** 0.5 * 2
    return {"value": value, "low": max(0.0, value - half), "high": min(1.0, value + half), "n": n}


def _measure(book: Book, number: int, split: str, n: int, skill: float) -> list[float]:
    values = []
    for index in range(n):
        ease = rng(7, split, index).random()
        luck = rng(7, split, index, number).random()
        value = 1.0 if 0.6 * ease + 0.4 * luck < skill else 0.0
        book.rollout(f"c{number}", split, index, value)
        values.append(value)
    return values


def _race(book: Book, numbers: tuple[int, ...], incumbent: int, best: int) -> None:
    """Children against the incumbent on 48 validation examples, then their decisions."""
    n = 48
    held = list(_values(book, f"c{incumbent}", "val"))[:n]
    found = {}
    for number in numbers:
        _candidate(book, number)
        for _ in range(4):
            book.call("proposer")
        found[number] = _measure(book, number, "val", n, SKILLS[number])
    for number in numbers:
        mine = found[number]
        differences = [a - b for a, b in zip(mine, held, strict=True)]
        wins, losses = sum(d > 0 for d in differences), sum(d < 0 for d in differences)
        book.add(
            "decision",
            candidate=f"c{number}",
            incumbent=f"c{incumbent}",
            phase="opening" if incumbent == 0 else "race",
            outcome=OUTCOMES[number],
            n=n,
            wins=wins,
            losses=losses,
            difference=sum(differences) / n,
            p_better=0.98 if OUTCOMES[number] == "won" else 0.31,
            score=_estimate(sum(mine) / n, n),
            best=f"c{best}",
            best_score=_estimate(sum(found[best]) / n, n),
            spent=book.spent(),
        )


def _values(book: Book, candidate: str, split: str) -> Iterator[float]:
    for record in book.journal.read(book.run, kinds=["rollout"]):
        if record.body["candidate"] == candidate and record.body["split"] == split:
            yield record.body["score"]["value"]


def _opening(book: Book, notice: str) -> None:
    _started(book, notice)
    _candidate(book, 0)
    values = _measure(book, 0, "val", 48, SKILLS[0])
    score = _estimate(sum(values) / 48, 48)
    book.add("decision", candidate="c0", incumbent="c0", phase="baseline", outcome="measured",
             n=48, wins=0, losses=0, difference=0.0, p_better=0.5, score=score, best="c0",
             best_score=score, spent=book.spent())  # fmt: skip
    _race(book, (1, 2, 3), 0, 3)


def _finish(book: Book, *, verdict: str, shipped: str, gain: dict[str, Any], stop: str,
            baseline: dict[str, Any], compiled: dict[str, Any]) -> None:  # fmt: skip
    book.add(
        "run.finished",
        verdict=verdict,
        candidate=shipped,
        gain=gain,
        baseline={"val": _estimate(0.4375, 48), "test": baseline},
        compiled={"val": _estimate(0.8125, 48), "test": compiled},
        spent=book.spent(),
        lost_calls=2,
        stop=stop,
        notes=["2 calls were in flight when a process died; they count against the budget"],
        digest=canonical.digest("artifact"),
        artifact={"digest": canonical.digest("artifact"), "content": {}, "provenance": {}},
    )


def proven(journal: Journal | None = None, run: str = "3f2a9c", notice: str = "") -> Journal:
    """A finished run that ships c4: 480 rollouts, 7 candidates, a held-out comparison."""
    journal = journal or MemoryJournal()
    book = Book(journal, run)
    _opening(book, notice)
    book.add("call.failed", role="default", request=canonical.digest("x"), error="LMTimeout",
             status=None)  # fmt: skip
    book.add("note", text="1 validation example has no score: a model call failed")
    _race(book, (4, 5, 6), 3, 4)
    before = _measure(book, 0, "test", SIZES["test"], 0.52)
    after = _measure(book, 4, "test", SIZES["test"], 0.62)
    n = SIZES["test"]
    gain = (sum(after) - sum(before)) / n
    found = {
        "baseline": _estimate(sum(before) / n, n),
        "compiled": _estimate(sum(after) / n, n),
        "gain": {"value": gain, "low": gain - 0.07, "high": gain + 0.07, "n": n},
    }
    alone = {"value": gain - 0.013, "low": gain - 0.09, "high": gain + 0.06, "n": n}
    book.add("confirmed", candidate="c4", split="test", p_better=0.999, verdict="proven",
             minimum_detectable=0.098, held_out=alone, **found)  # fmt: skip
    _finish(book, verdict="proven", shipped="c4", stop="converged: the last round brought nothing",
            **found)  # fmt: skip
    return journal


def unfinished(journal: Journal | None = None, run: str = "77aa01") -> Journal:
    """A run whose process died in the second race."""
    journal = journal or MemoryJournal()
    book = Book(journal, run)
    _opening(book, "")
    _candidate(book, 4)
    book.rollout("c4", "val", 0, 1.0)
    book.rollout("c4", "val", 1, None)
    return journal


def nothing_gained(journal: Journal | None = None, run: str = "b0b0b0") -> Journal:
    """A finished run whose best candidate could not be told from the baseline."""
    journal = journal or MemoryJournal()
    book = Book(journal, run)
    _opening(book, "embedded, not a language model")
    before = _measure(book, 0, "test", 60, 0.52)
    after = _measure(book, 3, "test", 60, 0.53)
    gain = (sum(after) - sum(before)) / 60
    zero = {"value": 0.0, "low": 0.0, "high": 0.0, "n": 60}
    found = {
        "baseline": _estimate(sum(before) / 60, 60),
        "compiled": _estimate(sum(after) / 60, 60),
    }
    book.add("confirmed", candidate="c3", split="test", p_better=0.61, verdict="unproven",
             minimum_detectable=0.14, **found,
             gain={"value": gain, "low": gain - 0.1, "high": gain + 0.1, "n": 60})  # fmt: skip
    _finish(book, verdict="unproven", shipped="c0", gain=zero, stop="budget: 1000 rollouts",
            baseline=found["baseline"], compiled=found["baseline"])  # fmt: skip
    return journal
