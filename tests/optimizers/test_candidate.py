"""A candidate is its words: equal words are equal candidates."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings

from compilm import canonical
from compilm.artifact import Nearest, Predictor
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


POOL = ({"text": "a"}, {"text": "abcde"}, {"text": "abc"})
LENGTHS = [len('{"text":"a"}'), len('{"text":"abcde"}'), len('{"text":"abc"}')]


def choosing(k: int = 2, pool: tuple[dict[str, object], ...] = POOL) -> Candidate:
    return Candidate(1, (replace(one(), nearest=Nearest(k, "words-v1", pool)),))


def test_a_choice_of_demonstrations_makes_another_candidate() -> None:
    digests = {
        each.digest
        for each in (Candidate(1, (one(),)), choosing(), choosing(3), choosing(2, POOL[:2]))
    }
    assert len(digests) == 4
    assert choosing().digest == choosing(2, tuple(dict(demo) for demo in POOL)).digest


def test_demonstrations_chosen_per_call_count_by_their_average_length() -> None:
    assert choosing(2).size == len("Sort.") + round(2 * sum(LENGTHS) / 3)
    assert choosing(9).size == len("Sort.") + sum(LENGTHS)
    assert choosing(9, ()).size == len("Sort.")


def test_its_record_names_a_pool_and_does_not_repeat_it() -> None:
    body = choosing().to_json()["predictors"]["sort"]
    digest = body["nearest"].pop("digest")
    assert body["nearest"] == {"k": 2, "embedder": "words-v1", "size": 3}
    assert digest == canonical.digest(list(POOL))


def test_a_candidate_without_a_pool_has_the_digest_it_always_had() -> None:
    """Journals know rollouts by it."""
    demo = {"text": "a"}
    assert Candidate(0, (one(demos=(demo,)),)).digest == canonical.digest(
        [["sort", "Sort.", [demo]]]
    )
