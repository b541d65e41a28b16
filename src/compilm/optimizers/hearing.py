"""Whom DSPy tells what: the guard must hear of models that a program reaches, not of its modules.

Where anybody listens, DSPy works out for every module's call who wants to hear what of it: a tenth
of what a rollout costs this process, for nothing where only the guard listens.
"""

from __future__ import annotations

from typing import Any

import dspy

from ..programs.predictors import modules
from .guard import Guard

__all__ = ["Heard", "mark_modules"]


class _OfModule(list[Any]):
    """The callbacks of a module that a candidate's program is made of."""


class Heard(list[Any]):
    """The setting `callbacks` of a rollout: the user's own, and the guard.

    DSPy joins it with the callbacks of what is called. For a marked module nothing comes of that
    if only the guard would hear; for models, tools and modules that are made on the way, all do.

    >>> from compilm.clock import SYSTEM_CLOCK
    >>> from compilm.optimizers.budget import Budget
    >>> from compilm.optimizers.ledger import Ledger
    >>> heard = Heard([Guard(Ledger(Budget(), SYSTEM_CLOCK))])
    >>> program = dspy.Predict("question -> answer")
    >>> mark_modules(program)
    >>> heard + program.callbacks, len(heard + []), len(Heard([*heard, print]) + program.callbacks)
    ([], 1, 2)
    """

    def __add__(self, others: list[Any]) -> list[Any]:
        if type(others) is _OfModule and not others and all(type(one) is Guard for one in self):
            return []
        return [*self, *others]


def mark_modules(program: dspy.Module) -> None:
    """Mark the modules of a candidate's own program; those with callbacks of their own stay."""
    for module in modules(program).values():
        if module.callbacks == []:
            module.callbacks = _OfModule()
