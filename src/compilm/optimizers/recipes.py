"""Levels, as in a compiler: named recipes of moves.

-O0  measures the program as it is                        the baseline only
-O1  demonstrations: fixed ones and per-input ones        no proposer calls
-O2  and instructions from data, alone and together       a proposer call a predictor and move
-O3  and reflection on failures, contrast of candidates,  more rounds, more proposer calls,
     shorter prompts and cheaper models                   non-inferiority races at the end
"""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import UsageError
from .propose.base import Move
from .propose.both import Both
from .propose.demos import Attributed, Demos, Swap, Usual
from .propose.instructions import Instruct
from .propose.merge import Merge
from .propose.nearest import NearestDemos
from .propose.reflect import Reflect

__all__ = ["LEVELS", "Recipe", "recipe"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a level tries: a wide opening, then rounds on what won until nothing wins any more.

    Of `opening` as many are tried as the budget allows, from the front. A round takes `width` of
    `rounds`, chosen by what they have won so far; `patience` rounds without a winner end the
    search. `val_passes` sizes the default budget, in passes over the validation examples.
    `economy`: whether the winner is made shorter and cheaper in the end, where that costs nothing.
    """

    opening: tuple[Move, ...] = ()
    rounds: tuple[Move, ...] = ()
    width: int = 6
    patience: int = 2
    most_rounds: int = 8
    val_passes: int = 1
    economy: bool = False


_DEMOS = (
    NearestDemos(4),
    Both(NearestDemos(4), Usual(8)),
    Demos("labeled", 16),
    Demos("mixed", 16),
    NearestDemos(8, fixed=8),
    Demos("bootstrapped", 8),
    Both(Demos("labeled", 8), Usual(8)),
    NearestDemos(16),
    Demos("labeled", 16),
    Demos("bootstrapped", 4),
    Demos("labeled", 4),
)
_DEMO_ROUNDS = (
    Merge(),
    Demos("labeled", 16),
    Demos("mixed", 16),
    Swap(0.5),
    Swap(0.25),
    Attributed(16),
    NearestDemos(8),
    NearestDemos(12, fixed=4),
)
_TEXTS = (
    Both(Instruct(), Demos("labeled", 16)),
    Both(Instruct(), NearestDemos(4)),
    Demos("labeled", 16),
    Both(NearestDemos(4), Usual(8)),
    NearestDemos(4),
    Instruct(),
    Both(Instruct(share=0.6), Demos("mixed", 16)),
    Instruct(share=0.6),
    Demos("mixed", 16),
    Demos("bootstrapped", 8),
    Both(Instruct(share=0.6), NearestDemos(16)),
    Both(Demos("labeled", 8), Usual(8)),
    Instruct(share=0.4),
)
_TEXT_ROUNDS = (
    *_DEMO_ROUNDS,
    Instruct(),
    Instruct(share=0.6),
    Both(Instruct(share=0.6), Demos("labeled", 16)),
)

LEVELS: dict[int, Recipe] = {
    0: Recipe(),
    1: Recipe(_DEMOS, _DEMO_ROUNDS, val_passes=8),
    2: Recipe(_TEXTS, _TEXT_ROUNDS, patience=3, most_rounds=10, val_passes=12),
    3: Recipe(
        _TEXTS,
        (
            *_TEXT_ROUNDS,
            Reflect(),
            Reflect("append"),
            Reflect(contrast=True),
            Reflect("append", contrast=True),
        ),
        patience=4,
        most_rounds=24,
        val_passes=20,
        economy=True,
    ),
}


def recipe(level: int) -> Recipe:
    """The recipe of a level; an unknown one is a `UsageError` that lists what there is.

    >>> recipe(0).opening
    ()
    """
    if isinstance(level, bool) or level not in LEVELS:
        known = ", ".join(f"{number}" for number in LEVELS)
        raise UsageError(f"level {level!r} is not there: the levels are {known}")
    return LEVELS[level]
