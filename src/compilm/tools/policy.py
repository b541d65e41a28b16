"""How a tool is called: how long, how often, and how much of its answer is told."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import UsageError

__all__ = ["Policy"]


@dataclass(frozen=True, slots=True)
class Policy:
    """The bounds of one call.

    `timeout` is seconds for the call in all, repetitions included; `None` calls a function in the
    caller's own thread and waits as long as it takes. Only an `idempotent` tool is called again,
    up to `attempts` times in all, after failures that may pass: a connection that broke, a server
    that was not there. `most` is the size of an answer in characters; what is beyond is cut, and
    the answer says how much. With `tells=False` the texts of exceptions are not told, only their
    class.

    >>> Policy().timeout, Policy().idempotent
    (10.0, False)
    """

    timeout: float | None = 10.0
    idempotent: bool = False
    attempts: int = 3
    base: float = 0.1
    cap: float = 2.0
    most: int = 20_000
    tells: bool = True

    def __post_init__(self) -> None:
        if self.timeout is not None and not self.timeout > 0:
            raise UsageError(f"timeout is {self.timeout!r}; give seconds above 0, or None")
        if self.attempts < 1 or self.most < 1:
            raise UsageError(
                f"attempts is {self.attempts!r} and most is {self.most!r}; give at least 1 each"
            )
