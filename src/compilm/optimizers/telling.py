"""What may be told of the data: demonstrations and requests for proposals are made of it."""

from __future__ import annotations

from dataclasses import replace

import dspy

from ..datasets import DataSet
from ..errors import UsageError
from ..programs.veils import veil_maker

__all__ = ["check_told", "told"]


def told(data: DataSet, program: dspy.Module) -> DataSet:
    """The data as it is, or, where the program hides what is private, with that hidden.

    The program itself is run on the data as it is.

    >>> from compilm.datasets import load
    >>> from compilm.guardrails import Redacted
    >>> data = load([{"text": "Ana Pratt called", "label": "call"}], inputs=["text"])
    >>> told(data, Redacted(dspy.Predict("text -> label")))[0].text
    '[NAME_1] called'
    """
    made = veil_maker(program)
    if made is None:
        return data
    return replace(data, examples=tuple(made()(example) for example in data))


def check_told(data: DataSet, program: dspy.Module, optimizer: str) -> None:
    """Raise `UsageError` where an optimizer of DSPy's would write into prompts what is private."""
    if data.examples != told(data, program).examples:
        raise UsageError(
            f"the program hides what is private in its inputs, and {optimizer} would write the "
            "training examples into prompts as they are: compile with a level, or hide them "
            "first, as compilm.guardrails.hidden_examples does"
        )
