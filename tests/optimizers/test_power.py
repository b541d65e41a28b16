"""The printed power: no true gain is refused more often than it says."""

from __future__ import annotations

import math
import random

import pytest

from compilm.optimizers.confirmation import Confirmation
from compilm.optimizers.power import least_proven, power_of

from .test_verdict import judged

GAIN, SD = 0.05, 0.49


def pair(draw: random.Random) -> tuple[float, float]:
    """A 0/1 score of the baseline and of one who is truly better by GAIN; SD of the difference."""
    apart = SD**2 + GAIN**2
    if draw.random() >= apart:
        same = float(draw.random() < 0.7)
        return same, same
    return (0.0, 1.0) if draw.random() < (apart + GAIN) / 2 / apart else (1.0, 0.0)


def confirmed(draw: random.Random, held_out: int, searched: int) -> Confirmation:
    before, after = zip(*(pair(draw) for _ in range(held_out)), strict=True)
    return judged(
        before, after, selection=[b - a for a, b in (pair(draw) for _ in range(searched))]
    )


@pytest.mark.parametrize(("held_out", "searched"), [(60, 30), (300, 8), (300, 150)])
def test_a_true_gain_of_5_points_is_not_refused_more_often_than_printed(
    held_out: int, searched: int
) -> None:
    draw, runs = random.Random(held_out + searched), 150
    verdicts = [confirmed(draw, held_out, searched).verdict for _ in range(runs)]
    proven, shipped = power_of(GAIN, held_out, sd=SD)
    for share, least in (
        (verdicts.count("proven"), proven),
        (runs - verdicts.count("unproven"), shipped),
    ):
        noise = 2 * math.sqrt(least * (1 - least) / runs)
        assert least - noise <= share / runs <= least + noise + 0.15


def test_the_least_gain_is_proven_by_the_chance_asked_for() -> None:
    assert power_of(least_proven(200), 200).proven == pytest.approx(0.8)
    assert power_of(least_proven(200, power=0.5), 200).proven == pytest.approx(0.5)


def test_what_is_proven_is_shipped_too() -> None:
    for n in (10, 50, 1000):
        proven, shipped = power_of(0.03, n)
        assert 0 < proven < shipped < 1


@pytest.mark.parametrize("n", [0, 1, 9])
def test_fewer_than_ten_pairs_prove_nothing(n: int) -> None:
    assert (least_proven(n), power_of(0.9, n).proven) == (1.0, 0.0)
