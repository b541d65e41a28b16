"""What the decisions of a compile have used, counted the same whatever the timing.

The ledger counts what was really sent, failures and lost calls included; it guards the budget.
The meter counts the distinct calls and rollouts that the search has looked at so far, in the
search's own order, whether they were paid now or by an earlier process of the same run. Plans are
made from the meter, so that a resumed run decides exactly as an undisturbed one.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable

from .budget import Budget, Spent
from .calls import Answers
from .ledger import Ledger

__all__ = ["Meter"]

_MARGIN = 1.1  # rollouts to come may be dearer than those seen
_ASIDE = 3  # times the dearest call: a prompt is longer by its characters, an answer counts twice


class Meter:
    """Counts what was looked at, and says how many more rollouts the budget allows."""

    def __init__(self, budget: Budget, answers: Answers, ledger: Ledger) -> None:
        self._budget, self._answers, self._ledger = budget, answers, ledger
        self._lock = threading.Lock()  # proposals are asked for side by side
        self._keys: set[str] = set()
        self._calls = self._rollouts = self._tokens = 0
        self._usd: float | None = 0.0
        self._most_tokens, self._most_usd = 0, 0.0  # of a call in a rollout
        self._calls_a_rollout = 0
        self.kept = 0  # rollouts kept back for the held-out comparison

    def rollout(self, keys: Iterable[str], unmanaged: int) -> None:
        """One more rollout was looked at, with the calls it asked for."""
        asked = list(keys)
        self._rollouts += 1
        self._calls_a_rollout = max(self._calls_a_rollout, len(asked) + unmanaged)
        for tokens, usd in (self.price([key]) for key in asked):
            self._most_tokens = max(self._most_tokens, tokens)
            self._most_usd = max(self._most_usd, usd or 0.0)
        self.calls(asked, unmanaged)

    def calls(self, keys: Iterable[str], unmanaged: int = 0) -> None:
        """Calls were looked at; each counts once in a run, by its key."""
        with self._lock:
            self._calls += unmanaged
            for key in keys:
                answer = self._answers.known(key)
                if key not in self._keys and answer is not None:
                    self._keys.add(key)
                    self._calls += 1
                    self._tokens += answer.tokens
                    known = self._usd is not None and answer.usd is not None
                    self._usd = self._usd + answer.usd if known else None  # type: ignore[operator]

    def price(self, keys: Iterable[str]) -> tuple[int, float | None]:
        """Tokens and dollars of these calls, `None` where a price is unknown."""
        answers = [answer for key in keys if (answer := self._answers.known(key)) is not None]
        prices = [answer.usd for answer in answers]
        known = [price for price in prices if price is not None]
        usd = math.fsum(known) if len(known) == len(prices) else None
        return sum(answer.tokens for answer in answers), usd

    def spent(self) -> Spent:
        """What was looked at until now; `seconds` is this process's and not reproducible."""
        usd = None if self._usd is None else round(self._usd, 10)
        return Spent(self._rollouts, self._calls, self._tokens, usd, self._ledger.spent().seconds)

    def calls_a_rollout(self, predictors: int) -> int:
        """Calls one rollout may need: the most seen, or one a predictor before any was seen."""
        return self._calls_a_rollout or predictors

    @property
    def counts_size(self) -> bool:
        """Whether it matters how large a call is."""
        return self._budget.tokens is not None or self._budget.usd is not None

    def allows(
        self, predictors: int, *, final: bool = False, each: tuple[float, float] = (0.0, 0.0)
    ) -> int:
        """How many more rollouts the budget allows; what is kept for the end only if `final`.

        each: tokens and dollars that one takes at least; else the mean of all seen. Of tokens and
        dollars three times the dearest call is left: the ledger sets more aside than a call uses.
        """
        limit, most = self._budget, 10**9
        kept = 0 if final else self.kept
        if limit.rollouts is not None:
            most = min(most, limit.rollouts - self._rollouts)
        if limit.calls is not None:
            left = limit.calls - self._calls
            most = min(most, left // self.calls_a_rollout(predictors))
        seen = max(1, self._rollouts)
        if limit.tokens is not None and self._tokens:
            left = limit.tokens - self._tokens - _ASIDE * self._most_tokens
            most = min(most, int(left / (_MARGIN * max(each[0], self._tokens / seen))))
        if limit.usd is not None and self._usd:
            usd = limit.usd - self._usd - _ASIDE * self._most_usd
            most = min(most, int(usd / (_MARGIN * max(each[1], self._usd / seen))))
        if limit.seconds is not None and self._rollouts:
            used = self._ledger.spent().seconds
            if used > 0:
                most = min(most, int((limit.seconds - used) / (_MARGIN * used / seen)))
        return max(0, most - kept)
