"""What a program wants hidden of its texts wherever they are written down, and what it notes.

A module that has a method `veil` says so for the whole program: it gives a function of a value
that hides what is private in it, the same value by the same name for as long as it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import dspy

from .predictors import modules

__all__ = ["REPLAY", "TRACE", "VAULT", "Veil", "note", "recording", "replaying", "veil_maker"]

TRACE = "compilm_trace"
"""The setting of DSPy under which the trace of a call stands, where one is recorded."""

REPLAY = "compilm_replay"
"""The setting of DSPy under which the replay stands that a program runs in."""

VAULT = "compilm_vault"
"""The setting of DSPy under which what is hidden in a call stands, until the call ends."""

Veil = Callable[[Any], Any]


def veil_maker(program: dspy.Module) -> Callable[[], Veil] | None:
    """What makes a veil for one call of the program; `None` where nothing in it has one.

    >>> veil_maker(dspy.Predict("question -> answer")) is None
    True
    """
    for each in modules(program).values():
        made: Callable[[], Veil] | None = getattr(each, "veil", None)
        if made is not None and not isinstance(each, dspy.Predict):
            return made
    return None


def recording() -> Any:
    """The trace of the program that is running; `None` where none is recorded.

    >>> print(recording())
    None
    """
    return dspy.settings.get(TRACE, None)


def replaying() -> Any:
    """The replay that the program is running in, which answers for its tools; else `None`.

    >>> print(replaying())
    None
    """
    return dspy.settings.get(REPLAY, None)


def note(name: str, values: Mapping[str, Any]) -> None:
    """An event in the trace of the program that is running, if it is traced; values are plain.

    It is kept where numbers are kept: say nothing in it that was said to the program.

    >>> note("guard", {"outcome": "passed"})
    """
    trace = recording()
    if trace is not None:
        trace.root.note(name, dict(values))
