"""One round over a chain of providers, as a state without a clock."""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import DeadlineExceeded
from .outcomes import Kind, kind_of, none_answered

__all__ = ["Round"]

_NEXT: frozenset[Kind] = frozenset(
    {"refused", "limited", "failed", "garbled", "elsewhere", "account"}
)
# Another attempt may not meet it.
_PASSING: frozenset[Kind] = frozenset({"refused", "limited", "failed", "garbled"})
_MOST = 3  # times that one is asked in a round


class Round:
    """One round over a chain, as a state: who is next, who is out, who failed, how it ends.

    >>> from dspy import lm15
    >>> round = Round(("a", "b"))
    >>> round.start(), round.failed(0, lm15.ServerError("down"), left=9.0), round.start()
    (0, None, 1)
    >>> type(round.failed(1, lm15.ServerError("down"), left=9.0)).__name__
    'NoneAnswered'
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._left = list(range(len(names)))
        self._spare: list[int] = []
        self._asked = [0] * len(names)
        self._own: Exception | None = None
        self.failures: list[tuple[str, Exception]] = []

    @property
    def is_open(self) -> bool:
        """Whether there is one that was not asked."""
        return bool(self._left)

    @property
    def may_hedge(self) -> bool:
        """Whether one can be asked beside those who are slow: if not anew, then again.

        Again, twice at most, one that was refused or limited, or failed in a way that may pass.
        Where nobody is out it is the next round's, after a wait.
        """
        return bool(self._left or self._spare)

    @property
    def out(self) -> int:
        """How many are asked and have not failed."""
        return sum(self._asked) - len(self.failures)

    def start(self) -> int:
        """The place of the one that is asked now."""
        place = (self._left or self._spare).pop(0)
        self._asked[place] += 1
        return place

    def failed(self, place: int, error: Exception, left: float) -> Exception | None:
        """Note a failure: what the round ends with, or `None` if it goes on."""
        kind = kind_of(error)
        self.failures.append((self._names[place], error))
        if kind not in _NEXT and self._own is None:
            # The caller's: nobody else is asked, but who is out already may answer.
            self._own, self._left, self._spare = error, [], []
        elif kind in _PASSING and self._own is None and self._asked[place] < _MOST:
            self._spare.append(place)
        is_over = self.out == 0 and (not self.is_open or left <= 0)
        return self._end() if is_over else None

    def go_on(self, place: int, error: Exception, left: float) -> None:
        """Note a failure, and raise what the round ends with if it does."""
        ended = self.failed(place, error, left)
        if ended is error:
            raise ended
        if ended is not None:
            raise ended from error

    def _end(self) -> Exception:
        if self._own is not None:
            return self._own
        last = self.failures[-1][1]
        if len(self.failures) == 1:
            return last
        told = none_answered(self.failures)
        kinds = {kind_of(error) for _, error in self.failures}
        if isinstance(last, DeadlineExceeded) or kinds == {"elsewhere"}:
            # Callers look for these very classes: time is over, or the request is too much.
            last.add_note(str(told))
            return last
        return told
