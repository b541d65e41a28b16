"""Demonstrations: whole, good, each once, spread over the answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import Any

import dspy
from hypothesis import given, settings
from hypothesis import strategies as st

from compilm.artifact import Field, Nearest, Predictor
from compilm.datasets import DataSet, as_dataset
from compilm.metrics import Score
from compilm.optimizers.candidate import Candidate
from compilm.optimizers.propose.base import Lesson, Scene
from compilm.optimizers.propose.both import Both
from compilm.optimizers.propose.demos import (
    Attributed,
    Demos,
    Swap,
    Usual,
    bootstrapped,
    labeled,
    spread,
    usual,
)
from compilm.optimizers.propose.nearest import NearestDemos
from compilm.optimizers.rollout import Rollout, Step

PREDICTOR = Predictor(
    "sort", "default", (Field("text", "str"),), (Field("reasoning", "str"), Field("label", "str")),
    "Sort.",
)  # fmt: skip


def train(*pairs: tuple[Any, Any]) -> DataSet:
    rows = [dspy.Example(text=text, label=label).with_inputs("text") for text, label in pairs]
    return as_dataset(rows, name="train")


def rollout(text: str, value: float | None = 1.0, label: str = "red", **more: Any) -> Rollout:
    score = Score.unscored("outage") if value is None else Score(value)
    outputs = {"reasoning": "Because.", "label": label, "extra": 1}
    steps = (Step("sort", {"text": text}, outputs), Step("other", {"text": text}, outputs))
    return Rollout("c0", "d", "train", text, score, outputs, steps, **more)


def scene(
    data: DataSet,
    seen: Sequence[Rollout] = (),
    predictor: Predictor = PREDICTOR,
    tunable: tuple[Predictor, ...] | None = None,
    lessons: Sequence[Lesson] = (),
    others: Sequence[Candidate] = (),
    gains: Mapping[str, float] | None = None,
    seed: int = 0,
) -> Scene:
    """What a move is given: one predictor as the incumbent, and what a test adds to it."""
    return Scene(
        Candidate(0, (predictor,)),
        data,
        seen,
        lessons,
        (predictor,) if tunable is None else tunable,
        others,
        gains or {},
        lambda *_: None,
        1,
        Random(seed),
    )


def test_the_data_gives_demos_where_it_has_every_field() -> None:
    data = train(("a", "red"), ("b", None), (None, "red"), ("c", "blue"))
    assert labeled(PREDICTOR, data) == [
        {"text": "a", "label": "red"},
        {"text": "c", "label": "blue"},
    ]
    assert labeled(replace(PREDICTOR, outputs=(Field("absent", "str"),)), data) == []
    assert labeled(replace(PREDICTOR, outputs=(Field("reasoning", "str"),)), data) == []


def test_perfect_rollouts_alone_are_shown_where_there_are_some() -> None:
    seen = [rollout("a"), rollout("b", 0.9), rollout("c", 0.0), rollout("d", None)]
    assert bootstrapped(PREDICTOR, seen) == [{"text": "a", "reasoning": "Because.", "label": "red"}]


def test_without_perfect_rollouts_the_best_third_above_0_is_shown() -> None:
    values = [0.1, 0.5, 0.9, 0.3, 0.2, 0.8, 0.0, None]
    seen = [rollout(str(n), value) for n, value in enumerate(values)]
    assert [demo["text"] for demo in bootstrapped(PREDICTOR, seen)] == ["2", "5"]
    assert bootstrapped(PREDICTOR, [rollout("a", 0.0)]) == []
    assert [demo["text"] for demo in bootstrapped(PREDICTOR, [rollout("a", 0.2)])] == ["a"]


def test_a_rollout_that_raised_is_no_example() -> None:
    assert bootstrapped(PREDICTOR, [rollout("a", 1.0, error="KeyError: 'x'")]) == []


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 12), st.lists(st.sampled_from("abc"), max_size=30), st.randoms())
def test_demos_are_spread_over_the_answers_as_evenly_as_the_pool_allows(
    k: int, labels: list[str], draw: Random
) -> None:
    pool = [{"text": str(n), "label": label} for n, label in enumerate(labels)]
    chosen = spread(pool, PREDICTOR, k, draw)
    assert len(chosen) == min(k, len(pool))
    assert len({demo["text"] for demo in chosen}) == len(chosen)
    alone = {label for label, count in Counter(labels).items() if count == 1}  # one group
    held = Counter("" if label in alone else label for label in labels)
    taken = Counter("" if demo["label"] in alone else demo["label"] for demo in chosen)
    assert all(taken[b] + 1 >= taken[a] for a in held for b in held if taken[b] < held[b])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 8), st.integers(0, 20), st.randoms())
def test_free_answers_are_drawn_uniformly(k: int, size: int, draw: Random) -> None:
    pool = [{"text": str(n), "label": f"answer {n}"} for n in range(size)]
    assert len(spread(pool, PREDICTOR, k, draw)) == min(k, size)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xy")), max_size=20), st.randoms())
def test_no_input_is_shown_twice_and_the_first_answer_to_it_stays(
    pairs: list[tuple[str, str]], draw: Random
) -> None:
    pool = [{"text": text, "label": label} for text, label in pairs]
    chosen = spread(pool, PREDICTOR, 9, draw)
    first = dict(reversed(pairs))
    assert {demo["text"]: demo["label"] for demo in chosen} == first
    assert len(chosen) == len(first)


def test_a_move_shows_k_demos_to_every_predictor_that_may_change() -> None:
    data = train(*((f"t{n}", "red" if n % 2 else "blue") for n in range(20)))
    proposal = Demos("labeled", 6)(scene(data))
    assert proposal is not None
    assert (proposal.move, list(proposal.changes)) == ("labeled demos", ["sort"])
    assert len(proposal.changes["sort"].demos) == 6
    assert Demos("labeled", 6)(scene(data, tunable=())) is None


def test_a_source_that_has_nothing_is_served_by_the_other() -> None:
    only_made = Demos("labeled", 2)(scene(train((None, "red")), [rollout("a")]))
    only_own = Demos("bootstrapped", 2)(scene(train(("a", "red"))))
    mixed = Demos("mixed", 2)(scene(train(("a", "red"))))
    assert only_made is not None
    assert only_made.changes["sort"].demos[0]["reasoning"] == "Because."
    assert only_own is not None
    assert mixed is not None
    assert only_own.changes["sort"].demos == mixed.changes["sort"].demos
    assert Demos("mixed", 2)(scene(train((None, "red")))) is None


def test_a_mixture_never_shows_an_example_twice() -> None:
    data = train(*((f"t{n}", "red") for n in range(4)))
    seen = [rollout(f"t{n}") for n in range(4)]
    proposal = Demos("mixed", 8)(scene(data, seen))
    assert proposal is not None
    demos = proposal.changes["sort"].demos
    assert sorted(demo["text"] for demo in demos) == ["t0", "t1", "t2", "t3"]
    assert Counter("reasoning" in demo for demo in demos) == {True: 4}


def test_a_mixture_is_half_made_and_half_labeled() -> None:
    data = train(*((f"t{n}", "red") for n in range(20)))
    proposal = Demos("mixed", 8)(scene(data, [rollout(f"t{n}") for n in range(20)]))
    assert proposal is not None
    made = Counter("reasoning" in demo for demo in proposal.changes["sort"].demos)
    assert made == {True: 4, False: 4}


def test_a_swap_changes_a_part_for_others() -> None:
    data = train(*((f"t{n}", "red") for n in range(20)))
    shown = tuple({"text": f"t{n}", "label": "red"} for n in range(8))
    proposal = Swap(0.25)(scene(data, predictor=replace(PREDICTOR, demos=shown)))
    assert proposal is not None
    texts = {demo["text"] for demo in proposal.changes["sort"].demos}
    assert (len(texts), len(texts & {demo["text"] for demo in shown})) == (8, 6)
    assert (proposal.move, proposal.note) == ("swapped demos", "2 of sort")


def test_a_swap_needs_demos_and_others() -> None:
    assert Swap()(scene(train(("a", "red")))) is None
    shown = replace(PREDICTOR, demos=({"text": "a", "label": "red"},))
    assert Swap()(scene(train(("a", "red")), predictor=shown)) is None
    assert Swap()(scene(train((None, "x")), [rollout("b")], predictor=shown)) is not None


def test_every_predictor_that_may_change_is_changed_and_no_other() -> None:
    other = replace(PREDICTOR, path="other")
    data = train(("a", "red"), ("b", "red"))
    for tunable in ((PREDICTOR, other), (other,)):
        proposal = Demos("labeled", 2)(scene(data, tunable=tunable))
        assert proposal is not None
        assert list(proposal.changes) == [predictor.path for predictor in tunable]


def test_what_looks_like_a_key_is_never_shown() -> None:
    data = train(("my key is sk-proj-" + "a1B2" * 12, "red"), ("b", "red"))
    assert [demo["text"] for demo in labeled(PREDICTOR, data)] == ["b"]
    assert bootstrapped(PREDICTOR, [rollout("sk-proj-" + "a1B2" * 12)]) == []


POOL = train(*((f"t{n}", "red" if n % 2 else "blue") for n in range(24)))


def shows(number: int, texts: Sequence[str]) -> Candidate:
    demos = tuple({"text": text, "label": "red"} for text in texts)
    return Candidate(number, (replace(PREDICTOR, demos=demos),), "demos", "c0")


def history(good: str, bad: str) -> tuple[list[Candidate], dict[str, float]]:
    """Candidates of six demos each; those with `good` gain, those with `bad` lose."""
    draw, others, gains = Random(0), [], {"c0": 0.0}
    for number in range(1, 31):
        texts = draw.sample([f"t{n}" for n in range(24)], 6)
        others.append(shows(number, texts))
        gains[f"c{number}"] = 0.3 * (good in texts) - 0.3 * (bad in texts)
    return others, gains


def attributed(seed: int, k: int = 6) -> list[str]:
    others, gains = history("t3", "t4")
    made = scene(POOL, others=others, gains=gains, predictor=shows(0, ["t3", "t4"]).predictors[0])
    proposal = Attributed(k)(replace(made, rng=Random(seed)))
    assert proposal is not None
    assert proposal.move == "attributed demos"
    return [demo["text"] for demo in proposal.changes["sort"].demos]


def test_demos_that_candidates_gained_by_are_shown_and_harmful_ones_are_not() -> None:
    often = Counter(text for seed in range(60) for text in attributed(seed, k=4))
    usual = 60 * 4 / 24
    assert often["t3"] > 2 * usual
    assert often["t4"] < usual / 2


def test_attributed_demos_are_as_many_as_asked_and_none_stands_twice() -> None:
    for seed in range(5):
        texts = attributed(seed)
        assert len(texts) == len(set(texts)) == 6
    assert len(set(map(tuple, (attributed(seed) for seed in range(5))))) == 5
    assert attributed(7) == attributed(7)


def test_a_demo_that_was_never_tried_gets_its_chance() -> None:
    others = [shows(n, [f"t{m}" for m in range(6)]) for n in range(1, 6)]
    gains = {"c0": 0.0} | {f"c{n}": 0.01 * n for n in range(1, 6)}
    seen = set()
    for seed in range(20):
        made = scene(POOL, others=others, gains=gains, predictor=others[0].predictors[0])
        proposal = Attributed(6)(replace(made, rng=Random(seed)))
        assert proposal is not None
        seen |= {demo["text"] for demo in proposal.changes["sort"].demos}
    assert {f"t{n}" for n in range(6, 24)} <= seen


def test_attribution_needs_demos_and_candidates_to_compare() -> None:
    others, gains = history("t3", "t4")
    assert Attributed(6)(scene(POOL, others=others, gains=gains)) is None
    shown = shows(0, ["t3"]).predictors[0]
    assert Attributed(6)(scene(POOL, predictor=shown, others=others[:1], gains=gains)) is None
    made = scene(POOL, predictor=shown, others=others, gains=gains, tunable=())
    assert Attributed(6)(made) is None


def test_a_pool_that_is_shown_anyway_stays_with_attributed_demos() -> None:
    near = Nearest(2, "words-v1", ({"text": "t1", "label": "red"},) * 3)
    others, gains = history("t3", "t4")
    shown = replace(shows(0, ["t3"]).predictors[0], nearest=near)
    proposal = Attributed(4)(scene(POOL, predictor=shown, others=others, gains=gains))
    assert proposal is not None
    assert proposal.changes["sort"].nearest == near


MOSTLY_NONE = train(*((f"t{i}", "none" if i % 3 else f"v{i}") for i in range(12)))
EVENLY = train(*((f"t{i}", ("red", "blue")[i % 2]) for i in range(12)))


def test_a_step_that_mostly_answers_the_same_is_shown_only_that() -> None:
    near = replace(PREDICTOR, nearest=Nearest(2, "words-v1", ({"text": "t1", "label": "v1"},) * 3))
    moved = Usual(4)(scene(MOSTLY_NONE, predictor=near))
    assert moved is not None
    assert (moved.move, moved.note) == ("usual demos", "up to 4 of one answer for sort")
    state = moved.changes["sort"]
    assert [demo["label"] for demo in state.demos] == ["none"] * 4
    assert len({demo["text"] for demo in state.demos}) == 4
    assert state.nearest is None
    assert len(usual(labeled(PREDICTOR, MOSTLY_NONE), PREDICTOR)) == 8


def test_where_no_answer_is_the_rule_there_are_no_usual_demos() -> None:
    assert Usual(4)(scene(EVENLY)) is None
    assert Usual(4)(scene(MOSTLY_NONE, tunable=())) is None
    assert usual([], PREDICTOR) == []


def test_what_a_step_mostly_answered_well_is_usual_where_the_data_do_not_say() -> None:
    seen = [rollout(f"t{n}", 1.0, "none" if n else "red") for n in range(4)]
    moved = Usual(2)(scene(train(*((f"t{n}", None) for n in range(4))), seen))
    assert moved is not None
    assert [demo["label"] for demo in moved.changes["sort"].demos] == ["none"] * 2


def test_the_other_steps_keep_what_another_move_gives_them() -> None:
    """Of two steps one mostly says nothing: it alone is shown its usual answer."""
    quiet = replace(PREDICTOR, path="quiet", outputs=(Field("detail", "str"),))
    rows = [
        dspy.Example(text=f"t{n}", label=f"v{n % 4}", detail="9" if n == 3 else "none")
        for n in range(12)
    ]
    data = as_dataset([row.with_inputs("text") for row in rows], name="train")
    given = scene(data, tunable=(PREDICTOR, quiet))
    both = Both(NearestDemos(3), Usual(2))(given)
    assert both is not None
    near = NearestDemos(3)(given)
    assert near is not None
    assert both.changes["sort"] == near.changes["sort"]
    assert [demo["detail"] for demo in both.changes["quiet"].demos] == ["none"] * 2
    assert both.changes["quiet"].nearest is None
    alone = scene(data, tunable=(PREDICTOR,))
    assert Both(NearestDemos(3), Usual(2))(alone) == NearestDemos(3)(alone)
