"""A check: it looks at what goes in or what came out, and gives a verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import dspy

from ..errors import UsageError

__all__ = ["Check", "Constraint", "Verdict"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check says of one call.

    `score` is from 0 to 1, 1 where all is well. `reason` says what was wrong without a word of
    what was checked: it goes into traces. `advice` is what the model is told when it is asked
    again, and may quote. `changes` are fields that the check has rewritten, by name. `fields` are
    the outputs it speaks of.
    """

    check: str
    passed: bool
    score: float = 1.0
    reason: str = ""
    advice: str = field(default="", repr=False)
    changes: Mapping[str, Any] = field(default_factory=dict, repr=False)
    fields: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """What may be written down.

        >>> Verdict("length", False, 0.0, "3 sentences, at most 2").to_json()
        {'check': 'length', 'passed': False, 'score': 0.0, 'reason': '3 sentences, at most 2'}
        """
        told: dict[str, Any] = {"check": self.check, "passed": self.passed, "score": self.score}
        return {**told, "reason": self.reason}


class Check(dspy.Module):
    """A check is a module: a step of a graph, or part of a `Guard`, with predictors if it has any.

    Write `examine(inputs, outputs)`; where it waits, `aexamine` as well. As a module it is called
    with fields by name and gives a prediction with `passed`, `score`, `reason` and `verdict`, and
    with the fields that it changed.

    >>> class Polite(Check):
    ...     name = "polite"
    ...     def examine(self, inputs, outputs):
    ...         fine = "please" in outputs["answer"]
    ...         return Verdict(self.name, fine, float(fine), "" if fine else "no please")
    >>> Polite()(answer="Go away").reason
    'no please'
    """

    name = "check"

    def examine(self, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> Verdict:
        """The verdict on these fields; before the program is called `outputs` is empty."""
        raise NotImplementedError(f"{type(self).__name__} has no examine")

    async def aexamine(self, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> Verdict:
        """As `examine`, awaited."""
        return self.examine(inputs, outputs)

    def forward(self, **fields: Any) -> dspy.Prediction:
        """The verdict on these fields, which stand for inputs and outputs alike."""
        return _told(self.examine(fields, fields))

    async def aforward(self, **fields: Any) -> dspy.Prediction:
        """As `forward`."""
        return _told(await self.aexamine(fields, fields))


def _told(verdict: Verdict) -> dspy.Prediction:
    said = {"passed": verdict.passed, "score": verdict.score, "reason": verdict.reason}
    return dspy.Prediction(**verdict.changes, **said, verdict=verdict)


class Constraint(Check):
    """A rule of your own: a function of an output, or of several, that gives true or false.

    Args:
        fields: the output it is about, or several, which are the function's arguments in order.
        holds: whether the rule is kept; an error in it counts as a rule that is not kept.
        says: the rule in words, as the model should hear it.

    >>> rule = Constraint("answer", str.isupper, says="write in capitals")
    >>> rule(answer="yes").passed, rule(answer="YES").passed
    (False, True)
    """

    def __init__(
        self, fields: str | tuple[str, ...], holds: Callable[..., Any], *, says: str, name: str = ""
    ) -> None:
        super().__init__()
        if not says:
            raise UsageError("a constraint says its rule in words: says='write two sentences'")
        self.name = name or says
        self._fields = (fields,) if isinstance(fields, str) else tuple(fields)
        self._holds, self._says = holds, says

    def examine(self, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> Verdict:
        """Whether the rule is kept."""
        values = [outputs.get(name, inputs.get(name)) for name in self._fields]
        try:
            held = bool(self._holds(*values))
        except Exception:  # border: the user's function, on what a model wrote
            held = False
        if held:
            return Verdict(self.name, True, fields=self._fields)
        reason = f"not kept: {self._says}"
        return Verdict(self.name, False, 0.0, reason, advice=self._says, fields=self._fields)
