"""Headroom: said of what was tried on enough examples, and of nothing else."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from compilm.metrics.mixed import Cell, Fit, fit
from compilm.optimizers import headroom


def fitted(n: int, gains: Sequence[float], seed: int = 0) -> Fit:
    """A baseline at one half and candidates with these gains, on the same n examples."""
    draw = random.Random(seed)
    names = [f"c{number}" for number in range(len(gains) + 1)]
    luck = [draw.random() for _ in range(n)]
    cells = []
    for name, gain in zip(names, (0.0, *gains), strict=True):
        again = [draw.random() if draw.random() < 0.3 else at for at in luck]
        cells += [Cell(name, f"e{at}", float(one < 0.5 + gain)) for at, one in enumerate(again)]
    return fit(cells, {name: None if name == "c0" else "c0" for name in names})


@pytest.mark.parametrize(
    ("scores", "full"),
    [
        ([1.0] * 30, True),
        ([1.0] * 29, False),
        ([1.0] * 99 + [0.6], True),
        ([1.0] * 98 + [0.0] * 2, False),
        ([], False),
    ],
)
def test_a_baseline_is_full_at_995_of_1000_on_30_examples(scores: list[float], full: bool) -> None:
    assert headroom.full(scores) is full


def test_without_a_model_nothing_is_said() -> None:
    assert not headroom.nothing_to_gain(None, seed=0)


def test_the_baseline_alone_says_nothing_of_headroom() -> None:
    """However often it was run: no candidate was tried."""
    assert not headroom.nothing_to_gain(fitted(100, []), seed=0)
    untried = fit([Cell("c0", f"e{n}", n % 2) for n in range(100)], {"c0": None, "c1": "c0"})
    assert not headroom.nothing_to_gain(untried, seed=0)


def test_many_candidates_on_a_few_examples_say_nothing_of_headroom() -> None:
    assert headroom.nothing_to_gain(fitted(60, [-0.2] * 10), seed=0)
    assert not headroom.nothing_to_gain(fitted(12, [-0.2] * 10), seed=0)
    assert not headroom.nothing_to_gain(fitted(29, [-0.2] * 10), seed=0)


def test_candidates_that_all_score_alike_leave_nothing_to_gain() -> None:
    same = [Cell(f"c{who}", f"e{n}", n % 2) for who in range(6) for n in range(50)]
    found = fit(same, {f"c{who}": "c0" if who else None for who in range(6)})
    assert headroom.nothing_to_gain(found, seed=0)


def test_a_real_gain_is_rarely_called_none() -> None:
    wrong = [headroom.nothing_to_gain(fitted(50, [0.1] + [0.0] * 7, s), seed=s) for s in range(80)]
    assert sum(wrong) <= 2


def test_harm_all_around_is_usually_recognized() -> None:
    right = [
        headroom.nothing_to_gain(fitted(60, [-0.15] * 8, seed), seed=seed) for seed in range(40)
    ]
    assert sum(right) >= 36


def test_the_answer_is_the_same_for_the_same_seed() -> None:
    found = fitted(60, [0.0] * 6)
    assert len({headroom.nothing_to_gain(found, seed=7) for _ in range(3)}) == 1
