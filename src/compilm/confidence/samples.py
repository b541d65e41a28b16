"""One program asked several times: its commonest answer, and the share of samples that agree."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dspy

from ..errors import UsageError
from ..programs.awaiting import acalled
from ..programs.copying import copied
from ..programs.predictors import predictors
from .signals import same_text

__all__ = ["Samples"]


class Samples(dspy.Module):
    """Asks `program` `n` times at once and gives the answer most of them give in `field`.

    The prediction is the first that gave that answer, with `agreement`: the share of samples that
    did (self-consistency, Wang et al. 2023, ICLR, arXiv:2203.11171). Of equally common answers the
    first wins. Samples are drawn at `temperature`; a model that answers the same whatever is drawn
    agrees with itself and tells nothing. Each sample is a call of the program and costs one; a
    sample that fails fails the call.

    >>> from compilm.testing.engines import scripted_lm
    >>> vote = Samples(dspy.Predict("q -> a"), "a", n=3, temperature=1.0)
    >>> with dspy.context(lm=scripted_lm([{"a": "4"}])):
    ...     vote(q="2+2?").agreement
    1.0
    """

    def __init__(
        self,
        program: dspy.Module,
        field: str,
        *,
        n: int = 5,
        temperature: float = 0.7,
        same: Callable[[Any], Any] = same_text,
    ) -> None:
        super().__init__()
        if n < 2:
            raise UsageError(f"n={n!r}: one sample agrees with itself; give 2 or more")
        self.program, self.field, self.n, self.temperature = program, field, n, temperature
        self.same = same

    def forward(self, **inputs: Any) -> dspy.Prediction:
        drawn = [self._drawn(number) for number in range(self.n)]
        with ThreadPoolExecutor(self.n) as pool:
            waits = [
                pool.submit(contextvars.copy_context().run, _call, one, inputs) for one in drawn
            ]
            told = [wait.result() for wait in waits]
        return self._chosen(told)

    async def aforward(self, **inputs: Any) -> dspy.Prediction:
        drawn = [self._drawn(number) for number in range(self.n)]
        return self._chosen(await asyncio.gather(*(acalled(one, inputs) for one in drawn)))

    def _drawn(self, number: int) -> dspy.Module:
        """A copy of the program whose models draw another sample."""
        drawn = copied(self.program)
        for each in predictors(drawn).values():
            lm = each.lm or dspy.settings.lm
            if lm is not None:  # without one, the call itself says what is missing
                each.lm = lm.copy(rollout_id=number + 1, temperature=self.temperature)
        return drawn

    def _chosen(self, told: Sequence[dspy.Prediction]) -> dspy.Prediction:
        answers = [self.same(one.get(self.field)) for one in told]
        best = max(answers, key=lambda answer: (answers.count(answer), -answers.index(answer)))
        chosen = told[answers.index(best)]
        chosen["agreement"] = answers.count(best) / len(answers)
        return chosen


def _call(program: dspy.Module, inputs: dict[str, Any]) -> dspy.Prediction:
    return program(**inputs)
