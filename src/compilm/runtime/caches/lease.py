"""A store that tells processes apart: for each key one at a time may be asking, for so long."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple, Protocol, runtime_checkable

from .store import Store

__all__ = ["KEY", "Claim", "Leases", "keyed"]

KEY: ContextVar[str | None] = ContextVar("compilm_cache_key", default=None)
"""The key under which the answer to the call of this context will be kept, if it will be."""


@contextmanager
def keyed(key: str | None) -> Iterator[None]:
    """What is asked inside is kept under this key.

    >>> with keyed("k"):
    ...     KEY.get()
    'k'
    """
    token = KEY.set(key)
    try:
        yield
    finally:
        KEY.reset(token)


class Claim(NamedTuple):
    """What a claim found: the value, if there is one by now, and whether the turn was given."""

    value: bytes | None
    is_mine: bool


@runtime_checkable
class Leases(Store, Protocol):
    """A store that gives turns: whoever has the turn for a key asks, the others look again.

    A turn ends when it is given back by the token that took it, or after its seconds.
    """

    def claim(self, key: str, token: str, seconds: float) -> Claim:
        """Take the turn for `key`, if nobody has it, and look once more at what is kept."""
        ...

    def release(self, key: str, token: str) -> None:
        """Give the turn back, if `token` still has it."""
        ...

    async def aclaim(self, key: str, token: str, seconds: float) -> Claim:
        """As `claim`, in a task."""
        ...

    async def arelease(self, key: str, token: str) -> None:
        """As `release`, in a task."""
        ...
