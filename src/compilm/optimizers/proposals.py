"""From arms to candidates: what a move may see, what it proposes, and whether that may be raced."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import dspy

from ..artifact import Predictor
from ..datasets import DataSet
from ..randomness import rng
from .bandit import Arm
from .candidate import Candidate, Proposal
from .checks import TextChecks
from .evaluate import Evaluator
from .evidence import Evidence
from .lessons import lessons
from .propose.base import Scene
from .records import Writer
from .rollout import Rollout

__all__ = ["Ask", "Proposals"]

Ask = Callable[[dspy.Predict, dict[str, Any], int], Any]

_STUDIED = (12, 48)  # training examples the baseline is run on, for demos and reflection
_LATER = 32  # a later incumbent
_STUDY_SHARE = 12  # one in so many rollouts of the budget


class Proposals:
    """Asks moves for candidates, side by side, and admits them in order, each only once."""

    def __init__(
        self,
        train: DataSet,
        val: DataSet,
        evaluator: Evaluator,
        evidence: Evidence,
        writer: Writer,
        checks: TextChecks,
        ask: Ask,
        *,
        frozen: Sequence[str],
        seed: int,
    ) -> None:
        self._train, self._val, self._evaluator = train, val, evaluator
        self._evidence, self._writer, self._checks, self._ask = evidence, writer, checks, ask
        self._frozen, self._seed = frozenset(frozen), seed
        self.study = rng(seed, "study").sample(range(len(train)), min(len(train), _STUDIED[1]))
        self._known = {evidence.baseline.digest}
        self._asked = 0
        checks.learn(evidence.baseline)

    def fit_study(self, allowed: int) -> None:
        """Study no more training examples than a budget of so many rollouts bears."""
        least, most = _STUDIED
        self.study = self.study[: max(least, min(most, allowed // _STUDY_SHARE))]

    def tunable(self, incumbent: Candidate) -> tuple[Predictor, ...]:
        """The predictors that may change."""
        return tuple(p for p in incumbent.predictors if p.path not in self._frozen)

    def studied(self, incumbent: Candidate) -> list[Rollout]:
        """The incumbent's rollouts on the training examples that are studied."""
        first = incumbent is self._evidence.baseline
        study = self.study if first else self.study[:_LATER]
        return self._evaluator.run([(incumbent, index) for index in study], "train")

    def made(
        self, incumbent: Candidate, arms: Sequence[Arm], soon: Callable[[Candidate], None]
    ) -> list[tuple[Candidate, Arm]]:
        """New candidates, each with the arm it came of.

        `soon` is told of those that are sure to come before the others' answers are here.
        """
        moves = list(zip([arm.move for arm in arms], self._scenes(incumbent, arms), strict=True))
        found = {scene.number: move(scene) for move, scene in moves if not move.asks}
        asking = [(move, scene) for move, scene in moves if move.asks]
        if asking:
            for number, proposal in found.items():
                if proposal is not None and self._changes_demos_only(incumbent, proposal):
                    child = incumbent.child(number, proposal)
                    if child.digest not in self._known:
                        soon(child)
        tasks = [partial(move, scene) for move, scene in asking]
        answers = self._evaluator.executor.side_by_side(tasks)
        found |= zip([scene.number for _, scene in asking], answers, strict=True)
        admitted = [self._admitted(incumbent, s.number, found[s.number]) for _, s in moves]
        return [(child, arm) for child, arm in zip(admitted, arms, strict=True) if child]

    def admitted(self, incumbent: Candidate, proposal: Proposal | None) -> Candidate | None:
        """The candidate a proposal makes, if it may be raced and is a new one."""
        self._asked += 1
        return self._admitted(incumbent, self._asked, proposal)

    def _changes_demos_only(self, incumbent: Candidate, proposal: Proposal) -> bool:
        """Whether nothing can refuse it, whatever the others propose: texts are read."""
        texts = {path: state.instructions for path, state in proposal.changes.items()}
        return all(incumbent.by_path[path].instructions == text for path, text in texts.items())

    def _admitted(
        self, incumbent: Candidate, number: int, proposal: Proposal | None
    ) -> Candidate | None:
        if proposal is None:
            return None
        refusal = self._checks.refusal(incumbent, proposal)
        child = incumbent.child(number, proposal)
        if refusal:
            self._writer.append("refused", {"move": proposal.move, "reason": refusal})
        if refusal or child.digest in self._known:
            return None
        self._known.add(child.digest)
        self._checks.learn(child)
        self._evidence.add(child)
        self._writer.append("candidate", child.to_json())
        return child

    def _scenes(self, incumbent: Candidate, arms: Sequence[Arm]) -> list[Scene]:
        """What each arm's move may see: the same for all but the predictors and the chance."""
        seen = self.studied(incumbent)
        gains = self._evidence.gains()
        failed = lessons(incumbent, self._train, seen, self._val, self._evidence)
        others = [c for c in self._evidence.candidates if c.id in gains and c is not incumbent]
        others.sort(key=lambda c: -gains[c.id])
        scenes = []
        for arm in arms:
            self._asked += 1
            tunable = tuple(p for p in self.tunable(incumbent) if arm.path in (None, p.path))
            chance = rng(self._seed, "propose", self._asked)
            scenes.append(
                Scene(
                    incumbent,
                    self._train,
                    seen,
                    failed,
                    tunable,
                    others,
                    gains,
                    self._ask,
                    self._asked,
                    chance,
                )
            )
        return scenes
