"""A search that one of DSPy's optimizers does, with the face of our own: `run`, then `outcome`.

The optimizer runs unmodified in this process. It is given a student whose executions are counted
and written down, the compile's metric, and the run's metered models; it hears of no budget, for a
`RunStopped` ends it wherever it is. What it then had found is taken from our own records.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import dspy

from ...errors import CompilmError, ProviderRejected, RunStopped, UsageError
from ...programs import models
from ...programs.copying import copied
from ...programs.predictors import frozen_paths, predictors
from ...randomness import rng
from .. import headroom
from ..calls import SCOPE, Scope
from ..candidate import Candidate
from ..evaluate import Evaluator
from ..evidence import Evidence
from ..front import FREE
from ..guard import Guard
from ..job import Job
from ..ledger import Ledger
from ..loop import Outcome
from ..meter import Meter
from ..records import Writer
from .catalog import build, choose
from .cells import Cells
from .edges import Edges
from .fitting import PASSES, Room
from .gate import Gate
from .quiet import quiet
from .standings import Standings
from .states import States
from .student import Habits, same_signatures, student_of
from .turnstile import Turnstile
from .watch import Watch

__all__ = ["DrivenSearch", "Wiring"]

_MEASURED = 300  # val examples the given program is run on, at most
_UNLIMITED = 10**8  # the meter's word for no limit
_FOR_PROPOSALS = 0.85  # of calls: what is left for rollouts where a proposer asks too


@dataclass(frozen=True, slots=True)
class Wiring:
    """The parts of a run that a search works with.

    `role(name, lm, *layers)` gives the metered twin of a model, below the layers.
    """

    evaluator: Evaluator
    writer: Writer
    meter: Meter
    ledger: Ledger
    guard: Guard
    role: Callable[..., dspy.LM]


class DrivenSearch:
    """One run of one of DSPy's optimizers over one program."""

    def __init__(self, job: Job, wiring: Wiring) -> None:
        self._job, self._wired = job, wiring
        self._choice = choose(str(job.optimizer), job.options)
        self._frozen = (*job.frozen, *frozen_paths(job.program))
        self._baseline = Candidate(0, job.predictors)
        self._gate = Gate(wiring.ledger)
        self._turnstile = Turnstile(
            self._gate, wiring.ledger, wiring.meter, predictors=len(job.predictors)
        )
        order = rng(job.seed, "race order").sample(range(len(job.val)), len(job.val))
        self._order = order[: min(len(order), _MEASURED, self._measurable(len(order)))]
        self._standings = Standings(
            Evidence(wiring.evaluator, self._baseline),
            self._choice.name,
            wiring.writer,
            wiring.meter,
            places={job.val.ids[index]: index for index in self._order},
            keeps=self._keeps,
        )
        self._best: Candidate | None = None

    def run(self) -> Outcome:
        """Measure the given program, let the optimizer work, and measure what it gave back.

        An interrupt and a refusal by a provider pass through as `RunStopped`; so does a budget
        that ends before anything could be measured. `outcome` tells what was found.
        """
        self._wired.writer.append("candidate", self._baseline.to_json())
        self._standings.measure(self._baseline, self._order, "baseline")
        why = self._needless()
        if why:
            return self.outcome(why)
        stop = self._drive()
        self._measure_best()
        self._hold_to_constraints()
        return self.outcome(stop)

    def outcome(self, stop: str) -> Outcome:
        """What the search knows now."""
        return Outcome(self._best or self._standings.best, self._standings.evidence, stop)

    def _measurable(self, val: int) -> int:
        """How many val examples the given program is run on: a fifth of the room, 10 at least."""
        allowed = self._allows()
        return min(allowed, max(min(10, val), allowed // 5))

    def _allows(self) -> int:
        return self._wired.meter.allows(len(self._job.predictors))

    def _needless(self) -> str:
        """Why there is nothing to do, if so."""
        if all(predictor.path in self._frozen for predictor in self._job.predictors):
            return "nothing may change: every predictor is frozen"
        if not self._order:
            return "budget: nothing is left for the search"
        if headroom.full(self._scores()):
            return "no headroom: the program scores as high as the metric goes"
        return ""

    def _scores(self) -> list[float]:
        """The given program's scores on val."""
        seen = self._standings.evidence.rollouts(self._baseline).values()
        return [rollout.score.value for rollout in seen if not rollout.score.is_missing]

    def _keeps(self, candidate: Candidate) -> bool:
        """Whether a candidate that was run keeps the constraints of the compile."""
        return self._job.constraints.allows(self._standings.evidence.point(candidate))

    def _measure_best(self) -> None:
        """The end result on all of val where the room is there, else on as much as there is."""
        best = self._best or self._standings.best
        self._turnstile.kept = 0
        missing = self._standings.evidence.missing(best, self._order)
        room = self._allows()
        short = len(missing) > room and bool(self._standings.comparison(best).n)
        if best is self._baseline or not missing or short:
            return
        try:
            self._standings.measure(best, missing[:room], "final")
        except RunStopped as stop:
            if not _is_budget(stop):
                raise
            self._wired.ledger.resume()

    def _hold_to_constraints(self) -> None:
        """Of what was run, the best that keeps what was asked, or the cheapest good enough."""
        limits, evidence = self._job.constraints, self._standings.evidence
        best = self._best or self._standings.best
        if limits == FREE or best is self._baseline:
            return
        if not self._keeps(best):
            self._note(
                f"{best.id} of {self._choice.name} breaks the constraints and is not shipped"
            )
            best = self._standings.best
        wanted = limits.choose(evidence.points(), best.id)
        self._best = next(each for each in evidence.candidates if each.id == wanted)

    def _drive(self) -> str:
        """Let the optimizer work; why it ended. What it found is in `_best` or the standings."""
        room, watch = self._made_ready()
        try:
            returned = self._optimized(room, watch)
        except RunStopped as stop:
            self._close(watch, stop)
            if watch.broken is not None:
                raise watch.broken from None
            if not _is_budget(stop):
                raise
            self._wired.ledger.resume()
            self._fall_back()
            return stop.reason
        except CompilmError:
            self._close(watch, RunStopped("the optimizer failed"))
            raise
        except Exception as error:  # border: the optimizer's own code
            self._close(watch, RunStopped("the optimizer failed"))
            return self._failed(error)
        self._close(watch, RunStopped("the optimizer has ended"))
        self._best = self._returned(returned)
        return f"{self._choice.name} came to its end"

    def _close(self, watch: Watch, stop: RunStopped) -> None:
        """Let no execution and no call of the optimizer's pass any more, in no thread of its."""
        self._gate.close(stop)
        self._turnstile.wait()
        watch.flush()

    def _optimized(self, room: Room, watch: Watch) -> Any:
        job, choice = self._job, self._choice
        habits = Habits(
            watch.execute,
            frozen=tuple(self._frozen),
            own_signatures=choice.writes_into_signatures,
            show_source=choice.shows_source,
        )
        student = student_of(self._program, habits)
        if choice.wants_lms:
            for predictor in predictors(student).values():
                predictor.lm = predictor.lm or room.lm
        scope = Scope()
        edges = Edges(self._standings, self._states, self._cells, self._turnstile, scope)
        callbacks = [*(dspy.settings.callbacks or []), self._wired.guard, edges]
        token = SCOPE.set(scope)
        try:
            with quiet(), dspy.context(
                lm=room.lm, callbacks=callbacks, num_threads=job.concurrency, max_errors=10**9,
                trace=None, usage_tracker=None, disable_history=True,
            ):  # fmt: skip
                optimizer, fit = build(choice, room)
                self._tell(fit.told)
                return optimizer.compile(student, **fit.called)
        except KeyboardInterrupt:
            self._wired.guard.interrupt()
            raise RunStopped("interrupted") from None
        finally:
            SCOPE.reset(token)
            edges.settle_calls()
            if edges.fault is not None:
                raise edges.fault

    def _made_ready(self) -> tuple[Room, Watch]:
        """The room for the optimizer, and the watch over it."""
        job, wired = self._job, self._wired
        default = wired.role("default", job.roles["default"], self._gate)
        proposer = wired.role("proposer", job.roles.get("proposer", job.roles["default"]),
                              self._gate)  # fmt: skip
        named = {id(lm): role for role, lm in job.roles.items()}
        self._program = copied(job.program)
        models.exchange(
            self._program,
            lambda lm: wired.role(named.get(id(lm), str(lm.model)), lm, self._gate),
        )
        lms = {path: each.lm for path, each in predictors(self._program).items()}
        self._states = States(job.predictors, lms, default)
        self._cells = Cells({"train": job.train, "val": job.val})
        if not self._choice.scores_on_val:
            self._turnstile.kept = min(len(self._order), self._allows() // 2)
        scores = self._scores()
        mean = math.fsum(scores) / len(scores) if scores else 0.5
        watch = Watch(
            job.metric,
            self._cells,
            self._states,
            self._standings,
            self._turnstile,
            guard=wired.guard,
            writer=wired.writer,
            clock=job.clock,
            neutral=mean,
        )
        order = rng(job.seed, "driven train").sample(range(len(job.train)), len(job.train))
        room = Room(
            self._rollouts(),
            len(job.predictors),
            mean,
            [job.train[index] for index in order],
            [job.val[index] for index in self._order],
            watch.metric,
            default,
            proposer,
            {"lm": proposer.copy()} if "proposer" in job.roles else {},
            job.concurrency,
            job.seed,
        )
        return room, watch

    def _rollouts(self) -> int:
        """What the optimizer may execute: what the budget leaves, or what a level would."""
        left = self._allows() - self._turnstile.kept
        if left > _UNLIMITED:
            return PASSES * max(30, len(self._order))
        if self._job.budget.calls is not None and self._choice.proposes:
            left = int(left * _FOR_PROPOSALS)
        return max(0, left)

    def _returned(self, program: Any) -> Candidate:
        """The candidate that the optimizer gave back, which may be the given program."""
        if not isinstance(program, dspy.Module):
            raise UsageError(
                f"{self._choice.name} gave back {type(program).__name__} and no program"
            )
        return self._standings.candidate_of(self._states.predictors_of(program))

    def _fall_back(self) -> None:
        """The optimizer was stopped: the best by val, else the best by train, is its result."""
        if self._standings.best is self._baseline:
            self._best = None if self._choice.scores_on_val else self._standings.favourite()

    def _failed(self, error: Exception) -> str:
        """What to do when the optimizer raised: go on with what it found, or say why not."""
        told = f"{type(error).__name__}: {error}"[:300]
        name = self._choice.name
        outage = _outage(error)
        if outage is not None:
            why = f"the proposer's model failed {name} ({type(outage).__name__})"
            raise RunStopped(why, cause=ProviderRejected(why)) from error
        self._fall_back()
        best = self._best or self._standings.best
        if best is self._baseline and len(self._standings.evidence.candidates) == 1:
            raise UsageError(
                f"{name} failed before it had tried anything: {told}. Change its options, or use "
                "level= instead"
            ) from error
        self._note(f"{name} failed ({told}); what it had found by then goes on as {best.id}")
        return f"{name} failed: {type(error).__name__}"

    def _tell(self, told: Mapping[str, Any]) -> None:
        """Notes on the settings that were chosen and on what this optimizer cannot do here."""
        name = self._choice.name
        if told:
            chosen = ", ".join(f"{key} {value}" for key, value in told.items())
            self._note(f"{name} runs with {chosen}: chosen to fit the budget")
        mixes = self._choice.kind in ("GEPA", "BetterTogether")
        pairs = same_signatures(self._job.program) if mixes else ()
        for one, other in pairs:
            self._note(
                f"{name} tells predictors apart by their signature, and {one!r} and {other!r} "
                "have the same: it mixes up their traces until their instructions differ"
            )

    def _note(self, text: str) -> None:
        writer = self._wired.writer
        past = writer.journal.read(writer.run, kinds=["note"])
        if all(record.body["text"] != text for record in past):
            writer.note(text)


def _outage(error: BaseException) -> BaseException | None:
    """The failed model call that `error` came from, if any: optimizers wrap them."""
    seen: BaseException | None = error
    while seen is not None:
        failed = isinstance(seen, dspy.LMError)
        if failed and models.is_infrastructure(seen):
            return seen
        seen = seen.__cause__ or seen.__context__
    return None


def _is_budget(stop: RunStopped) -> bool:
    return stop.reason.startswith("budget")
