"""What was found in the texts that were met lately; of the texts themselves nothing is kept."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable

from .finding import Finding

__all__ = ["Seen"]

_SALT = os.urandom(16)  # of this process: what is kept cannot be compared with guesses elsewhere
_FINDINGS = 100  # of one text, at most: what is kept must stay small


class Seen:
    """Findings by a salted digest of their text: when there are `most`, the older half goes.

    A program hides the same message before each of its predictors. Safe under threads and forks.

    >>> calls: list[str] = []
    >>> seen = Seen()
    >>> for text in ("Ana", "Ana"):
    ...     _ = seen.found(text, lambda text: (calls.append(text) or (Finding(0, 3, "NAME", 1.0),)))
    >>> calls
    ['Ana']
    """

    def __init__(self, most: int = 2048) -> None:
        self._found: dict[bytes, tuple[Finding, ...]] = {}  # each use of it is atomic
        self._most = most

    def found(self, text: str, find: Callable[[str], tuple[Finding, ...]]) -> tuple[Finding, ...]:
        """What `find` finds in the text, or found before."""
        data = text.encode("utf-8", "surrogatepass")
        key = hashlib.blake2b(data, digest_size=16, salt=_SALT).digest()
        known = self._found.get(key)
        if known is not None:
            return known
        findings = find(text)
        if len(findings) <= _FINDINGS:
            if len(self._found) >= self._most:
                for old in list(self._found)[: self._most // 2]:
                    self._found.pop(old, None)
            self._found[key] = findings
        return findings
