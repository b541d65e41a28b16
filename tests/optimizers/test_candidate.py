"""A candidate is its words: equal words are equal candidates."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings

from compilm.artifact import Predictor
from compilm.optimizers.candidate import BASELINE, Candidate, Proposal
from compilm.testing.strategies import predictors


def one(instructions: str = "Sort.", demos: tuple[dict[str, object], ...] = ()) -> Predictor:
    return Predictor("sort", "default", (), (), instructions, demos)


def test_a_child_has_the_changes_and_knows_where_it_came_from() -> None:
    rest = replace(one(), path="rest")
    parent = Candidate(0, (one(), rest))
    child = parent.child(3, Proposal("a move", {"sort": one("Better.")}, "why"))
    assert (child.id, child.parent, child.move, child.note) == ("c3", BASELINE, "a move", "why")
    assert child.by_path == {"sort": one("Better."), "rest": rest}
    assert parent.by_path["sort"] == one()


@settings(max_examples=20, deadline=None)
@given(predictors())
def test_the_digest_is_of_the_words_alone(predictor: Predictor) -> None:
    base = Candidate(0, (predictor,))
    assert base.child(7, Proposal("m", {}, "n")).digest == base.digest
    other = replace(predictor, instructions=predictor.instructions + "!")
    assert Candidate(0, (other,)).digest != base.digest


@settings(max_examples=20, deadline=None)
@given(predictors())
def test_every_demonstration_makes_a_candidate_longer(predictor: Predictor) -> None:
    longer = replace(predictor, demos=(*predictor.demos, {"x": "y"}))
    assert Candidate(0, (longer,)).size == Candidate(0, (predictor,)).size + len('{"x":"y"}')
    assert Candidate(0, (longer,)).digest != Candidate(0, (predictor,)).digest


def test_its_record_holds_everything_it_says() -> None:
    body = Candidate(2, (one(demos=({"text": "a"},)),), "m", "c0", "n").to_json()
    assert body["predictors"] == {"sort": {"instructions": "Sort.", "demos": [{"text": "a"}]}}
    assert (body["id"], body["number"], body["parent"]) == ("c2", 2, "c0")
