"""One compile from job to result: open the run, search, confirm, write down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import dspy

from ..artifact import Artifact, secret_in
from ..engine import Layer, stack
from ..errors import ProgramError, ProviderRejected, RunStopped
from ..metrics.stats import Estimate, mean_interval
from ..programs import models
from ..programs.predictors import applied, fingerprint, frozen_paths, predictors
from ..randomness import rng
from .budget import Ledger, Spent
from .calls import SCOPE, Answer, Answers, Metered, Recorded, Scope
from .candidate import BASELINE, Candidate
from .checks import TextChecks
from .decisions import estimate_json
from .driven.search import DrivenSearch, Wiring
from .evaluate import Evaluator
from .executor import LocalExecutor
from .front import Point, front
from .guard import Guard
from .interrupt import interruptible
from .job import Job, described, versions
from .loop import Limits, Outcome, Search
from .meter import Meter
from .recipes import recipe
from .records import Writer
from .result import CompileResult
from .rollout import Rollout
from .verdict import Confirmation, confirm

__all__ = ["compile_job", "measure"]

_CONFIRM_BLOCK = 16
_SERVANTS = frozenset({"default", "proposer", "judge"})  # roles no predictor is moved to


def compile_job(job: Job) -> CompileResult:
    """The result of `job`, from the journal as far as it goes, worked out from there on.

    The budget, an interrupt and a provider's refusal end it early with what was found; a broken
    contract (program, metric, data) raises. Whatever happens, what was paid is in the journal.
    """
    release = job.journal.claim(job.run)
    try:
        finished = next(job.journal.read(job.run, kinds=["run.finished"]), None)
        if finished is not None:
            return _result(job, finished.body)
        return _Run(job).result()
    finally:
        release()


def measure(job: Job) -> tuple[tuple[Rollout, ...], Spent, str]:
    """The given program's rollouts on the test examples, what they took, and why it stopped.

    Rollouts are in the examples' order; fewer than examples where the budget ended before.
    """
    release = job.journal.claim(job.run)
    try:
        run = _Run(job)
    except BaseException:
        release()
        raise
    baseline, stop = Candidate(0, job.predictors), ""
    try:
        with interruptible(run.guard.interrupt):
            _, stop = run.run_blocks([baseline], range(len(job.test))[: job.budget.rollouts], "")
    finally:
        run.executor.close()
        release()
    every = run.evaluator.all_of(baseline.digest)
    made = {rollout.example: rollout for rollout in every if rollout.split == "test"}
    found = tuple(made[example] for example in job.test.ids if example in made)
    spent = run.ledger.spent()
    if len(found) < len(job.test):
        stop = stop or f"budget: {job.budget.rollouts} rollouts"
    run.writer.append("measured", {"examples": len(found), "spent": spent.to_json(), "stop": stop})
    return found, spent, stop


@dataclass(slots=True)
class _Final:
    """What the held-out comparison brought."""

    shipped: Candidate
    verdict: str
    gain: Estimate
    baseline: Estimate | None
    compiled: Estimate | None
    stop: str
    held_out: Estimate | None = None


class _Run:
    """The parts of one run, wired; the state they hold is what the journal said."""

    def __init__(self, job: Job) -> None:
        self.job = job
        _check_frozen(job)
        _check_secrets(job)
        self.writer = Writer(job.journal, job.run, job.clock)
        self.answers = Answers()
        past = list(job.journal.read(job.run))
        self.ledger = Ledger(job.budget, job.clock, before_s=_seconds_before(past))
        self.meter = Meter(job.budget, self.answers, self.ledger)
        self.guard = Guard(self.ledger)
        self._role_lms: dict[tuple[object, ...], dspy.LM] = {}
        self.executor = LocalExecutor(
            job.program,
            job.metric,
            job.splits,
            lm=self._role("default", job.roles["default"]),
            exchange=self._exchange,
            roles={role: self._role(role, lm) for role, lm in job.roles.items()},
            writer=self.writer,
            guard=self.guard,
            clock=job.clock,
            concurrency=job.concurrency,
        )
        self.evaluator = Evaluator(job.splits, self.executor, self.meter)
        if not past:
            self.writer.append("run.started", job.header())
            for note in job.notes:
                self.writer.note(note)
        self._replay(past)
        self.writer.append("session.opened", {"concurrency": job.concurrency})

    def _replay(self, past: Sequence[Any]) -> None:
        sent = 0
        for record in past:
            if record.kind == "call":
                answer = Answer.from_json(record.body)
                self.answers.learn(record.body["key"], answer)
                self.ledger.replay(tokens=answer.tokens, usd=answer.usd)
                sent -= 1
            elif record.kind == "call.sent":
                sent += 1
            elif record.kind == "call.failed":
                self.ledger.replay(tokens=0, usd=0.0)
                sent -= 1
            elif record.kind == "rollout":
                self.evaluator.learn(Rollout.from_json(record.body))
                self.ledger.count_rollout()
        self.ledger.replay_lost(max(0, sent))

    def _role(self, role: str, lm: dspy.LM, *above: Layer) -> dspy.LM:
        key = (models.identity(lm), *map(id, above))
        if key not in self._role_lms:
            engine = stack(
                models.as_engine(lm),
                *above,
                Recorded(role, lm, self.answers, self.writer),
                self.job.retry,
                Metered(role, str(lm.model), self.ledger, self.writer),
            )
            self._role_lms[key] = models.role_lm(engine, lm)
        return self._role_lms[key]

    def _exchange(self, lm: dspy.LM) -> dspy.LM:
        """The metered twin of an LM that the program brought along."""
        named = {id(known): role for role, known in self.job.roles.items()}
        return self._role(named.get(id(lm), str(lm.model)), lm)

    def ask(self, predict: dspy.Predict, fields: dict[str, Any], number: int) -> Any:
        """One request to the proposer's model; sampled, and drawn anew for every candidate."""
        role = self.job.roles.get("proposer", self.job.roles["default"])
        lm = self._role("proposer", role).copy(rollout_id=number, temperature=1.0)
        scope = Scope()
        token = SCOPE.set(scope)
        try:
            with dspy.context(lm=lm, disable_history=True, trace=None):
                return predict(**fields)
        except Exception as error:  # border: the proposer's model; a failed proposal is no proposal
            self.writer.note(f"the proposer failed for c{number}: {type(error).__name__}")
            return None
        finally:
            SCOPE.reset(token)
            self.meter.calls(scope.keys)

    def result(self) -> CompileResult:
        """Search, confirm, write the end, give the result."""
        job = self.job
        size = self._held_out_size()
        self.meter.kept = 2 * size
        self.ledger.hold(2 * size * len(job.predictors))
        search = self._search()
        try:
            with interruptible(self.guard.interrupt):
                try:
                    outcome = search.run()
                except RunStopped as stop:
                    outcome = search.outcome(_ended(stop))
                self._check_program(outcome)
                final = self._confirm(outcome, size)
        finally:
            self.executor.close()
        return self._finish(outcome, final)

    def _search(self) -> Search | DrivenSearch:
        job = self.job
        if job.optimizer is not None:
            wiring = Wiring(
                self.evaluator, self.writer, self.meter, self.ledger, self.guard, self._role
            )
            return DrivenSearch(job, wiring)
        return Search(
            recipe(job.level),
            Candidate(0, job.predictors),
            job.train,
            job.val,
            self.evaluator,
            self.writer,
            self.meter,
            self.ask,
            checks=TextChecks((job.val, job.test)),
            seed=job.seed,
            limits=Limits(
                frozen=(*job.frozen, *frozen_paths(job.program)),
                constraints=job.constraints,
                roles=[role for role in sorted(job.roles) if role not in _SERVANTS],
            ),
        )

    def _held_out_size(self) -> int:
        """How many test examples the budget lets us keep for the end: half of it at most."""
        most = self.meter.allows(len(self.job.predictors), final=True)
        if most >= 4 * len(self.job.test):
            return len(self.job.test)
        return min(len(self.job.test), most // 4)

    def _check_program(self, outcome: Outcome) -> None:
        """A program that raises on every example is a broken program, not a bad score."""
        seen = self.evaluator.all_of(Candidate(0, self.job.predictors).digest)
        errors = [rollout.error for rollout in seen if rollout.error]
        if len(seen) >= 3 and len(errors) == len(seen) and outcome.best.id == BASELINE:
            raise ProgramError(
                f"the program raised on every one of {len(seen)} examples, the first time "
                f"{errors[0]!r}: run it on one example and mend it before compiling"
            )

    def _confirm(self, outcome: Outcome, size: int) -> _Final:
        job = self.job
        self.ledger.hold(0)
        if not _goes_on(outcome.stop):
            return _Final(
                Candidate(0, job.predictors), "unproven", _nothing(), None, None, outcome.stop
            )
        if outcome.stop.startswith("budget"):
            self.ledger.resume()
        baseline = Candidate(0, job.predictors)
        shipped = outcome.best
        racers = [baseline] if shipped.id == BASELINE else [baseline, shipped]
        if shipped.id == BASELINE:
            size = len(job.test)
        size = min(size, self.meter.allows(len(job.predictors), final=True) // len(racers))
        order = rng(job.seed, "held out").sample(range(len(job.test)), size)
        done, stop = self.run_blocks(racers, order, outcome.stop)
        mine = [rollouts[-1] for rollouts in done]
        theirs = [rollouts[0] for rollouts in done]
        scored = [r.score.value for r in theirs if not r.score.is_missing]
        if shipped.id == BASELINE:
            verdict = "no-headroom" if outcome.stop.startswith("no headroom") else "unproven"
            measured = mean_interval(scored, seed=job.seed) if scored else None
            return _Final(baseline, verdict, _nothing(len(scored)), measured, measured, stop)
        both = [a for a, b in zip(mine, theirs, strict=True)
                if not (a.score.is_missing or b.score.is_missing)]  # fmt: skip
        if len(both) < 2:
            return _Final(baseline, "unproven", _nothing(), None, None, stop)
        groups = _groups(job, order[: len(done)])
        found = confirm(
            theirs, mine, winner=shipped, evidence=outcome.evidence, groups=groups, seed=job.seed
        )
        self._write_confirmed(shipped, found)
        keeps = found.verdict in ("proven", "likely")
        compiled = found.compiled if keeps else found.baseline
        return _Final(
            shipped if keeps else baseline,
            found.verdict,
            found.gain if keeps else _nothing(found.gain.n),
            found.baseline,
            compiled,
            stop,
            found.held_out,
        )

    def run_blocks(
        self, racers: Sequence[Candidate], order: Sequence[int], stop: str
    ) -> tuple[list[list[Rollout]], str]:
        """Held-out rollouts of all racers, example by example; whole blocks only."""
        done: list[list[Rollout]] = []
        for start in range(0, len(order), _CONFIRM_BLOCK):
            block = order[start : start + _CONFIRM_BLOCK]
            try:
                found = self.evaluator.run([(who, i) for who in racers for i in block], "test")
            except RunStopped as stopped:
                return done, _ended(stopped)
            done += [found[place :: len(block)] for place in range(len(block))]
        return done, stop

    def _write_confirmed(self, shipped: Candidate, found: Confirmation) -> None:
        self.writer.append(
            "confirmed",
            {
                "candidate": shipped.id,
                "split": "test",
                "baseline": estimate_json(found.baseline),
                "compiled": estimate_json(found.compiled),
                "gain": estimate_json(found.gain),
                "held_out": estimate_json(found.held_out),
                "p_better": found.p_better,
                "verdict": found.verdict,
                "minimum_detectable": found.minimum_detectable,
            },
        )

    def _finish(self, outcome: Outcome, final: _Final) -> CompileResult:
        spent = self.ledger.spent()
        keeps_best = final.shipped.id == outcome.best.id
        compiled_val = outcome.best_val if keeps_best else outcome.baseline_val
        scores = {
            "baseline": {
                "val": estimate_json(outcome.baseline_val),
                "test": estimate_json(final.baseline),
            },
            "compiled": {
                "val": estimate_json(compiled_val),
                "test": estimate_json(final.compiled),
            },
            "gain": estimate_json(final.gain),
        }
        kept = self.job.journal.read(self.job.run, kinds=["note"])
        notes = list(
            filter(
                None,
                [self.job.notice, self.job.split_note, *(record.body["text"] for record in kept)],
            )
        )
        if self.ledger.lost:
            notes.append(
                f"{self.ledger.lost} calls were in flight when a process died; they count "
                "against the budget"
            )
        artifact = _artifact(self.job, final, scores, spent, notes)
        body = {
            "verdict": final.verdict,
            "candidate": final.shipped.id,
            **scores,
            "spent": spent.to_json(),
            "lost_calls": self.ledger.lost,
            "stop": final.stop,
            "held_out": estimate_json(final.held_out),
            "notes": notes,
            "front": [point.to_json() for point in front(outcome.evidence.points())],
            "digest": artifact.digest,
            "artifact": artifact.to_json(),
        }
        if _goes_on(final.stop):
            self.writer.append("run.finished", body)
        return _result(self.job, body)


def _artifact(
    job: Job, final: _Final, scores: dict[str, Any], spent: Spent, notes: Sequence[str]
) -> Artifact:
    content = {
        "program": {
            "reference": job.reference,
            "fingerprint": fingerprint(final.shipped.predictors),
            "inputs": list(job.train.inputs),
            "outputs": _outputs(job),
            "predictors": [p.to_json() for p in final.shipped.predictors],
        },
        "adapter": job.adapter,
        "models": {role: str(lm.model) for role, lm in sorted(job.roles.items())},
        "metric": {"name": job.metric.name, "fingerprint": job.metric.fingerprint},
        "data": {name: described(data) for name, data in job.splits.items()},
        "scores": scores,
        "verdict": final.verdict,
        "search": {
            "level": job.level if job.optimizer is None else None,
            "optimizer": job.optimizer,
            "budget": job.budget.to_json(),
            "seed": job.seed,
        },
        "parent": None,
    }
    provenance = {
        "run": job.run,
        "created": datetime.fromtimestamp(job.clock.wall(), UTC).isoformat(timespec="seconds"),
        "spent": spent.to_json(),
        "versions": versions(),
        "notes": list(notes),
    }
    return Artifact.build(content, provenance)


def _outputs(job: Job) -> list[str]:
    """The names a prediction of the program carries, as the journal has seen them."""
    names: set[str] = set()
    for record in job.journal.read(job.run, kinds=["rollout"]):
        if record.body["candidate"] == BASELINE:
            names.update(record.body["outputs"] or ())
    return sorted(names)


def _result(job: Job, body: dict[str, Any]) -> CompileResult:
    artifact = Artifact.from_json(body["artifact"])
    kept = body["candidate"] == BASELINE
    return CompileResult(
        body["verdict"],
        _estimate(body["gain"]) or _nothing(),
        {split: _estimate(found) for split, found in body["baseline"].items()},
        {split: _estimate(found) for split, found in body["compiled"].items()},
        job.program if kept else _program(job, artifact),
        Spent(**body["spent"]),
        artifact,
        job.run,
        body["stop"],
        body["candidate"],
        tuple(body["notes"]),
        _estimate(body.get("held_out")),
        tuple(Point.from_json(point) for point in body.get("front", ())),
        job.journal,
    )


def _program(job: Job, artifact: Artifact) -> dspy.Module:
    """The given program with the shipped states, each predictor with the model of its role."""
    program = applied(job.program, {p.path: p for p in artifact.predictors})
    found = predictors(program)
    for each in artifact.predictors:
        if each.role in job.roles and each.role != "default":
            found[each.path].lm = job.roles[each.role]
    return program


def _check_frozen(job: Job) -> None:
    paths = [predictor.path for predictor in job.predictors]
    unknown = [path for path in job.frozen if path not in paths]
    if unknown:
        raise ProgramError(f"freeze names {unknown[0]!r}; the program's predictors are {paths}")


def _check_secrets(job: Job) -> None:
    """Refuse before anything is spent what an artifact could not carry in the end."""
    for predictor in job.predictors:
        found = secret_in(predictor.to_json())
        if found is not None:
            raise ProgramError(
                f"predictor {predictor.path!r} has at {found} what looks like a key or password: "
                "take it out, it would be written into the artifact"
            )


def _estimate(body: dict[str, Any] | None) -> Estimate | None:
    return None if body is None else Estimate(body["value"], body["low"], body["high"], body["n"])


def _nothing(n: int = 0) -> Estimate:
    """The gain of shipping what was given: exactly none."""
    return Estimate(0.0, 0.0, 0.0, n)


def _groups(job: Job, order: Sequence[int]) -> list[str] | None:
    return [job.test.groups[index] for index in order] if job.test.groups else None


def _ended(stop: RunStopped) -> str:
    return f"rejected: {stop.reason}" if isinstance(stop.cause, ProviderRejected) else stop.reason


def _goes_on(stop: str) -> bool:
    """Whether this is an end; an interrupt or a refusal is not: the same call goes on."""
    return not stop.startswith(("interrupted", "rejected"))


def _seconds_before(past: Sequence[Any]) -> float:
    """Seconds that earlier sessions of the run took, each from its opening to its last record."""
    total, opened, last = 0.0, None, 0.0
    for record in past:
        if record.kind == "session.opened":
            total += last - opened if opened is not None else 0.0
            opened = record.at
        last = record.at
    return total + (last - opened if opened is not None else 0.0)
