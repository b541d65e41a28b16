"""Demonstrations per call: the whole pool goes along, the same for every move, leaking nothing."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any, Literal

import dspy
import pytest
from tests.optimizers.propose.test_demos import PREDICTOR, rollout, scene, train

import compilm
from compilm.artifact import Field, Nearest, Predictor
from compilm.optimizers import recipes
from compilm.optimizers.candidate import Candidate
from compilm.optimizers.propose import nearest
from compilm.optimizers.propose.base import Scene
from compilm.optimizers.propose.both import Both
from compilm.optimizers.propose.demos import Demos, Swap
from compilm.optimizers.propose.merge import Merge
from compilm.optimizers.propose.nearest import NearestDemos
from compilm.optimizers.recipes import Recipe
from compilm.programs.nearest import EMBEDDER
from compilm.runtime.embedded import embedded_lm

DATA = train(*((f"t{n}", "red" if n % 2 else "blue") for n in range(20)))


def proposed(move: NearestDemos, given: Scene) -> Predictor:
    proposal = move(given)
    assert proposal is not None
    return proposal.changes["sort"]


def pool_of(predictor: Predictor) -> list[str]:
    assert predictor.nearest is not None
    return [demo["text"] for demo in predictor.nearest.pool]


def test_every_labeled_example_is_in_the_pool_in_the_order_of_the_data() -> None:
    proposal = NearestDemos(4)(scene(DATA))
    assert proposal is not None
    assert (proposal.move, proposal.note) == ("nearest demos", "4 a call for sort")
    state = proposal.changes["sort"]
    assert state.nearest is not None
    assert (state.nearest.k, state.nearest.embedder, state.demos) == (4, EMBEDDER, ())
    assert pool_of(state) == [f"t{n}" for n in range(20)]


def test_two_moves_of_one_scene_share_a_pool_whatever_their_chance() -> None:
    one, other = scene(DATA), replace(scene(DATA), rng=random.Random(7))
    assert pool_of(proposed(NearestDemos(4), one)) == pool_of(proposed(NearestDemos(8), other))
    assert proposed(NearestDemos(4), one) == proposed(NearestDemos(4), other)


def test_some_demos_can_stay() -> None:
    proposal = NearestDemos(4, fixed=6)(scene(DATA))
    assert proposal is not None
    assert proposal.note == "4 a call for sort, 6 fixed"
    state = proposal.changes["sort"]
    assert sorted(demo["label"] for demo in state.demos) == ["blue"] * 3 + ["red"] * 3
    assert len(pool_of(state)) == 20


def test_old_demos_make_room() -> None:
    shown = replace(PREDICTOR, demos=({"text": "old", "label": "red"},))
    assert proposed(NearestDemos(4), scene(DATA, predictor=shown)).demos == ()


def test_an_example_that_stands_twice_is_in_the_pool_once() -> None:
    data = train(("a", "red"), ("a", "blue"), ("b", "red"), ("c", "red"))
    assert sorted(pool_of(proposed(NearestDemos(1), scene(data)))) == ["a", "b", "c"]


def test_a_pool_that_would_be_shown_whole_is_none() -> None:
    assert NearestDemos(20)(scene(DATA)) is None
    assert NearestDemos(15, fixed=5)(scene(DATA)) is None
    assert NearestDemos(19)(scene(DATA)) is not None
    assert NearestDemos(1)(scene(train((None, "red")))) is None


def test_good_rollouts_make_a_pool_where_the_data_has_no_labels() -> None:
    data = train(*((f"t{n}", None) for n in range(6)))
    seen = [rollout(f"t{n}", 1.0 if n < 4 else 0.0) for n in range(6)]
    state = proposed(NearestDemos(2), scene(data, seen))
    assert pool_of(state) == ["t0", "t1", "t2", "t3"]
    assert state.nearest is not None
    assert state.nearest.pool[0]["reasoning"] == "Because."


def test_a_large_pool_is_thinned_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearest, "LARGEST", 5)
    assert pool_of(proposed(NearestDemos(2), scene(DATA))) == ["t0", "t4", "t8", "t12", "t16"]


def test_predictors_that_see_pictures_only_are_left_alone() -> None:
    blind = replace(PREDICTOR, inputs=(Field("text", "dspy.Image"),))
    assert NearestDemos(2)(scene(DATA, predictor=blind)) is None
    other = replace(PREDICTOR, path="other")
    both = NearestDemos(2)(scene(DATA, tunable=(blind, other)))
    assert both is not None
    assert list(both.changes) == ["other"]


def test_every_predictor_that_may_change_is_changed_and_no_other() -> None:
    other = replace(PREDICTOR, path="other")
    for tunable in ((PREDICTOR, other), (other,)):
        proposal = NearestDemos(2)(scene(DATA, tunable=tunable))
        assert proposal is not None
        assert list(proposal.changes) == [predictor.path for predictor in tunable]
    assert NearestDemos(2)(scene(DATA, tunable=())) is None


def test_what_looks_like_a_key_is_in_no_pool() -> None:
    data = train(("my key is sk-proj-" + "a1B2" * 12, "red"), ("b", "red"), ("c", "red"))
    assert pool_of(proposed(NearestDemos(1), scene(data))) == ["b", "c"]


def test_it_goes_together_with_other_moves() -> None:
    state = proposed(NearestDemos(4), scene(DATA))
    after = Both(NearestDemos(4), Demos("labeled", 2))(scene(DATA))
    assert after is not None
    assert (len(after.changes["sort"].demos), after.changes["sort"].nearest) == (2, state.nearest)
    assert Swap()(scene(DATA, predictor=state)) is None
    rest = replace(PREDICTOR, path="rest")
    given = replace(
        scene(DATA, tunable=(PREDICTOR, rest), gains={"c1": 0.0, "c5": 0.3}),
        incumbent=Candidate(0, (PREDICTOR, rest)),
        others=[Candidate(5, (state, rest)), Candidate(1, (PREDICTOR, rest))],
    )
    merged = Merge()(given)
    assert merged is not None
    assert merged.changes == {"sort": state}


TOPICS = {
    "cards": "card pin chip wallet",
    "claims": "roof storm water fence",
    "billing": "invoice charge refund bank",
    "travel": "flight hotel luggage visa",
}
WORDS = ("quickly", "again", "today", "please", "urgently", "somehow", "nearby", "lately")


def message(number: int) -> dspy.Example:
    """A message that its topic's words tell the desk of; the desks' names say nothing."""
    draw = random.Random(number)
    topic = list(TOPICS)[number % len(TOPICS)]
    told = [*draw.sample(TOPICS[topic].split(), 2), *draw.sample(WORDS, 3)]
    draw.shuffle(told)
    desk = f"desk {'ABCD'[number % len(TOPICS)]}"
    return dspy.Example(message=f"{' '.join(told)} {number}", desk=desk).with_inputs("message")


class Route(dspy.Signature):
    """Choose the desk."""

    message: str = dspy.InputField()
    desk: Literal["desk A", "desk B", "desk C", "desk D"] = dspy.OutputField()


def test_a_compile_with_it_is_proven_better_and_what_it_compiled_is_what_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    opening = (NearestDemos(3), NearestDemos(1))
    monkeypatch.setitem(
        recipes.LEVELS, 1, Recipe(opening, (Merge(),), width=1, patience=0, val_passes=4)
    )
    result = compilm.compile(
        dspy.Predict(Route),
        "exact(desk)",
        trainset=[message(n) for n in range(40)],
        valset=[message(n) for n in range(100, 140)],
        testset=[message(n) for n in range(200, 260)],
        level=1,
        roles={"default": embedded_lm("embedded/small")},
        journal=tmp_path / "run.db",
        progress="none",
    )
    assert result.verdict == "proven"
    assert result.gain.value > 0.3
    (state,) = result.artifact.predictors
    assert state.nearest is not None
    assert len(state.nearest.pool) == 80
    runtime = compilm.load(result.save(tmp_path / "built"), dspy.Predict(Route))
    asked = [message(n) for n in range(300, 340)]
    right = sum(runtime(message=each.message).desk == each.desk for each in asked)
    with dspy.context(lm=embedded_lm("embedded/small")):
        same = sum(result.program(message=each.message).desk == each.desk for each in asked)
    assert right == same
    assert right / len(asked) > 0.6
    page = (tmp_path / "built" / "report.html").read_text("utf-8")
    assert "none before, " in page
    assert f"{state.nearest.k} nearest of a pool of 80 (words-v1) after" in page


def test_a_compiled_program_is_compiled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(recipes.LEVELS, 1, Recipe((NearestDemos(3),), (Merge(),), patience=0))
    pool = tuple({"message": message(n).message, "desk": message(n).desk} for n in range(40))
    from compilm.programs.predictors import applied, shape

    plain = dspy.Predict(Route)
    state = replace(shape(plain)[0], nearest=Nearest(3, EMBEDDER, pool))
    given = applied(plain, {"self": state})
    result = compilm.compile(
        given,
        "exact(desk)",
        trainset=[message(n) for n in range(40)],
        valset=[message(n) for n in range(100, 130)],
        testset=[message(n) for n in range(200, 230)],
        level=1,
        roles={"default": embedded_lm("embedded/small")},
        progress="none",
    )
    assert result.candidate == "c0"
    assert result.artifact.predictors == (state,)
    assert result.artifact.content["scores"]["compiled"]["test"]["value"] > 0.6
