"""The program as a driven optimizer gets it: a copy whose every execution passes through a hook.

The copy is of a class made from the program's own, so that it survives what optimizers do to it:
deep copies, reset copies, a patched `forward`. Its predictors have the program's paths; frozen
ones are hidden from the optimizer, which therefore neither resets nor changes them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import dspy

from ...errors import ProgramError
from ...programs.copying import copied
from ...programs.finished import finished
from ...programs.predictors import predictors
from ...programs.retrieving import Retrieving, release, retrieve
from . import undisclosed

__all__ = ["Habits", "student_of"]

Execute = Callable[[dspy.Module, Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]


@dataclass(frozen=True, slots=True)
class Habits:
    """What a student does otherwise than the program it was made from.

    execute: gets the student, its own forward and the arguments, and returns the prediction.
    frozen: paths that the optimizer does not see. own_signatures: every copy gets signature
    classes of its own, for an optimizer that changes them in place. show_source: Python finds the
    source of the program's class, not of a stand-in.
    """

    execute: Execute
    frozen: tuple[str, ...] = ()
    own_signatures: bool = False
    show_source: bool = False


def student_of(program: dspy.Module, habits: Habits) -> dspy.Module:
    """A copy of `program` that lives by `habits`; the program itself is untouched.

    >>> seen = []
    >>> def execute(student, forward, args, kwargs):
    ...     seen.append(kwargs)
    ...     return dspy.Prediction(answer="4")
    >>> student = student_of(dspy.Predict("question -> answer"), Habits(execute)).deepcopy()
    >>> student(question="2+2?").answer, seen, [name for name, _ in student.named_predictors()]
    ('4', [{'question': '2+2?'}], ['self'])
    """
    copy = copied(program)
    nearest = copy.nearest if isinstance(copy, Retrieving) else None
    if isinstance(copy, Retrieving):
        release(copy)
    base = type(copy)
    try:
        copy.__class__ = _class_for(base, habits)
    except TypeError as error:
        raise ProgramError(
            f"{base.__name__} cannot be watched while an optimizer runs it ({error}): make it a "
            "plain class without __slots__ or required class arguments, or use level= instead"
        ) from error
    if nearest is not None:  # its class comes above ours, and falls back to it
        retrieve(copy, nearest)
    return copy


def _class_for(base: type[dspy.Module], habits: Habits) -> type[dspy.Module]:
    home = base if habits.show_source else undisclosed.Program
    body = {
        "__module__": home.__module__,
        "__qualname__": home.__qualname__,
        "__doc__": base.__doc__,
        "_compilm_habits": habits,
    }
    kind = _Forward if hasattr(base, "forward") or hasattr(base, "aforward") else _Call
    metaclass: Any = type(base)
    made: type[dspy.Module] = metaclass(base.__name__, (kind, base), body)
    return made


class _Student:
    """The part of a student's class that stands before the program's own class."""

    _compilm_habits: Habits

    def named_parameters(self) -> list[tuple[str, Any]]:
        """The parameters that an optimizer may look at and change."""
        found: list[tuple[str, Any]] = super().named_parameters()  # type: ignore[misc]
        frozen = self._compilm_habits.frozen
        hidden = {id(part) for path, part in predictors(self).items() if path in frozen}
        return [(name, part) for name, part in found if id(part) not in hidden]

    def deepcopy(self) -> Any:
        """A deep copy, with signature classes of its own where the optimizer writes into them."""
        copy = super().deepcopy()  # type: ignore[misc]
        if self._compilm_habits.own_signatures:
            for predictor in predictors(copy).values():
                text = predictor.signature.instructions
                predictor.signature = predictor.signature.with_instructions(text)
                predictor.signature.instructions = text
        return copy

    def reset_copy(self) -> Any:
        """A copy without demonstrations; DSPy would also take the predictors' models away."""
        copy = super().reset_copy()  # type: ignore[misc]
        for mine, its in zip(predictors(self).values(), predictors(copy).values(), strict=True):
            its.lm = mine.lm
        return copy


class _Forward(_Student):
    """A student whose program has a `forward` or an `aforward`."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """One execution, through the hook."""
        own = getattr(super(), "forward", None) or self._own_aforward
        return self._compilm_habits.execute(self, own, args, kwargs)

    def _own_aforward(self, *args: Any, **kwargs: Any) -> Any:
        return finished(super().aforward(*args, **kwargs))  # type: ignore[misc]


class _Call(_Student):
    """A student whose program is called, and has no `forward`."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """One execution, through the hook."""
        return self._compilm_habits.execute(self, super().__call__, args, kwargs)  # type: ignore[misc]


def same_signatures(program: dspy.Module) -> Sequence[tuple[str, str]]:
    """Pairs of predictors whose signatures are equal; GEPA cannot tell their traces apart.

    >>> same_signatures(dspy.Predict("question -> answer"))
    []
    """
    found = list(predictors(program).items())
    return [
        (one, other)
        for place, (one, mine) in enumerate(found)
        for other, its in found[place + 1 :]
        if mine.signature.equals(its.signature)
    ]
