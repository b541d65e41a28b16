"""What the incumbent got wrong, as lessons for a proposer: in training examples and in races.

Failures in races cost nothing more, but they are validation examples: only a part of them may
ever be shown on the way to a candidate, and those no longer count for it.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..datasets import DataSet
from .candidate import Candidate
from .evidence import Evidence
from .propose.base import Lesson
from .rollout import Rollout

__all__ = ["lessons"]

_SHARE = 0.25  # of the validation examples may be shown in one line of candidates


def lessons(
    incumbent: Candidate,
    train: DataSet,
    seen: Sequence[Rollout],
    val: DataSet,
    evidence: Evidence,
) -> list[Lesson]:
    """The incumbent's rollouts below a full score, those on training examples first."""
    places = {id: index for index, id in enumerate(train.ids)}
    found = [
        Lesson(train[places[rollout.example]], rollout)
        for rollout in seen
        if _failed(rollout) and rollout.example in places
    ]
    left = int(_SHARE * len(val)) - len(incumbent.shown)
    for index, rollout in evidence.rollouts(incumbent).items():
        if not _failed(rollout) or (left <= 0 and rollout.example not in incumbent.shown):
            continue
        left -= rollout.example not in incumbent.shown
        better = _best(index, rollout, evidence)
        found.append(Lesson(val[index], rollout, better, held=True))
    return found


def _failed(rollout: Rollout) -> bool:
    return not rollout.score.is_missing and rollout.score.value < 1


def _best(index: int, rollout: Rollout, evidence: Evidence) -> Rollout | None:
    """Another candidate's rollout on the same example that scored higher, the first such."""
    for candidate in evidence.candidates:
        other = evidence.rollouts(candidate).get(index)
        if other is not None and other.score.value > rollout.score.value:
            return other
    return None
