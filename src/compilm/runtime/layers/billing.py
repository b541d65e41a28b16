"""What the layers that count money share: for whom a call is, and which failures may be billed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import dspy
from dspy import lm15

from ... import errors
from .outcomes import kind_of

__all__ = ["TENANT", "may_be_billed", "tenant"]

TENANT: ContextVar[str] = ContextVar("compilm_tenant", default="")
"""For whom the calls of this context are; empty where nobody said so."""

_LOST = (
    errors.DeadlineExceeded,
    lm15.TimeoutError, lm15.TransportError, dspy.LMTimeoutError, dspy.LMTransportError,
)  # fmt: skip


@contextmanager
def tenant(name: str) -> Iterator[None]:
    """What is called inside is for this tenant: a customer, a team, the name of a key.

    It is shown in tables and errors, so it is never the key itself.

    >>> with tenant("acme"):
    ...     TENANT.get()
    'acme'
    """
    token = TENANT.set(name)
    try:
        yield
    finally:
        TENANT.reset(token)


def may_be_billed(error: BaseException) -> bool:
    """Whether an attempt that ended so may cost something, of which nobody tells us.

    What was sent and did not come back whole: cancelled, timed out, cut off, or not to be read.
    A status of failure and a refusal are not billed.

    >>> may_be_billed(lm15.TimeoutError("late")), may_be_billed(lm15.RateLimitError("slow"))
    (True, False)
    """
    is_lost = not isinstance(error, Exception) or isinstance(error, _LOST)
    return is_lost or kind_of(error) == "garbled"
