"""Whole searches at level 3: the same whatever the timing, wherever cut, whatever fails."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from dspy import lm15

from compilm import canonical
from compilm.errors import CallFailed
from compilm.journal import MemoryJournal, Record
from compilm.optimizers import recipes
from compilm.optimizers.compile import compile_job
from compilm.optimizers.job import Job
from compilm.optimizers.propose.demos import Attributed, Swap
from compilm.optimizers.propose.merge import Merge
from compilm.optimizers.propose.nearest import NearestDemos
from compilm.optimizers.propose.reflect import Reflect
from compilm.optimizers.result import CompileResult

from . import relay
from .worlds import engine_of

ROUNDS = (
    Reflect(),
    Reflect("append"),
    Reflect(contrast=True),
    Reflect("append", contrast=True),
    Merge(),
    Attributed(6),
    Swap(),
    NearestDemos(4),
)


# One cut in each of so many equal parts of a run; `make soak` makes hundreds.
CUTS = 15


@pytest.fixture(autouse=True)
def mostly_reflection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Level 3 with a short opening, and rounds of moves that lower levels lack."""
    usual = recipes.LEVELS[3]
    short = replace(usual, opening=usual.opening[:3], rounds=ROUNDS, width=3)
    monkeypatch.setitem(recipes.LEVELS, 3, short)


def bodies(job: Job, kind: str) -> list[dict[str, Any]]:
    return [record.body for record in job.journal.read(kinds=[kind])]


def told(records: Sequence[Record]) -> list[str]:
    """What the last session of a run tried, refused and decided, byte by byte."""
    opened = max(n for n, record in enumerate(records) if record.kind == "session.opened")
    kinds = ("candidate", "refused", "decision", "confirmed")
    return [canonical.dumps([r.kind, r.body]) for r in records[opened:] if r.kind in kinds]


@dataclass(frozen=True)
class Whole:
    """An undisturbed search."""

    job: Job = field(repr=False)
    records: list[Record] = field(repr=False)
    result: CompileResult = field(repr=False)
    calls: int
    requests: list[lm15.Request] = field(repr=False)


def searched(**settings: Any) -> Whole:
    lm = settings.pop("lm", None) or relay.relay_lm()
    job = relay.job(lm=lm, seed=1, **settings)
    result = compile_job(job)
    engine = engine_of(lm)
    return Whole(job, list(job.journal.read()), result, engine.calls, list(engine.requests))


_WHOLE: list[Whole] = []


@pytest.fixture
def whole() -> Whole:
    if not _WHOLE:
        _WHOLE.append(searched())
    return _WHOLE[0]


def test_it_gets_better_by_reflection_and_is_then_made_cheaper(whole: Whole) -> None:
    moves = {body["move"] for body in bodies(whole.job, "candidate")}
    phases = {body["phase"] for body in bodies(whole.job, "decision")}
    assert whole.result.verdict == "likely"  # 12 held-out examples prove little
    assert whole.result.gain.value > 0.2
    assert phases == {"baseline", "opening", "race", "final", "economy"}
    assert moves >= {"reflection, rewritten", "reflection, rules added", "merged", "fewer demos"}
    assert next(b for b in bodies(whole.job, "candidate") if b["shown"])


def test_with_more_held_out_examples_its_gain_is_proven() -> None:
    found = searched(sizes=(12, 20, 40), rollouts=320).result
    assert found.verdict == "proven"
    assert found.gain.low > 0


class Unruly:
    """The world's answers, out of order: some wait until a later one has been given."""

    def __init__(self) -> None:
        self._given = threading.Condition()
        self._count = 0

    def __call__(self, request: lm15.Request) -> str:
        reply = relay.reply(request)
        with self._given:
            seen = self._count
            if relay.drawn(str(request.messages[-1].text), "wait", 3) == 0:
                self._given.wait_for(lambda: self._count > seen, timeout=0.005)
            self._count += 1
            self._given.notify_all()
        return reply


@pytest.mark.parametrize("concurrency", [1, 3, 16])
def test_decisions_candidates_and_artifact_do_not_depend_on_timing(
    whole: Whole, concurrency: int
) -> None:
    again = searched(concurrency=concurrency, lm=relay.relay_lm(Unruly()))
    assert told(again.records) == told(whole.records)
    assert again.result.artifact.digest == whole.result.artifact.digest
    assert again.calls == whole.calls


def test_a_search_cut_at_any_record_goes_on_to_the_same_end_and_pays_nothing_twice(
    whole: Whole,
) -> None:
    draw, end = random.Random(0), len(whole.records)
    parts = [range(end * n // CUTS, end * (n + 1) // CUTS) for n in range(CUTS)]
    cuts = {0, 1, end - 1, *map(draw.choice, parts)}
    for cut in sorted(cuts):
        journal = MemoryJournal()
        for record in whole.records[:cut]:
            journal.append(record)
        paid = {r.body["key"] for r in whole.records[:cut] if r.kind == "call"}
        again = searched(journal=journal, concurrency=draw.choice([1, 4, 9]))
        keys = [r.body["key"] for r in again.records if r.kind == "call"]
        assert told(again.records) == told(whole.records), cut
        assert again.result.artifact.digest == whole.result.artifact.digest, cut
        assert again.calls == whole.calls - len(paid), cut
        assert len(keys) == len(set(keys)) == whole.calls, cut
        assert again.result.spent.calls == whole.result.spent.calls, cut


def test_proposers_see_no_test_example_and_of_validation_only_what_is_written_down(
    whole: Whole,
) -> None:
    job = whole.job
    asked = [str(r.system) + str(r.messages) for r in whole.requests if _proposes(r)]
    texts = {id: job.val[place].text for place, id in enumerate(job.val.ids)}
    seen = {id for id, text in texts.items() if any(f'"{text}"' in one for one in asked)}
    held = {job.test[place].text for place in range(len(job.test))}
    shown = {id for body in bodies(job, "candidate") for id in body["shown"]}
    assert not [text for text in held for one in asked if f'"{text}"' in one]
    assert seen
    assert shown <= seen
    for body in bodies(job, "candidate"):
        assert len(body["shown"]) <= len(job.val) / 4 or body["move"] == "merged"


def _proposes(request: lm15.Request) -> bool:
    return "proposed_" in str(request.system)


def test_a_candidate_is_never_run_on_what_its_proposers_were_shown(whole: Whole) -> None:
    shown = {body["digest"]: set(body["shown"]) for body in bodies(whole.job, "candidate")}
    assert any(shown.values())
    for body in bodies(whole.job, "rollout"):
        if body["split"] == "val":
            assert body["example"] not in shown[body["digest"]]


def test_frozen_predictors_stay_through_every_move() -> None:
    done = searched(frozen=("label",), rollouts=240)
    (given,) = [p for p in done.job.predictors if p.path == "label"]
    states = [body["predictors"]["label"] for body in bodies(done.job, "candidate")]
    assert len(states) > 4
    assert all(state == {"instructions": given.instructions, "demos": []} for state in states)


def broken(fuse: int, error: BaseException) -> Callable[[lm15.Request], Any]:
    """The world until it has been asked `fuse` times, and then the error."""
    lock, left = threading.Lock(), [fuse]

    def script(request: lm15.Request) -> Any:
        with lock:
            left[0] -= 1
            return error if left[0] < 0 else relay.reply(request)

    return script


@pytest.mark.parametrize("share", [0.1, 0.4, 0.7, 0.95])
def test_a_refused_account_ends_it_at_once_and_the_same_call_goes_on(
    whole: Whole, share: float
) -> None:
    fuse = int(share * whole.calls)
    lm = relay.relay_lm(broken(fuse, lm15.BillingError("no credit")))
    stopped = searched(lm=lm)
    assert stopped.calls <= fuse + 4
    assert stopped.result.stop.startswith("rejected: ")
    assert (stopped.result.finished, stopped.result.candidate) == (False, "c0")
    kept = [record for record in stopped.records if record.kind == "call"]
    assert len(kept) == fuse
    healed = searched(journal=stopped.job.journal)
    assert healed.calls == whole.calls - fuse
    assert healed.result.artifact.digest == whole.result.artifact.digest


def test_calls_that_fail_leave_holes_and_never_a_zero() -> None:
    def flaky(request: lm15.Request) -> Any:
        bad = relay.drawn(str(request.messages), "outage", 12) == 0
        return lm15.RateLimitError("slow") if bad else relay.reply(request)

    done = searched(lm=relay.relay_lm(flaky))
    rollouts = bodies(done.job, "rollout")
    holes = [body for body in rollouts if body["score"]["missing"]]
    assert len(holes) > 0.08 * len(rollouts)
    assert all(body["score"]["value"] is None for body in holes)
    assert all("RateLimit" in body["score"]["missing"] for body in holes)
    answered = [body for body in rollouts if not body["score"]["missing"]]
    assert all(len(body["keys"]) == 2 for body in answered)
    for body in bodies(done.job, "decision"):
        scored = {
            (one["digest"], one["example"])
            for one in answered
            if one["split"] == "val" and one["candidate"] == body["candidate"]
        }
        assert body["score"] is None or body["score"]["n"] <= len(scored)
    assert done.result.verdict in {"proven", "likely"}


def test_an_outage_of_everything_is_told_as_one_and_the_same_call_goes_on_after_it() -> None:
    journal = MemoryJournal()
    with pytest.raises(CallFailed, match=r"a model call failed on every one of .* examples.*down"):
        searched(lm=relay.relay_lm([lm15.ServerError("down")]), journal=journal)
    assert "run.finished" not in {record.kind for record in journal.read()}
    assert searched(journal=journal).result.finished


def test_everything_written_is_plain_json(whole: Whole) -> None:
    assert json.loads(json.dumps([r.body for r in whole.records])) == [
        r.body for r in whole.records
    ]
