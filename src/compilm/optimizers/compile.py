"""One compile from job to result: open the run, search, prove, write down."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import CallFailed, ProgramError, RunStopped
from ..programs.predictors import frozen_paths
from .budget import Spent
from .candidate import BASELINE, Candidate
from .checks import TextChecks
from .driven.search import DrivenSearch, Wiring
from .finish import finished, result_of
from .interrupt import interruptible
from .job import Job
from .loop import Limits, Outcome, Search
from .proof import ended, held_out_order, held_out_size, prove, run_blocks
from .recipes import recipe
from .result import CompileResult
from .rollout import Rollout
from .session import Session
from .telling import check_told, told

__all__ = ["compile_job", "measure"]

_SERVANTS = frozenset({"default", "proposer", "judge"})  # roles no predictor is moved to


def compile_job(job: Job, interrupted: Callable[[], None] = lambda: None) -> CompileResult:
    """The result of `job`, from the journal as far as it goes, worked out from there on.

    interrupted: called at the first Ctrl-C, from the signal's handler.

    The budget, an interrupt and a provider's refusal end it early with what was found; a broken
    contract (program, metric, data) raises. Whatever happens, what was paid is in the journal.
    """
    release = job.journal.claim(job.run)
    try:
        done = next(job.journal.read(job.run, kinds=["run.finished"]), None)
        return (
            result_of(job, done.body) if done is not None else _compiled(Session(job), interrupted)
        )
    finally:
        release()


def measure(job: Job) -> tuple[tuple[Rollout, ...], Spent, str]:
    """The given program's rollouts on the test examples, what they took, and why it stopped.

    Rollouts are in the examples' order; fewer than examples where the budget ended before.
    """
    release = job.journal.claim(job.run)
    try:
        session = Session(job)
    except BaseException:  # border: nobody else would give the run free again; it passes
        release()
        raise
    baseline, stop = Candidate(0, job.predictors), ""
    try:
        with interruptible(session.guard.interrupt):
            order = range(len(job.test))[: job.budget.rollouts]
            _, stop = run_blocks(session, [baseline], order, "")
    finally:
        session.executor.close()
        release()
    every = session.evaluator.all_of(baseline.digest)
    made = {rollout.example: rollout for rollout in every if rollout.split == "test"}
    found = tuple(made[example] for example in job.test.ids if example in made)
    spent = session.ledger.spent()
    if len(found) < len(job.test):
        stop = stop or f"budget: {job.budget.rollouts} rollouts"
    body = {"examples": len(found), "spent": spent.to_json(), "stop": stop}
    session.writer.append("measured", body)
    return found, spent, stop


def _compiled(session: Session, interrupted: Callable[[], None]) -> CompileResult:
    """Search, prove, write the end, give the result."""
    size = held_out_size(session)
    session.meter.kept = 2 * size
    session.ledger.hold(2 * size * len(session.job.predictors))
    search = _search(session)
    if isinstance(search, Search):  # its threads; who drives DSPy's has none of ours to fill
        _begin_proof(session, size)

    def interrupt() -> None:
        session.guard.interrupt()
        interrupted()

    try:
        with interruptible(interrupt):
            try:
                outcome = search.run()
            except RunStopped as stop:
                outcome = search.outcome(ended(stop))
            session.executor.forget()  # a stop may leave a race that was to come
            _check_program(session, outcome)
            proof = prove(session, outcome, size)
    finally:
        session.executor.close()
    return finished(session, outcome, proof)


def _begin_proof(session: Session, size: int) -> None:
    """The given program's part of the proof, which every end needs, where workers are idle."""
    given = Candidate(0, session.job.predictors)
    work = [(given, index) for index in held_out_order(session.job, size)]
    session.evaluator.meanwhile(work, "test", held=True)


def _search(session: Session) -> Search | DrivenSearch:
    job = session.job
    if job.optimizer is not None:
        check_told(job.train, job.program, job.optimizer)
        wiring = Wiring(
            session.evaluator,
            session.writer,
            session.meter,
            session.ledger,
            session.guard,
            session.role,
        )
        return DrivenSearch(job, wiring)
    return Search(
        recipe(job.level),
        Candidate(0, job.predictors),
        told(job.train, job.program),
        told(job.val, job.program),
        session.evaluator,
        session.writer,
        session.meter,
        session.ask,
        checks=TextChecks((job.val, job.test), (job.train,)),
        seed=job.seed,
        limits=Limits(
            frozen=(*job.frozen, *frozen_paths(job.program)),
            constraints=job.constraints,
            roles=[role for role in sorted(job.roles) if role not in _SERVANTS],
        ),
    )


def _check_program(session: Session, outcome: Outcome) -> None:
    """A program that raises on every example is a broken program, or its model is; no bad score."""
    seen = session.evaluator.all_of(outcome.evidence.baseline.digest)
    errors = [rollout.error for rollout in seen if rollout.error]
    if len(seen) < 3 or len(errors) < len(seen) or outcome.best.id != BASELINE:
        return
    first = f"on every one of {len(seen)} examples, the first time {errors[0]!r}"
    if all(rollout.score.is_missing for rollout in seen):
        raise CallFailed(
            f"a model call failed {first}: see whether the provider answers, then ask for the "
            "same compile again"
        )
    raise ProgramError(
        f"the program raised {first}: run it on one example and mend it before compiling"
    )
