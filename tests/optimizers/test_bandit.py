"""The bandit: what won is taken again, what it cost counts, what is long ago fades."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence

import pytest

from compilm.optimizers.bandit import Arm, Bandit
from compilm.optimizers.propose.demos import Demos, Swap
from compilm.optimizers.propose.merge import Merge

ONE, TWO, THREE = Arm(Demos("labeled", 8)), Arm(Swap()), Arm(Merge())


def shares(
    bandit: Bandit, count: int = 600, blame: Mapping[str, float] | None = None, seed: int = 0
) -> dict[Arm, float]:
    chosen = Counter(bandit.choose(count, random.Random(seed), blame))
    return {arm: chosen[arm] / count for arm in bandit.arms}


def learned(*tries: tuple[Arm, float, float], arms: Sequence[Arm] = (ONE, TWO)) -> Bandit:
    bandit = Bandit(arms)
    for arm, gain, cost in tries:
        bandit.learn(arm, gain=gain, cost=cost)
    return bandit


def test_before_anything_is_known_every_arm_has_its_chance() -> None:
    found = shares(Bandit([ONE, TWO, THREE]))
    assert all(0.25 < share < 0.42 for share in found.values())


def test_as_many_arms_are_chosen_as_asked_and_the_same_for_the_same_chance() -> None:
    bandit = learned((ONE, 0.1, 20), (TWO, 0.0, 20))
    assert bandit.choose(0, random.Random(0)) == []
    assert len(bandit.choose(7, random.Random(0))) == 7
    first, second = (bandit.choose(50, random.Random(3)) for _ in range(2))
    assert first == second != bandit.choose(50, random.Random(4))


def test_what_wins_is_taken_more_often() -> None:
    tries = [(ONE, 0.05, 20.0), (TWO, 0.0, 20.0)] * 3
    assert shares(learned(*tries))[ONE] > 0.8


def test_larger_gains_count_more() -> None:
    tries = [(ONE, 0.20, 20.0), (TWO, 0.02, 20.0)] * 3
    assert shares(learned(*tries))[ONE] > 0.8


def test_the_same_gain_for_less_is_taken_more_often() -> None:
    tries = [(ONE, 0.05, 10.0), (TWO, 0.05, 80.0)] * 3
    assert shares(learned(*tries))[ONE] > 0.8


def test_a_poor_arm_is_tried_now_and_then() -> None:
    tries = [(ONE, 0.05, 20.0), (TWO, 0.0, 20.0)] * 3
    assert shares(learned(*tries), 5000)[TWO] > 0.0


def test_old_wins_fade_and_old_losses_are_forgiven() -> None:
    early = [(ONE, 0.05, 20.0)] * 4 + [(ONE, 0.0, 20.0)] * 12
    late = [(TWO, 0.0, 20.0)] * 12 + [(TWO, 0.05, 20.0)] * 4
    found = shares(learned(*early, *late))
    assert found[TWO] > 0.8


def test_every_try_fades_only_its_own_arm() -> None:
    """However often another is tried in between, what an arm has won stays as it was."""
    apart = learned((ONE, 0.05, 20), arms=[ONE, TWO])
    between = learned((ONE, 0.05, 20), *[(THREE, 0.0, 20)] * 30, arms=[ONE, TWO])
    assert shares(apart) == shares(between)


def test_a_gain_below_nothing_is_a_loss_and_takes_nothing_away() -> None:
    worse, nothing = learned((ONE, -0.5, 20)), learned((ONE, 0.0, 20))
    assert shares(worse) == shares(nothing)


PER_PREDICTOR = [Arm(Swap(), "first"), Arm(Swap(), "second"), Arm(Swap())]


@pytest.mark.parametrize(("first", "second"), [(1.9, 0.1), (0.1, 1.9)])
def test_arms_of_a_predictor_that_is_to_blame_are_taken_more_often(
    first: float, second: float
) -> None:
    blame = {"first": first, "second": second}
    found = shares(Bandit(PER_PREDICTOR), blame=blame)
    more, less = PER_PREDICTOR[:2] if first > second else PER_PREDICTOR[1::-1]
    assert found[more] > 4 * found[less]
    assert found[more] > found[PER_PREDICTOR[2]] > found[less]


def test_without_blame_all_predictors_are_alike() -> None:
    bandit = Bandit(PER_PREDICTOR)
    assert shares(bandit) == shares(bandit, blame={}) == shares(bandit, blame={"else": 5.0})


def test_a_win_on_one_predictor_says_nothing_of_another() -> None:
    tries = [(PER_PREDICTOR[0], 0.05, 20.0)] * 3
    found = shares(learned(*tries, arms=PER_PREDICTOR))
    assert found[PER_PREDICTOR[0]] > 0.7
    assert abs(found[PER_PREDICTOR[1]] - found[PER_PREDICTOR[2]]) < 0.08
