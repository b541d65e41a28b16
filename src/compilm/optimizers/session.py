"""One process's hold on a run: its parts wired, its models metered, its past read back.

The state the parts hold is what the journal said; a run that goes on finds every answer there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import chain
from typing import Any

import dspy

from ..artifact import secret_in
from ..engine import Layer, stack
from ..errors import ProgramError
from ..prices import Size
from ..programs import models
from .calls import SCOPE, Answer, Answers, Metered, Recorded, Scope
from .evaluate import Evaluator
from .executor import LocalExecutor
from .guard import Guard
from .job import Job
from .ledger import Ask, Ledger
from .meter import Meter
from .records import Writer
from .rollout import Rollout

__all__ = ["Session"]


class Session:
    """The parts of one run in this process."""

    def __init__(self, job: Job) -> None:
        self.job = job
        _check_frozen(job)
        _check_secrets(job)
        _check_roles(job)
        self.writer = Writer(job.journal, job.run, job.clock)
        self.answers = Answers()
        past = list(job.journal.read(job.run))
        self.ledger = Ledger(job.budget, job.clock, before_s=_seconds_before(past))
        self.meter = Meter(job.budget, self.answers, self.ledger)
        self.guard = Guard(self.ledger)
        self._sizes: defaultdict[str, Size] = defaultdict(Size)
        self._role_lms: dict[tuple[object, ...], dspy.LM] = {}
        self.executor = LocalExecutor(
            job.program,
            job.metric,
            job.splits,
            lm=self.role("default", job.roles["default"]),
            exchange=self._exchange,
            roles={role: self.role(role, lm) for role, lm in job.roles.items()},
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
        out: dict[tuple[str, str], list[Ask]] = {}
        for record in past:
            body = record.body
            if record.kind == "call.sent":
                asks = out.setdefault((body["role"], body["request"]), [])
                asks.append(Ask.from_json(body))
            elif record.kind == "call":
                ask, answer = out[body["role"], body["request"]].pop(0), Answer.from_json(body)
                self.answers.learn(body["key"], answer)
                self._sizes[body["role"]].answered(answer.output_tokens or 0)
                self.ledger.replay(tokens=answer.tokens or ask.tokens, usd=answer.usd)
            elif record.kind == "call.failed":
                out[body["role"], body["request"]].pop(0)
                self.ledger.replay_failed(Ask.from_json(body))
        for ask in chain(*out.values()):
            self.ledger.replay_lost(ask)
        made = [Rollout.from_json(record.body) for record in past if record.kind == "rollout"]
        outage = all(rollout.score.is_missing for rollout in made)  # then ask again
        for rollout in made:
            self.ledger.count_rollout()
            if not outage:
                self.evaluator.learn(rollout)

    def role(self, role: str, lm: dspy.LM, *above: Layer) -> dspy.LM:
        """The metered and recorded twin of a model, below the layers."""
        key = (models.identity(lm), *map(id, above))
        if key not in self._role_lms:
            engine = stack(
                models.as_engine(lm),
                *above,
                Recorded(role, lm, self.answers, self.writer, self.job.prices),
                self.job.retry,
                self._metered(role, str(lm.model)),
            )
            self._role_lms[key] = models.role_lm(engine, lm)
        return self._role_lms[key]

    def _metered(self, role: str, model: str) -> Metered:
        size = self._sizes[role]
        return Metered(role, model, self.ledger, self.writer, self.job.prices, size)

    def _exchange(self, lm: dspy.LM) -> dspy.LM:
        """The metered twin of an LM that the program brought along."""
        named = {id(known): role for role, known in self.job.roles.items()}
        return self.role(named.get(id(lm), str(lm.model)), lm)

    def ask(self, predict: dspy.Predict, fields: dict[str, Any], number: int) -> Any:
        """One request to the proposer's model; sampled, and drawn anew for every candidate."""
        role = self.job.roles.get("proposer", self.job.roles["default"])
        lm = self.role("proposer", role).copy(rollout_id=number, temperature=1.0)
        scope = Scope()
        token = SCOPE.set(scope)
        try:
            with dspy.context(lm=lm, disable_history=True, trace=None):
                return predict(**fields)
        except Exception as error:  # border: the proposer's model; a failed proposal is no proposal
            self.writer.note(f"the proposer failed in request {number}: {type(error).__name__}")
            return None
        finally:
            SCOPE.reset(token)
            self.meter.calls(scope.keys)


def _check_frozen(job: Job) -> None:
    paths = [predictor.path for predictor in job.predictors]
    unknown = [path for path in job.frozen if path not in paths]
    if unknown:
        raise ProgramError(f"freeze names {unknown[0]!r}; the program's predictors are {paths}")


def _check_roles(job: Job) -> None:
    """A role without a model is told, and never filled with another's."""
    for predictor in job.predictors:
        if predictor.role not in job.roles:
            raise ProgramError(
                f"predictor {predictor.path!r} asks for the role {predictor.role!r}, and no model "
                f"is bound to it: pass roles={{{predictor.role!r}: ...}} or set "
                f"[lm.{predictor.role}]"
            )


def _check_secrets(job: Job) -> None:
    """Refuse before anything is spent what an artifact could not carry in the end."""
    for predictor in job.predictors:
        found = secret_in(predictor.to_json())
        if found is not None:
            raise ProgramError(
                f"predictor {predictor.path!r} has at {found} what looks like a key or password: "
                "take it out, it would be written into the artifact"
            )


def _seconds_before(past: Sequence[Any]) -> float:
    """Seconds that earlier sessions of the run took, each from its opening to its last record."""
    total, opened, last = 0.0, None, 0.0
    for record in past:
        if record.kind == "session.opened":
            total += last - opened if opened is not None else 0.0
            opened = record.at
        last = record.at
    return total + (last - opened if opened is not None else 0.0)
