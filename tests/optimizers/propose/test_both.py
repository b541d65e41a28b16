"""Two moves in one: the second builds on the first, and either will do alone."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from compilm.optimizers.candidate import Proposal
from compilm.optimizers.propose.base import Scene
from compilm.optimizers.propose.both import Both

from .test_demos import PREDICTOR, scene, train


@dataclass(frozen=True)
class Say:
    """Adds a word to the instructions of every predictor; with none, has nothing to offer."""

    word: str

    @property
    def name(self) -> str:
        return f"say {self.word}"

    def __call__(self, made: Scene) -> Proposal | None:
        changes = {
            p.path: replace(p, instructions=f"{p.instructions} {self.word}") for p in made.tunable
        }
        return Proposal(self.name, changes, self.word) if self.word else None


def test_the_second_builds_on_what_the_first_changed() -> None:
    proposal = Both(Say("one"), Say("two"))(scene(train(("a", "red"))))
    assert proposal is not None
    assert proposal.changes["sort"].instructions == "Sort. one two"
    assert (proposal.move, proposal.note) == ("say one + say two", "one; two")


@pytest.mark.parametrize(
    ("first", "second", "move"), [("one", "", "say one"), ("", "two", "say two")]
)
def test_one_is_enough(first: str, second: str, move: str) -> None:
    proposal = Both(Say(first), Say(second))(scene(train(("a", "red"))))
    assert proposal is not None
    assert proposal.move == move


def test_two_that_have_nothing_have_nothing() -> None:
    assert Both(Say(""), Say(""))(scene(train(("a", "red")))) is None


def test_what_may_not_change_stays() -> None:
    proposal = Both(Say("one"), Say("two"))(scene(train(("a", "red")), tunable=()))
    assert proposal is not None
    assert PREDICTOR.path not in proposal.changes


def test_what_either_was_shown_was_shown_to_both() -> None:
    @dataclass(frozen=True)
    class Peek:
        id: str
        name: str = "peek"

        def __call__(self, made: Scene) -> Proposal | None:
            proposal = Say(self.id)(made)
            return replace(proposal, shown=frozenset({self.id})) if proposal else None

    proposal = Both(Peek("v1"), Peek("v2"))(scene(train(("a", "red"))))
    assert proposal is not None
    assert proposal.shown == {"v1", "v2"}
    alone = Both(Peek("v1"), Say(""))(scene(train(("a", "red"))))
    assert alone is not None
    assert alone.shown == {"v1"}
