"""The mixed model: known effects come out, intervals cover, the winner's curse is drawn in."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compilm.errors import UsageError
from compilm.metrics.mixed import Cell, Fit, fit

Score = Callable[[random.Random, float], float]


def binary(draw: random.Random, chance: float) -> float:
    return float(draw.random() < chance)


def graded(draw: random.Random, chance: float) -> float:
    return chance + draw.uniform(-0.2, 0.2)


def full(gains: Mapping[str, float], n: int, score: Score, seed: int = 0) -> list[Cell]:
    """Every candidate on every example: an example's ease, a candidate's gain, and noise."""
    draw = random.Random(seed)
    ease = [draw.uniform(0.3, 0.7) for _ in range(n)]
    return [
        Cell(name, f"e{place}", score(draw, ease[place] + gain))
        for name, gain in gains.items()
        for place in range(n)
    ]


def flat(names: Sequence[str]) -> dict[str, str | None]:
    return {name: None if name == "c0" else "c0" for name in names}


def fitted(gains: Mapping[str, float], n: int, score: Score, seed: int = 0) -> Fit:
    return fit(full(gains, n, score, seed), flat([*gains]))


@pytest.mark.parametrize(("score", "n", "near"), [(binary, 1500, 0.045), (graded, 200, 0.03)])
def test_known_gains_and_levels_come_out(score: Score, n: int, near: float) -> None:
    gains = {"c0": 0.0, "c1": 0.2, "c2": -0.1, "c3": 0.05}
    found = fitted(gains, n, score)
    for name, gain in gains.items():
        assert found.gain(name).mean == pytest.approx(gain, abs=near)
        assert found.level(name).value == pytest.approx(0.5 + gain, abs=near)
        assert found.level(name).low < 0.5 + gain < found.level(name).high
    assert found.difference("c1", "c2").mean == pytest.approx(0.3, abs=near)
    assert found.difference("c1", "c2").probability > 0.99 > found.gain("c3").probability - 0.01
    assert found.gain("c2").probability < 0.01
    assert {name: found.counts[name] for name in gains} == dict.fromkeys(gains, n)


def test_the_baselines_own_gain_is_nothing_and_known() -> None:
    found = fitted({"c0": 0.0, "c1": 0.1}, 30, binary)
    assert found.gain("c0") == (0.0, 0.0, 0.0)
    gained = found.gained("c0")
    assert (gained.value, gained.low, gained.high) == (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Searched:
    """What one simulated search made of its winner."""

    estimate: float
    true: float
    naive: float
    naive_true: float
    covered: list[bool]


def searched(seed: int, tau: float, score: Score) -> Searched:
    """12 candidates race on 60 examples; half of those that are left go on every 20 examples."""
    draw = random.Random(seed)
    gains = {"c0": 0.0}
    gains |= {f"c{n}": max(-0.3, min(0.3, draw.gauss(0, tau))) for n in range(1, 13)}
    ease = [draw.uniform(0.3, 0.7) for _ in range(60)]
    scores: dict[str, list[float]] = {name: [] for name in gains}
    alive = [name for name in gains if name != "c0"]
    for start in range(0, 60, 20):
        for name in ("c0", *alive):
            block = ease[start : start + 20]
            scores[name] += [score(draw, at + gains[name]) for at in block]
        alive.sort(key=lambda name: -fmean(scores[name]))
        alive = alive[: max(1, len(alive) // 2)]
    cells = [Cell(name, f"e{at}", v) for name in gains for at, v in enumerate(scores[name])]
    found = fit(cells, flat([*gains]))
    means = {name: found.gain(name).mean for name in gains if name != "c0"}
    raw = {name: fmean(v) - fmean(scores["c0"][: len(v)]) for name, v in scores.items()}
    best, naive = max(means, key=means.__getitem__), max(means, key=raw.__getitem__)
    covered = [found.gained(n).low <= gains[n] <= found.gained(n).high for n in means]
    return Searched(means[best], gains[best], raw[naive], gains[naive], covered)


@pytest.mark.parametrize("tau", [0.0, 0.05, 0.15])
@pytest.mark.parametrize("score", [binary, graded])
def test_intervals_cover_and_the_winner_is_not_flattered(tau: float, score: Score) -> None:
    runs = [searched(seed, tau, score) for seed in range(200)]
    covered = [one for run in runs for one in run.covered]
    assert sum(covered) / len(covered) >= 0.90
    bias = fmean(run.estimate - run.true for run in runs)
    naive = fmean(run.naive - run.naive_true for run in runs)
    assert abs(bias) <= (0.04 if score is binary else 0.02)
    if score is binary:
        assert naive > 0.04
        assert abs(bias) < 0.4 * naive


def test_the_winner_of_a_race_is_covered() -> None:
    hits = []
    for seed in range(60):
        gains = {"c0": 0.0} | {f"c{n}": 0.0 for n in range(1, 11)}
        found = fitted(gains, 40, binary, seed)
        best = max(gains, key=lambda name: found.gain(name).mean)
        hits.append(found.gained(best).low <= 0 <= found.gained(best).high)
    assert sum(hits) / len(hits) >= 0.9


def test_the_order_of_cells_does_not_matter() -> None:
    gains = {"c0": 0.0, "c1": 0.15, "c2": -0.05}
    cells = full(gains, 40, binary)[:-13]
    one = fit(cells, flat([*gains]))
    random.Random(1).shuffle(cells)
    other = fit(cells, flat([*gains]))
    for name in gains:
        assert one.gain(name) == pytest.approx(other.gain(name), abs=1e-8)
        assert one.level(name).value == pytest.approx(other.level(name).value, abs=1e-8)


def test_missing_cells_do_not_bias_what_is_compared() -> None:
    """The baseline is run where examples are hard, the candidate where they are easy."""
    ease = {f"e{n}": 0.2 if n % 2 else 0.8 for n in range(100)}
    cells = [Cell(f"c{who}", e, ease[e]) for who in (2, 3) for e in ease]
    cells += [Cell("c0", e, ease[e]) for e in ease if ease[e] < 0.5]
    cells += [Cell("c1", e, ease[e]) for e in ease if ease[e] > 0.5]
    found = fit(cells, flat(["c0", "c1", "c2", "c3"]))
    assert abs(found.gain("c1").mean) < 0.02


def test_one_candidate_alone_has_a_level_and_no_gain() -> None:
    found = fit([Cell("c0", f"e{n}", float(n % 4 > 0)) for n in range(80)], {"c0": None})
    assert found.level("c0").value == pytest.approx(0.75, abs=0.01)
    assert found.best_chances() == {"c0": 1.0}
    assert found.chance_of(0.02) == 0.0


def test_one_cell_is_enough() -> None:
    found = fit([Cell("c0", "e0", 1.0)], {"c0": None, "c1": "c0"})
    assert 0 < found.level("c0").low < found.level("c0").value <= 1
    assert found.gain("c1").sd > 0
    assert found.counts.get("c1", 0) == 0


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0, -3.0, 100.0])
def test_equal_scores_everywhere_are_no_gain(value: float) -> None:
    cells = [Cell(f"c{who}", f"e{n}", value) for who in range(4) for n in range(50)]
    found = fit(cells, flat(["c0", "c1", "c2", "c3"]))
    for name in ("c1", "c2", "c3"):
        assert found.gain(name).mean == pytest.approx(0.0, abs=1e-6)
        assert found.gained(name).low < 0 < found.gained(name).high
    assert found.level("c0").value == pytest.approx(value, abs=1e-3)
    assert found.chance_of(0.02) < 0.2


def test_scores_of_another_scale_come_out_on_theirs() -> None:
    gains = {"c0": 0.0, "c1": 20.0, "c2": -10.0}
    draw = random.Random(0)
    cells = [
        Cell(name, f"e{n}", 40 + 3 * (n % 5) + gain + draw.gauss(0, 4))
        for name, gain in gains.items()
        for n in range(200)
    ]
    found = fit(cells, flat([*gains]))
    for name, gain in gains.items():
        assert found.gain(name).mean == pytest.approx(gain, abs=1.5)
        assert found.level(name).value == pytest.approx(46 + gain, abs=1.5)
    assert found.bounds[1] > 60


def test_levels_stay_within_the_scores_range() -> None:
    found = fitted({"c0": 0.0, "c1": 0.0}, 20, lambda *_: 1.0)
    assert found.level("c1").high == 1.0
    assert found.level("c1").low <= found.level("c1").value <= 1.0
    worse = fit([Cell("c0", "e", -2.0), Cell("c1", "e", 0.0)], flat(["c0", "c1"]))
    assert -2.0 <= worse.level("c0").low <= worse.level("c0").value


def test_chances_of_being_best_are_seeded_and_sum_to_one() -> None:
    found = fitted({"c0": 0.0, "c1": 0.1, "c2": 0.12}, 100, graded)
    again = fitted({"c0": 0.0, "c1": 0.1, "c2": 0.12}, 100, graded)
    chances = found.best_chances(seed=3)
    assert chances == again.best_chances(seed=3)
    assert chances != found.best_chances(seed=4)
    assert sum(chances.values()) == pytest.approx(1.0)
    assert chances["c0"] < 0.1
    assert found.chance_of(0.02, seed=3) == again.chance_of(0.02, seed=3)
    assert found.chance_of(-1.0) == 1.0
    assert found.chance_of(0.02) > found.chance_of(0.11) > found.chance_of(0.5) == 0.0


def test_a_candidate_that_was_hardly_run_is_believed_by_its_kind() -> None:
    gains = {"c0": 0.0} | {f"t{n}": 0.2 for n in range(4)} | {f"d{n}": -0.15 for n in range(4)}
    cells = full(gains, 60, binary)
    cells += [Cell("t9", "e0", 1.0), Cell("d9", "e0", 1.0)]
    names = [*gains, "t9", "d9"]
    kinds = {name: "texts" if name.startswith("t") else "demos" for name in names}
    found = fit(cells, flat(names), kinds)
    assert found.gain("t9").mean > 0.1
    assert found.gain("d9").mean < 0.0
    alike = fit(cells, flat(names))
    assert abs(alike.gain("t9").mean - alike.gain("d9").mean) < 1e-9


def test_a_later_step_starts_at_its_parent_and_not_at_the_baseline() -> None:
    gains = {"c0": 0.0, "c1": 0.3, "c2": 0.0, "c3": 0.0}
    cells = [*full(gains, 120, binary), Cell("c4", "e0", 1.0), Cell("c5", "e0", 1.0)]
    parents: dict[str, str | None] = {**flat([*gains]), "c4": "c1", "c5": "c0"}
    found = fit(cells, parents)
    assert found.gain("c4").mean == pytest.approx(found.gain("c1").mean, abs=0.06)
    assert found.gain("c5").mean < found.gain("c4").mean - 0.1
    assert found.difference("c4", "c1").sd < found.gain("c4").sd


def test_steps_of_steps_add_up() -> None:
    gains = {"c0": 0.0, "c1": 0.1, "c2": 0.2, "c3": 0.3}
    parents: dict[str, str | None] = {"c0": None, "c1": "c0", "c2": "c1", "c3": "c2"}
    found = fit(full(gains, 400, graded), parents)
    for name, gain in gains.items():
        assert found.gain(name).mean == pytest.approx(gain, abs=0.03)


def test_one_outlier_among_many_is_not_drawn_in_as_far_as_the_crowd() -> None:
    gains = {"c0": 0.0} | {f"c{n}": 0.0 for n in range(1, 12)} | {"far": 0.4}
    draw = random.Random(2)
    cells = [
        Cell(name, f"e{n}", binary(draw, 0.4 + gain)) for name, gain in gains.items()
        for n in range(40)
    ]  # fmt: skip
    found = fit(cells, flat([*gains]))
    assert found.gain("far").mean > 0.25
    assert max(found.gain(name).mean for name in gains if name != "far") < 0.15


def test_cells_without_a_place_in_the_tree_are_told() -> None:
    with pytest.raises(UsageError, match="'c7' has cells and no entry in parents"):
        fit([Cell("c7", "e", 1.0)], {"c0": None})
    with pytest.raises(UsageError, match="no cell"):
        fit([], {"c0": None})


CELLS = st.lists(
    st.builds(
        Cell,
        st.sampled_from(["c0", "c1", "c2", "c3"]),
        st.sampled_from([f"e{n}" for n in range(6)]),
        st.sampled_from([0.0, 0.25, 1.0, -1.0, 7.0]),
    ),
    min_size=1,
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(CELLS)
def test_whatever_cells_there_are_every_figure_is_a_number_in_order(cells: list[Cell]) -> None:
    parents: dict[str, str | None] = {"c0": None, "c1": "c0", "c2": "c1", "c3": "c0"}
    found = fit(cells, parents, {"c1": "texts", "c3": "demos"})
    for name in parents:
        for estimate in (found.level(name), found.gained(name)):
            assert all(map(math.isfinite, (estimate.low, estimate.value, estimate.high)))
            assert estimate.low <= estimate.value <= estimate.high
        assert 0 <= found.gain(name).probability <= 1
    assert sum(found.best_chances(samples=100).values()) == pytest.approx(1.0)
    assert 0 <= found.chance_of(0.02, samples=100) <= 1
