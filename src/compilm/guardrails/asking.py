"""Asking again: the same program, told what was wrong with its last answer."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import dspy

__all__ = ["ADVICE", "Advising"]

ADVICE = "advice"
"""The field with which a predictor hears what was wrong; `advice_` where it has one of the name."""

_DESCRIBED = "What was wrong with an earlier answer. Give one that does not have this fault"


class Advising(dspy.Adapter):
    """An adapter that puts advice beside the inputs of predictors which give one of `fields`.

    Everything else is left to `inner`, the adapter that was in use. With no fields, each predictor
    hears it. The program, its signatures and its demonstrations stay as they are.
    """

    def __init__(self, inner: Any, advice: str, fields: Collection[str] = ()) -> None:
        super().__init__()
        self._inner, self._advice, self._fields = inner, advice, frozenset(fields)

    def __call__(self, lm: Any, lm_kwargs: Any, signature: Any, demos: Any, inputs: Any) -> Any:
        """The inner adapter's answer to the question with the advice."""
        signature, inputs = self._advised(signature, inputs)
        return self._inner(lm, lm_kwargs, signature, demos, inputs)

    async def acall(self, lm: Any, lm_kwargs: Any, signature: Any, demos: Any, inputs: Any) -> Any:
        """As a call, awaited."""
        signature, inputs = self._advised(signature, inputs)
        return await self._inner.acall(lm, lm_kwargs, signature, demos, inputs)

    def _advised(self, signature: Any, inputs: Any) -> tuple[Any, Any]:
        if self._fields and not self._fields & signature.output_fields.keys():
            return signature, inputs
        name = ADVICE if ADVICE not in signature.fields else f"{ADVICE}_"
        asked = signature.append(name, dspy.InputField(desc=_DESCRIBED), type_=str)
        return asked, {**inputs, name: self._advice}
