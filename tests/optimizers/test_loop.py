"""The search: it walks on while something wins, and says why it ends."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, ClassVar

from dspy import lm15

from compilm.artifact import Predictor
from compilm.metrics.stats import Estimate
from compilm.optimizers.budget import Budget
from compilm.optimizers.calls import Answer
from compilm.optimizers.candidate import Proposal
from compilm.optimizers.checks import TextChecks
from compilm.optimizers.decisions import estimate_json
from compilm.optimizers.loop import Limits, Outcome, Search
from compilm.optimizers.propose.base import Scene
from compilm.optimizers.race import BLOCK
from compilm.optimizers.recipes import Recipe
from compilm.optimizers.rollout import Rollout

from . import worlds
from .bench import Bench, bench


@dataclass(frozen=True)
class Say:
    """A move: new instructions, the same each time unless they end in a number sign."""

    text: str
    asks: ClassVar[bool] = True

    @property
    def name(self) -> str:
        return "say"

    def __call__(self, scene: Scene) -> Proposal | None:
        text = self.text.replace("#", str(scene.number))
        changes = {p.path: replace(p, instructions=text) for p in scene.tunable}
        return Proposal(self.name, changes) if text else None


GOOD = Say(f"Sort {worlds.WORD}.")
FLAT = Say("Sort, variant #.")


def search(made: Bench, recipe: Recipe, frozen: tuple[str, ...] = ()) -> Search:
    job = made.job
    return Search(
        recipe,
        made.baseline,
        job.train,
        job.val,
        made.evaluator,
        made.calls.writer,
        made.meter,
        lambda *_: None,
        checks=TextChecks((job.val, job.test)),
        seed=job.seed,
        limits=Limits(frozen=frozen),
    )


def searched(recipe: Recipe, frozen: tuple[str, ...] = (), **settings: Any) -> tuple[Outcome, Any]:
    with bench(**settings) as made:
        outcome = search(made, recipe, frozen).run()
        return outcome, made.records("decision")


def test_a_better_candidate_is_found_and_measured_on_everything() -> None:
    outcome, decisions = searched(Recipe((FLAT, GOOD), (FLAT,), width=1, patience=0))
    assert outcome.best.predictors[0].instructions == GOOD.text
    assert outcome.best_val is not None
    assert outcome.baseline_val is not None
    assert outcome.best_val.n == 40
    assert outcome.best_val.value > outcome.baseline_val.value
    assert [d["phase"] for d in decisions if d["outcome"] == "won"] == ["opening"]


# Too few validation examples to say anything about headroom: a search goes its whole way.
FEW = {"sizes": (40, 20, 60)}


def test_rounds_without_a_gain_end_it() -> None:
    outcome, _ = searched(Recipe((FLAT,), (FLAT,), width=1, patience=2), **FEW)
    assert outcome.stop == "no gain in 3 rounds"
    assert outcome.best.id == "c0"


def test_the_number_of_rounds_is_limited() -> None:
    outcome, _ = searched(Recipe((FLAT,), (FLAT,), width=1, patience=9, most_rounds=2), **FEW)
    assert outcome.stop == "all rounds were run"
    assert len(outcome.evidence.candidates) == 4


def test_the_same_words_are_never_raced_twice() -> None:
    outcome, _ = searched(Recipe((GOOD, GOOD, Say("")), (GOOD,), width=2, patience=1))
    assert len(outcome.evidence.candidates) == 2


def test_a_recipe_that_opens_with_nothing_only_measures() -> None:
    outcome, decisions = searched(Recipe())
    assert outcome.stop == "the level only measures"
    assert [d["outcome"] for d in decisions] == ["measured"]


def test_with_everything_frozen_nothing_is_tried() -> None:
    outcome, _ = searched(Recipe((GOOD,), (GOOD,)), frozen=("sort",))
    assert outcome.stop.startswith("nothing may change")


def test_a_perfect_program_leaves_nothing_to_find() -> None:
    perfect = worlds.scripted_lm(lambda request: worlds.reply(request, base=1.0))
    outcome, _ = searched(Recipe((GOOD,), (GOOD,)), lm=perfect)
    assert outcome.stop.startswith("no headroom")


def test_a_race_that_does_not_fit_is_not_begun() -> None:
    outcome, _ = searched(Recipe((GOOD,), (GOOD,)), budget=Budget(rollouts=30))
    assert outcome.stop == "budget: no race fits"
    assert len(outcome.evidence.candidates) == 1


def test_a_budget_below_one_pass_measures_what_fits() -> None:
    outcome, decisions = searched(Recipe(), budget=Budget(rollouts=7))
    assert outcome.baseline_val is not None
    assert (outcome.baseline_val.n, decisions[0]["n"]) == (7, 7)


def test_without_one_score_nothing_is_claimed() -> None:
    down = worlds.scripted_lm([lm15.ServerError("down")])
    outcome, decisions = searched(Recipe((GOOD,), (GOOD,), patience=0), lm=down)
    assert (outcome.baseline_val, outcome.best_val) == (None, None)
    assert decisions[0]["score"] is None


def test_what_was_found_before_a_stop_is_told() -> None:
    with bench() as made:
        walk = search(made, Recipe())
        walk.run()
        outcome = walk.outcome("interrupted")
        assert (outcome.stop, outcome.best.id) == ("interrupted", "c0")
        assert outcome.baseline_val is not None


def test_frozen_predictors_are_never_handed_to_a_move() -> None:
    class Two(worlds.Sorter):
        def __init__(self) -> None:
            super().__init__()
            self.other = worlds.Sorter()

    tunable: list[tuple[Predictor, ...]] = []

    @dataclass(frozen=True)
    class Look:
        name: str = "look"
        asks: ClassVar[bool] = False

        def __call__(self, scene: Scene) -> Proposal | None:
            tunable.append(scene.tunable)
            return None

    searched(Recipe((Look(),), (Look(),), patience=0), frozen=("sort",), program=Two())
    assert {p.path for seen in tunable for p in seen} == {"other.sort"}


def test_many_candidates_that_change_nothing_end_it_for_want_of_headroom() -> None:
    outcome, _ = searched(Recipe((FLAT,) * 4, (FLAT,), width=1, patience=9))
    assert outcome.stop == "no headroom: a gain above 0.02 is unlikely by what was tried"
    assert outcome.best.id == "c0"


def test_where_nothing_could_be_tried_nothing_is_said_about_headroom() -> None:
    outcome, _ = searched(Recipe((Say(""),), (Say(""),), width=1, patience=1), sizes=(40, 80, 60))
    assert outcome.baseline_val is not None
    assert outcome.baseline_val.n == 50
    assert outcome.stop == "no gain in 2 rounds"


def test_the_baseline_is_looked_at_by_a_tenth_of_the_budget_and_at_50_examples_at_most() -> None:
    nothing = Recipe((Say(""),), (Say(""),), width=1, patience=0)
    looks = {}
    for budget in (150, 300, 2000):
        _, decisions = searched(nothing, budget=Budget(rollouts=budget), sizes=(40, 80, 60))
        looks[budget] = decisions[0]["n"]
    assert looks == {150: 15, 300: 30, 2000: 50}


def test_a_baseline_without_a_fault_is_looked_at_everywhere() -> None:
    perfect = worlds.scripted_lm(lambda request: worlds.reply(request, base=1.0))
    outcome, decisions = searched(Recipe((GOOD,), (GOOD,)), lm=perfect, sizes=(40, 80, 60))
    assert outcome.stop.startswith("no headroom")
    assert decisions[0]["n"] == 80


class Climb:
    """Proposes one more exclamation mark each time it is asked; several at once are equal."""

    name = "climb"
    asks = False
    asked = 0

    def __call__(self, scene: Scene) -> Proposal | None:
        self.asked += 1
        text = f"{scene.incumbent.predictors[0].instructions}! (variant {scene.number})"
        changes = {p.path: replace(p, instructions=text) for p in scene.tunable}
        return Proposal(self.name, changes)


class Dull:
    """Proposes what changes nothing."""

    name = "dull"
    asks = False
    asked = 0

    def __call__(self, scene: Scene) -> Proposal | None:
        self.asked += 1
        return FLAT(scene)


def _climbing(request: lm15.Request) -> str:
    marks = str(request.system).count("!")
    return worlds.reply(request, base=0.2 + 0.1 * marks)


def test_a_move_that_wins_is_taken_again_also_where_it_was_tried_twice_in_a_round() -> None:
    climb, dull = Climb(), Dull()
    outcome, _ = searched(
        Recipe((Say(""),), (climb, dull), width=4, patience=9, most_rounds=6),
        lm=worlds.scripted_lm(_climbing),
        budget=Budget(rollouts=4000),
    )
    assert outcome.best.move == "climb"
    assert climb.asked > 2 * dull.asked


def test_what_may_not_be_tried_is_a_record_and_no_candidate() -> None:
    with bench() as made:
        long = Say("x" * 7000)
        outcome = search(made, Recipe((long,), (long,), width=1, patience=0)).run()
        assert (
            made.records("refused")
            == [{"move": "say", "reason": "sort: 7000 characters, at most 6000"}] * 2
        )
        assert len(outcome.evidence.candidates) == len(made.records("candidate")) == 1


def test_a_refused_proposal_leaves_its_place_in_the_opening_to_the_next_move() -> None:
    with bench(budget=Budget(rollouts=150)) as made:  # so little that the opening takes four
        long = Say("x" * 7000)
        outcome = search(made, Recipe((long, FLAT, long, FLAT, FLAT, GOOD, FLAT))).run()
        opened = [c.predictors[0].instructions for c in outcome.evidence.candidates[1:]]
        assert (len(opened), opened[-1]) == (4, GOOD.text)
        assert len(made.records("refused")) == 2


@dataclass(frozen=True)
class Show:
    """A move: so many demonstrations, without a question to anybody."""

    count: int
    name: str = "show"
    asks: ClassVar[bool] = False

    def __call__(self, scene: Scene) -> Proposal | None:
        demos = tuple({"text": e.text, "label": e.label} for e in list(scene.train)[: self.count])
        return Proposal(self.name, {p.path: replace(p, demos=demos) for p in scene.tunable})


def test_while_a_proposer_answers_the_race_of_what_needs_none_begins() -> None:
    shown, begun = count(1), threading.Event()

    def reply(request: lm15.Request) -> Any:
        if len(request.messages) > 1 and next(shown) == BLOCK:
            begun.set()
        return worlds.reply(request)

    @dataclass(frozen=True)
    class Wait(Say):
        """Good instructions that come once the other's first block is on its way."""

        def __call__(self, scene: Scene) -> Proposal | None:
            assert begun.wait(timeout=20)
            return super().__call__(scene)

    with bench(lm=worlds.scripted_lm(reply), concurrency=16) as made:
        outcome = search(made, Recipe((Wait(GOOD.text), Show(2)), (FLAT,), patience=0)).run()
        assert [c.move for c in outcome.evidence.candidates[:3]] == ["baseline", "say", "show"]
        cells = [(body["candidate"], body["example"]) for body in made.records("rollout")]
        assert len(cells) == len(set(cells)) == made.meter.spent().rollouts


def test_where_budget_is_scarce_nothing_is_begun_before_the_proposer_answered() -> None:
    begun: list[int] = []

    @dataclass(frozen=True)
    class Look(Say):
        """Good instructions; notes what was begun before they came."""

        def __call__(self, scene: Scene) -> Proposal | None:
            executor = made.evaluator.executor
            begun.append(len(executor._soon) + len(executor._early))
            return super().__call__(scene)

    with bench(budget=Budget(rollouts=70), concurrency=16) as made:
        search(made, Recipe((Look(GOOD.text), Show(2)), (FLAT,), width=12)).run()
    assert begun == [0]


def test_what_a_proposer_was_shown_is_neither_raced_nor_counted() -> None:
    @dataclass(frozen=True)
    class Peek:
        """Good instructions, written after a look at validation examples."""

        ids: frozenset[str]
        name: str = "peek"
        asks: ClassVar[bool] = True

        def __call__(self, scene: Scene) -> Proposal | None:
            proposal = GOOD(scene)
            return replace(proposal, move=self.name, shown=self.ids) if proposal else None

    with bench() as made:
        shown = frozenset(made.job.val.ids[:10])
        outcome = search(made, Recipe((Peek(shown),), (FLAT,), width=1, patience=0)).run()
        (candidate,) = [c for c in outcome.evidence.candidates if c.move == "peek"]
        ran = {
            body["example"]
            for body in made.records("rollout")
            if (body["digest"], body["split"]) == (candidate.digest, "val")
        }
    assert outcome.best == candidate
    assert ran == set(made.job.val.ids) - shown
    assert outcome.best_val is not None
    assert outcome.best_val.n == 30
    assert all(child.shown == shown for child in outcome.evidence.candidates[2:])


def test_an_estimate_is_written_by_its_fields() -> None:
    assert estimate_json(None) is None
    assert estimate_json(Estimate(0.5, 0.4, 0.6, 9)) == {
        "value": 0.5,
        "low": 0.4,
        "high": 0.6,
        "n": 9,
    }


def test_a_search_that_finds_everything_in_the_journal_walks_the_same_way() -> None:
    recipe = Recipe((FLAT, GOOD), (FLAT,), width=1, patience=0)
    with bench() as first:
        outcome = search(first, recipe).run()
        decisions = first.records("decision")
        with bench() as again:
            for body in first.records("call"):
                again.calls.answers.learn(body["key"], Answer.from_json(body))
            for body in first.records("rollout"):
                again.evaluator.learn(Rollout.from_json(body))
            assert search(again, recipe).run().best == outcome.best
            assert again.records("decision") == decisions
            assert again.records("call") == []
    assert [d["phase"] for d in decisions].count("final") == 1
