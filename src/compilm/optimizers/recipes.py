"""Levels, as in a compiler: named recipes of moves.

-O0  measures the program as it is                       baseline only
-O1  demonstrations: labeled, bootstrapped, mixed        no proposer calls
-O2  demonstrations and instructions, alone and together one proposer call a predictor and move
"""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import UsageError
from .propose.base import Move
from .propose.both import Both
from .propose.demos import Demos, Swap
from .propose.instructions import Instruct
from .propose.merge import Merge

__all__ = ["LEVELS", "Recipe", "recipe"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a level tries: a wide opening, then rounds on what won until nothing wins any more.

    `rounds` are tried `width` at a time, in turn; `patience` rounds without a winner end the
    search. `val_passes` sizes the default budget, in passes over the validation examples.
    """

    opening: tuple[Move, ...] = ()
    rounds: tuple[Move, ...] = ()
    width: int = 4
    patience: int = 2
    most_rounds: int = 8
    val_passes: int = 1


LEVELS: dict[int, Recipe] = {
    0: Recipe(),
    1: Recipe(
        opening=(
            Demos("labeled", 4),
            Demos("labeled", 8),
            Demos("labeled", 16),
            Demos("labeled", 16),
            Demos("bootstrapped", 4),
            Demos("bootstrapped", 8),
            Demos("mixed", 16),
        ),
        rounds=(
            Merge(),
            Demos("labeled", 16, every=False),
            Swap(0.5),
            Demos("mixed", 16, every=False),
            Merge(),
            Swap(0.25),
        ),
        val_passes=8,
    ),
    2: Recipe(
        opening=(
            Demos("labeled", 8),
            Demos("labeled", 16),
            Demos("bootstrapped", 8),
            Demos("mixed", 16),
            Instruct(),
            Instruct(share=0.6),
            Both(Instruct(), Demos("labeled", 16)),
            Both(Instruct(share=0.6), Demos("mixed", 16)),
        ),
        rounds=(
            Merge(),
            Instruct(every=False),
            Demos("labeled", 16, every=False),
            Swap(0.5),
            Merge(),
            Instruct(share=0.6, every=False),
            Demos("mixed", 16, every=False),
            Both(Instruct(share=0.6), Demos("labeled", 16)),
            Swap(0.25),
        ),
        patience=3,
        most_rounds=10,
        val_passes=12,
    ),
}


def recipe(level: int) -> Recipe:
    """The recipe of a level; an unknown one is a `UsageError` that lists what there is.

    >>> recipe(0).opening
    ()
    """
    if isinstance(level, bool) or level not in LEVELS:
        known = ", ".join(f"{number}" for number in LEVELS)
        raise UsageError(
            f"level {level!r} is not there: this version has the levels {known}. Level 3 "
            "(reflection, merges, the cost-quality front) is planned and not built yet."
        )
    return LEVELS[level]
