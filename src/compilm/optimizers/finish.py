"""From what was found to what a compile gives back: the artifact, the last record, the result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import dspy

from ..artifact import Artifact
from ..metrics.stats import Estimate
from ..programs.predictors import applied, fingerprint, predictors
from .budget import Spent
from .candidate import BASELINE
from .decisions import estimate_json
from .front import Point, front
from .job import Job, versions
from .loop import Outcome
from .proof import Proof, goes_on
from .result import CompileResult
from .session import Session

__all__ = ["finished", "result_of"]


def finished(session: Session, outcome: Outcome, proof: Proof) -> CompileResult:
    """The result, with its artifact, written down if this is the end."""
    spent = session.ledger.spent()
    notes = _notes(session, enlarged=proof.shipped.id not in (BASELINE, outcome.best.id))
    scores = _scores(outcome, proof)
    artifact = _artifact(session.job, proof, scores, spent, notes)
    body = {
        "verdict": proof.verdict,
        "candidate": proof.shipped.id,
        **scores,
        "spent": spent.to_json(),
        "lost_calls": session.ledger.lost,
        "stop": proof.stop,
        "held_out": estimate_json(proof.held_out),
        "notes": notes,
        "front": [point.to_json() for point in _front(outcome, proof)],
        "digest": artifact.digest,
        "artifact": artifact.to_json(),
    }
    if goes_on(proof.stop):
        session.writer.append("run.finished", body)
    return result_of(session.job, body)


def _scores(outcome: Outcome, proof: Proof) -> dict[str, Any]:
    compiled = outcome.baseline_val if proof.shipped.id == BASELINE else outcome.best_val
    return {
        "baseline": {
            "val": estimate_json(outcome.baseline_val),
            "test": estimate_json(proof.baseline),
        },
        "compiled": {"val": estimate_json(compiled), "test": estimate_json(proof.compiled)},
        "gain": estimate_json(proof.gain),
    }


def _front(outcome: Outcome, proof: Proof) -> tuple[Point, ...]:
    """What was raced; what is shipped goes by its own name, with pools enlarged or not."""
    shipped = proof.shipped.id
    raced = BASELINE if shipped == BASELINE else outcome.best.id
    points = [
        replace(point, candidate=shipped) if point.candidate == raced else point
        for point in outcome.evidence.points()
    ]
    return front(points, keep=shipped)


def _notes(session: Session, *, enlarged: bool) -> list[str]:
    job, lost = session.job, session.ledger.lost
    kept = [record.body["text"] for record in job.journal.read(job.run, kinds=["note"])]
    notes = [note for note in (job.notice, job.split_note, *kept) if note]
    if enlarged:
        notes.append(
            "demos chosen per call are of val too: judge the program on examples of neither train "
            "nor val"
        )
    if lost:
        notes.append(
            f"{lost} calls were in flight when a process died; they count against the budget"
        )
    return notes


def _artifact(
    job: Job, proof: Proof, scores: dict[str, Any], spent: Spent, notes: Sequence[str]
) -> Artifact:
    content = {
        "program": {
            "reference": job.reference,
            "fingerprint": fingerprint(proof.shipped.predictors),
            "inputs": list(job.train.inputs),
            "outputs": _outputs(job),
            "predictors": [p.to_json() for p in proof.shipped.predictors],
        },
        "adapter": job.adapter,
        "models": {role: str(lm.model) for role, lm in sorted(job.roles.items())},
        "metric": {"name": job.metric.name, "fingerprint": job.metric.fingerprint},
        "data": job.described,
        "scores": scores,
        "verdict": proof.verdict,
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


def result_of(job: Job, body: dict[str, Any]) -> CompileResult:
    """The result that the body of a `run.finished` record tells."""
    artifact = Artifact.from_json(body["artifact"])
    kept = body["candidate"] == BASELINE
    return CompileResult(
        body["verdict"],
        _estimate(body["gain"]) or Estimate(0.0, 0.0, 0.0, 0),
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


def _estimate(body: dict[str, Any] | None) -> Estimate | None:
    return None if body is None else Estimate(body["value"], body["low"], body["high"], body["n"])
