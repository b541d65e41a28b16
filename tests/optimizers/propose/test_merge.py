"""Merging: the best parts of several candidates, together with what they were shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from compilm.artifact import Nearest, Predictor
from compilm.optimizers.candidate import Candidate, Proposal
from compilm.optimizers.propose.base import Scene
from compilm.optimizers.propose.merge import Merge

from .test_demos import PREDICTOR, scene, train

DEMOS = tuple({"text": f"t{n}", "label": "red"} for n in range(4))
SECOND = replace(PREDICTOR, path="second", instructions="Check.")


def state(text: str, demos: int = 0, own: Predictor = PREDICTOR) -> Predictor:
    return replace(own, instructions=text, demos=DEMOS[:demos])


def candidate(number: int, *states: Predictor, shown: Sequence[str] = ()) -> Candidate:
    return Candidate(number, states, "say", "c0", shown=frozenset(shown))


def setting(
    incumbent: Candidate,
    others: Sequence[Candidate],
    gains: Mapping[str, float],
    tunable: Sequence[Predictor] | None = None,
    seed: int = 0,
) -> Scene:
    made = scene(train(("a", "red")), others=others, gains=gains, seed=seed)
    return replace(made, incumbent=incumbent, tunable=tuple(tunable or incumbent.predictors))


def merged(*scenes: Scene) -> list[Proposal]:
    return [proposal for one in scenes if (proposal := Merge()(one)) is not None]


def usual(proposals: Sequence[Proposal], path: str = "sort") -> Predictor:
    """The state that most proposals gave to a predictor."""
    states = [proposal.changes[path] for proposal in proposals if path in proposal.changes]
    return max(states, key=states.count)


def crowd() -> tuple[list[Candidate], dict[str, float]]:
    """Good words make 0.3 and four demos 0.2, each seen in losers too; never both at once."""
    texts = {"Sort.": 0.0, "Good words.": 0.3, "Poor words.": -0.3}
    found, gains = [], {}
    for number in range(24):
        text, demos = [*texts][number % 3], (0, 4, 2)[(number // 3) % 3]
        if (text, demos) == ("Good words.", 4):
            continue
        found.append(candidate(number + 1, state(text, demos)))
        gains[f"c{number + 1}"] = texts[text] + {0: 0.0, 4: 0.2, 2: -0.2}[demos]
    return found, gains


def test_words_and_demos_of_one_predictor_are_put_together_as_none_had_them() -> None:
    others, gains = crowd()
    incumbent = candidate(50, state("Sort.", 0))
    scenes = [setting(incumbent, others, {**gains, "c50": 0.0}, seed=s) for s in range(20)]
    found = usual(merged(*scenes))
    assert (found.instructions, found.demos) == ("Good words.", DEMOS)
    assert found not in [other.predictors[0] for other in others]


def test_each_predictor_gets_its_own_best_state() -> None:
    """Two candidates are each good at one step and bad at the other."""
    first, second = state("First well."), state("Check well.", own=SECOND)
    bad, worse = state("First badly."), state("Check badly.", own=SECOND)
    others = [candidate(n, first, worse) for n in (1, 2, 3)]
    others += [candidate(n, bad, second) for n in (4, 5, 6)]
    others += [candidate(n, bad, worse) for n in (7, 8, 9)]
    gains = dict.fromkeys(["c1", "c2", "c3", "c4", "c5", "c6"], 0.0)
    gains |= dict.fromkeys(["c7", "c8", "c9"], -0.4) | {"c0": 0.0}
    incumbent = candidate(0, PREDICTOR, SECOND)
    scenes = [setting(incumbent, others, gains, seed=seed) for seed in range(20)]
    proposals = merged(*scenes)
    assert usual(proposals).instructions == "First well."
    assert usual(proposals, "second").instructions == "Check well."


def test_what_the_sources_were_shown_was_shown_to_the_mixture() -> None:
    known = [
        candidate(0, state("Sort.", 1), shown=["v0"]),
        candidate(1, state("Good words.", 2), shown=["v1", "v2"]),
        candidate(2, state("Poor words.", 4), shown=["v3"]),
        candidate(3, state("Idle words.", 3)),
    ]
    gains = {"c0": 0.0, "c1": 0.3, "c2": 0.2, "c3": 0.1}
    seen = set()
    for proposal in merged(*[setting(known[0], known[1:], gains, seed=s) for s in range(40)]):
        new = proposal.changes["sort"]
        (text,) = [c for c in known if c.predictors[0].instructions == new.instructions]
        (demos,) = [c for c in known if c.predictors[0].demos == new.demos]
        assert proposal.shown == text.shown | demos.shown
        seen.add((text.id, demos.id))
    assert len(seen) > 4


def test_the_note_names_the_candidates_it_is_made_of() -> None:
    others, gains = crowd()
    (proposal,) = merged(setting(candidate(50, state("Sort.")), others, {**gains, "c50": 0.0}))
    named = proposal.note.removeprefix("of ").split(", ")
    assert proposal.move == "merged"
    assert named
    assert set(named) <= {one.id for one in others}


def test_two_candidates_are_too_few_to_read_anything_off() -> None:
    incumbent, other = candidate(0, PREDICTOR), candidate(1, state("Good words."))
    assert Merge()(setting(incumbent, [], {})) is None
    assert Merge()(setting(incumbent, [other], {"c0": 0.0, "c1": 0.5})) is None


def test_where_the_incumbent_has_the_best_of_everything_nothing_is_proposed() -> None:
    best = candidate(9, state("Good words.", 4))
    others = [candidate(n, state(f"Poor {n}.", 1)) for n in range(1, 7)]
    gains = {f"c{n}": -0.5 - 0.001 * n for n in range(1, 7)} | {"c9": 0.5}
    scenes = [setting(best, others, gains, seed=seed) for seed in range(30)]
    assert len(merged(*scenes)) < 15


def test_equal_candidates_make_no_mixture() -> None:
    alike = [candidate(n, PREDICTOR) for n in (1, 2, 3)]
    assert (
        Merge()(setting(candidate(0, PREDICTOR), alike, dict.fromkeys(["c0", "c1"], 0.1))) is None
    )


def test_predictors_that_may_not_change_stay() -> None:
    others = [candidate(n, state(f"T{n}."), state(f"U{n}.", own=SECOND)) for n in (1, 2, 3)]
    gains = {"c0": 0.0, "c1": 0.1, "c2": 0.3, "c3": 0.2}
    incumbent = candidate(0, PREDICTOR, SECOND)
    for seed in range(10):
        made = setting(incumbent, others, gains, tunable=(SECOND,), seed=seed)
        assert all([*one.changes] == ["second"] for one in merged(made))


def test_a_pool_goes_along_with_the_demos_that_it_belongs_to() -> None:
    near = replace(PREDICTOR, nearest=Nearest(2, "words-v1", DEMOS))
    others = [candidate(n, near) for n in (1, 2, 3)] + [candidate(4, state("Poor words."))]
    gains = {"c0": 0.0, "c1": 0.3, "c2": 0.3, "c3": 0.3, "c4": -0.3}
    incumbent = candidate(0, PREDICTOR)
    found = usual(merged(*[setting(incumbent, others, gains, seed=s) for s in range(10)]))
    assert (found.nearest, found.instructions) == (near.nearest, "Sort.")


def test_the_same_scene_gives_the_same_mixture() -> None:
    others, gains = crowd()
    made = [setting(candidate(50, state("Sort.")), others, gains, seed=4) for _ in range(2)]
    assert Merge()(made[0]) == Merge()(made[1])
