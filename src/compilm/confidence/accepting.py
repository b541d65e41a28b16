"""What decides whether an answer is given: a plain check on a prediction, or a confidence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from ..errors import ProgramError
from .case import Case, Verdict
from .confidence import Confidence

__all__ = ["Accept", "averdict_of", "foreseen", "verdict_of"]

# A check takes a prediction and says yes or no; what else may be in it is the user's, hence `Any`.
Accept: TypeAlias = Confidence | Callable[[Any], Any]


def verdict_of(accept: Accept, case: Case) -> Verdict:
    """What `accept` says of this case.

    >>> import dspy
    >>> def short(prediction):
    ...     return len(prediction.answer) < 10
    >>> verdict_of(short, Case(prediction=dspy.Prediction(answer="a long story")))
    Verdict(accepted=False, confidence=None, reason='short said no')
    """
    if isinstance(accept, Confidence):
        verdict: Verdict = accept(case)
        return verdict
    return _checked(accept, accept(case.prediction))


async def averdict_of(accept: Accept, case: Case) -> Verdict:
    """The same, awaited: a judge is asked without blocking the loop."""
    if isinstance(accept, Confidence):
        verdict: Verdict = await accept.acall(case)
        return verdict
    return _checked(accept, accept(case.prediction))


def foreseen(accept: Accept) -> bool:
    """Whether it can be asked before a step has run, by the inputs alone."""
    return isinstance(accept, Confidence) and accept.foresees


def _checked(accept: Callable[[Any], Any], said: Any) -> Verdict:
    if isinstance(said, Verdict):
        return said
    name = getattr(accept, "__name__", type(accept).__name__)
    if type(said).__name__ not in ("bool", "bool_"):  # numpy's is none of Python's
        raise ProgramError(
            f"accept={name} gave {said!r}: a check gives True or False. For a number, give "
            "Confidence(signal, at_least=...)"
        )
    return Verdict(True) if said else Verdict(False, None, f"{name} said no")
