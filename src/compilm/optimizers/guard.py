"""The guard that no model call slips past: it counts what a program reaches behind our back.

A metric or program may hold an LM in a global, where it cannot be exchanged for a metered one.
DSPy's callbacks see every LM call; a `BaseException` raised there stops the call, which is the
one way to make a budget hold for it.
"""

from __future__ import annotations

import threading
from contextvars import ContextVar
from typing import Any, ClassVar

import dspy
from dspy.utils.callback import BaseCallback

from ..engine import SAMPLE
from ..errors import RunStopped
from ..programs import models
from .calls import SCOPE
from .ledger import NOTHING, Ask, Ledger, running_loop

__all__ = ["Guard"]

_CHARACTERS = 4  # of a token
_ANSWER = 1000  # tokens
# Calls of this context in flight: one that is made inside another cannot wait for it to end.
_INSIDE: ContextVar[int] = ContextVar("compilm_guarded_calls", default=0)


class Guard(BaseCallback):
    """Reserves and settles the calls of LMs that are not metered; takes a person's interrupt."""

    passes_roles: ClassVar[bool] = True  # they are metered below; rendering asks for it

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._reserved: dict[str, tuple[Ask, int, int]] = {}
        self._lock = threading.Lock()  # protects _reserved

    def interrupt(self) -> None:
        """No more calls from now on; those in flight may end."""
        self._ledger.stop(RunStopped("interrupted"))

    def count_rollout(self) -> None:
        """One more execution of the program on one example."""
        self._ledger.count_rollout()

    def early(self, calls: int) -> None:
        """So many of the calls that are held for the end are about to be made."""
        self._ledger.unhold(calls)

    def on_lm_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        if SAMPLE.get() is not None:
            return  # below a RoleLM: metered there
        if isinstance(instance, models.RoleLM):
            return
        is_free = models.is_embedded(instance)
        if not is_free:
            self._ledger.check_prices()  # nobody tells what it costs
        attempts = 1 + int(getattr(instance, "num_retries", 0) or 0)
        sent = len(str(inputs)) // _CHARACTERS
        # All at once: one by one, they would wait for each other for ever.
        ask = Ask(sent + _ANSWER, 0.0 if is_free else None, running_loop())
        self._ledger.reserve(ask, calls=attempts, may_wait=not _INSIDE.get())
        _INSIDE.set(_INSIDE.get() + 1)
        with self._lock:
            self._reserved[call_id] = ask, sent, attempts

    def on_lm_end(self, call_id: str, outputs: Any, exception: BaseException | None = None) -> None:
        with self._lock:
            reserved = self._reserved.pop(call_id, None)
        if reserved is None:
            return
        _INSIDE.set(max(0, _INSIDE.get() - 1))
        ask, sent, attempts = reserved
        self._ledger.settle(ask, tokens=sent + len(str(outputs)) // _CHARACTERS, usd=ask.usd)
        for _ in range(attempts - 1):
            self._ledger.release(NOTHING)
        scope = SCOPE.get()
        if scope is not None:
            scope.unmanaged += 1
            if isinstance(exception, dspy.LMError) and models.is_infrastructure(exception):
                scope.failures.append(type(exception).__name__)
