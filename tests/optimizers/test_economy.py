"""Economy: cheaper where it is shown to be no worse, and never on a guess."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from compilm.artifact import Nearest
from compilm.optimizers.candidate import Candidate
from compilm.optimizers.economy import Saving, savings, trial
from compilm.optimizers.rollout import Rollout

from .cells import candidate, predictor, rollout

DEMOS = tuple({"text": f"t{n}", "label": "red"} for n in range(9))
BEST, CHILD = candidate(0), candidate(1)


def saved(kind: str, to: str = "", **state: object) -> Candidate | None:
    own = replace(predictor(), **state)  # type: ignore[arg-type]
    best = Candidate(0, (own,))
    proposal = Saving("sort", kind, to).of(best, random.Random(0))  # type: ignore[arg-type]
    return best.child(1, proposal) if proposal else None


def test_models_are_tried_first_then_demos_twice_then_texts() -> None:
    found = savings(["a", "b"], ["cheap", "tiny"])
    assert [(s.kind, s.path, s.role) for s in found[:4]] == [
        ("model", "a", "cheap"), ("model", "a", "tiny"),
        ("model", "b", "cheap"), ("model", "b", "tiny"),
    ]  # fmt: skip
    assert [s.kind for s in found[4:]] == ["demos"] * 4 + ["text"] * 2
    assert [s.kind for s in savings(["a"], [])] == ["demos", "demos", "text"]
    assert savings([], ["cheap"]) == []


def test_half_of_the_demos_are_kept_in_their_order() -> None:
    found = saved("demos", demos=DEMOS)
    assert found is not None
    kept = found.predictors[0].demos
    assert len(kept) == 4
    assert [DEMOS.index(demo) for demo in kept] == sorted(DEMOS.index(demo) for demo in kept)
    assert found.size < Candidate(0, (replace(predictor(), demos=DEMOS),)).size


def test_of_demos_chosen_per_call_half_as_many_are_chosen() -> None:
    near = Nearest(8, "words-v1", DEMOS)
    found = saved("demos", nearest=near, demos=DEMOS[:2])
    assert found is not None
    state = found.predictors[0]
    assert state.nearest is not None
    assert (state.nearest.k, state.nearest.pool, len(state.demos)) == (4, DEMOS, 2)


def test_a_third_of_the_lines_goes_and_the_first_stays() -> None:
    text = "\n".join(f"Rule {n}." for n in range(9))
    found = saved("text", instructions=text)
    assert found is not None
    lines = found.predictors[0].instructions.splitlines()
    assert len(lines) == 6
    assert lines[0] == "Rule 0."
    assert lines == [line for line in text.splitlines() if line in lines]


def test_another_model_is_named_by_its_role() -> None:
    found = saved("model", "cheap")
    assert found is not None
    assert (found.predictors[0].role, found.move, found.note) == (
        "cheap",
        "cheaper model",
        "sort cheap",
    )


@pytest.mark.parametrize(
    ("kind", "state"),
    [
        ("demos", {}),
        ("demos", {"demos": DEMOS[:1]}),
        ("demos", {"nearest": Nearest(1, "words-v1", DEMOS)}),
        ("text", {"instructions": "a\nb\nc\nd\ne"}),
        ("model", {"role": "cheap"}),
    ],
)
def test_where_there_is_nothing_to_save_nothing_is_proposed(
    kind: str, state: dict[str, object]
) -> None:
    assert saved(kind, "cheap", **state) is None


Rule = Callable[[int], float]


def tried(
    rule: Rule, n: int = 60, rollouts: int = 10**6, best: Rule = lambda place: float(place % 2)
) -> tuple[str, int]:
    """The outcome of a trial in which the child scores by a rule, and how much was run."""
    ran: list[tuple[Candidate, int]] = []

    def run(work: Sequence[tuple[Candidate, int]]) -> list[Rollout]:
        ran.extend(work)
        return [
            rollout(who, str(place), best(place) if who is BEST else rule(place))
            for who, place in work
        ]

    found = trial(CHILD, BEST, range(n), run, afford=lambda work: len(ran) + len(work) <= rollouts)
    return found.outcome, len(ran)


def test_a_child_that_scores_the_same_everywhere_replaces_the_winner() -> None:
    assert tried(lambda place: float(place % 2), n=200) == ("won", 400)


def test_a_child_that_scores_better_replaces_the_winner() -> None:
    assert tried(lambda _: 1.0) == ("won", 120)


def test_a_child_that_is_worse_is_given_up_early() -> None:
    assert tried(lambda _: 0.0) == ("dropped", 20)


def test_a_small_loss_is_not_taken_for_none() -> None:
    """Five points less, on too few examples to tell: the burden of proof is the child's."""
    outcome, _ = tried(lambda place: float(place % 2 and place % 20 != 1), n=200)
    assert outcome in {"lost", "dropped"}


def test_a_handful_of_examples_shows_nothing() -> None:
    assert tried(lambda place: float(place % 2), n=5)[0] == "lost"


def test_a_trial_that_does_not_fit_is_lost_and_costs_nothing_more() -> None:
    assert tried(lambda _: 1.0, rollouts=45) == ("lost", 40)
    assert tried(lambda _: 1.0, rollouts=0) == ("lost", 0)


def test_without_an_example_to_judge_on_nothing_is_saved() -> None:
    assert tried(lambda _: 1.0, n=0) == ("lost", 0)


def test_where_scores_are_missing_nothing_is_shown() -> None:
    assert tried(lambda _: float("nan"))[0] == "lost"


@pytest.mark.parametrize("loss", [0.1, 0.05])
def test_a_child_that_is_truly_worse_is_rarely_kept(loss: float) -> None:
    kept = 0
    for seed in range(100):
        draw = random.Random(seed)
        luck = [draw.random() for _ in range(100)]
        again = [draw.random() if draw.random() < 0.3 else one for one in luck]
        outcome, _ = tried(
            lambda place, again=again: float(again[place] < 0.7 - loss),  # type: ignore[misc]
            n=100,
            best=lambda place, luck=luck: float(luck[place] < 0.7),  # type: ignore[misc]
        )
        kept += outcome == "won"
    assert kept <= 10
