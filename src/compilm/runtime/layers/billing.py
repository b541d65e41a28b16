"""What the layers that count money share: for whom a call is, and which failures may be billed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from ...errors import DeadlineExceeded
from ...programs.models import is_lost
from .outcomes import kind_of

__all__ = ["TENANT", "may_be_billed", "tenant"]

TENANT: ContextVar[str] = ContextVar("compilm_tenant", default="")
"""For whom the calls of this context are; empty where nobody said so."""


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

    >>> from dspy import lm15
    >>> may_be_billed(lm15.TimeoutError("late")), may_be_billed(lm15.RateLimitError("slow"))
    (True, False)
    """
    is_late = isinstance(error, DeadlineExceeded)
    return is_late or is_lost(error) or kind_of(error) == "garbled"
