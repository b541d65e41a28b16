"""What was found in the texts that were met lately; of the texts themselves nothing is kept."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable

from .finding import Finding

__all__ = ["Seen"]

_SALT = os.urandom(16)  # of this process: what is kept cannot be compared with guesses elsewhere


class Seen:
    """Findings by a salted digest of their text: of `most` texts, those that came first go first.

    A program hides the same message before each of its predictors. Safe under threads.

    >>> calls: list[str] = []
    >>> seen = Seen()
    >>> for text in ("Ana", "Ana"):
    ...     _ = seen.found(text, lambda text: (calls.append(text) or (Finding(0, 3, "NAME", 1.0),)))
    >>> calls
    ['Ana']
    """

    def __init__(self, most: int = 2048) -> None:
        self._lock = threading.Lock()  # protects what follows
        self._found: dict[bytes, tuple[Finding, ...]] = {}
        self._most = most

    def found(self, text: str, find: Callable[[str], tuple[Finding, ...]]) -> tuple[Finding, ...]:
        """What `find` finds in the text, or found before."""
        data = text.encode("utf-8", "surrogatepass")
        key = hashlib.blake2b(data, digest_size=16, salt=_SALT).digest()
        with self._lock:
            findings = self._found.get(key)
        if findings is None:
            findings = find(text)
            with self._lock:
                self._found[key] = findings
                while len(self._found) > self._most:
                    del self._found[next(iter(self._found))]
        return findings
