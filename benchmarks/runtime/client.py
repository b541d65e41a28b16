"""What a peer is asked to do, and what it then is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["KEY", "SYSTEM", "Client", "Setup"]

SYSTEM = "Answer the question with one word. " * 20
KEY = "no-key"  # goes to loopback alone


@dataclass(frozen=True, slots=True)
class Setup:
    """What a client is to do. Where a peer has no such thing, it goes without.

    urls: the providers in order of fallback, without `/v1`. timeout: seconds, of an attempt;
    hedge: when a second is asked beside the first; deadline: of a call. rendering: prompts are
    made from memory. cache: `none`, `memory`, `sqlite` (in `folder`) or `redis` (at `redis`).
    """

    urls: tuple[str, ...]
    timeout: float = 45.0
    hedge: Literal["auto", "never"] = "auto"
    deadline: float = 120.0
    concurrency: int = 256
    cache: str = "none"
    demos: int = 0
    rendering: bool = True
    redis: str | None = None
    folder: str = "."


@dataclass(frozen=True, slots=True)
class Client:
    """A question's answer in tasks, in threads, and streamed (the whole text); how it is closed."""

    ask: Callable[[str], Awaitable[str]]
    ask_sync: Callable[[str], str] | None = None
    stream: Callable[[str], Awaitable[str]] | None = None
    close: Callable[[], Awaitable[Any]] | None = None
