"""What DSPy's optimizers print, log and warn about themselves, held back while they are driven.

They write progress bars and sentences to stdout, where data belongs. What a program prints is not
theirs and passes: the caller's module decides.
"""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["quiet"]

_TALKERS = frozenset({"dspy", "gepa", "optuna", "tqdm"})
_LOUDEST = logging.CRITICAL + 1
_lock = threading.Lock()  # protects the two below
_inside = 0
_before: dict[str, Any] = {}


class Muted:
    """A stream that drops what DSPy and its libraries write, and passes on the rest.

    >>> import io
    >>> kept = io.StringIO()
    >>> Muted(kept).write("a program's line")
    16
    >>> kept.getvalue()
    "a program's line"
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write `text`, unless the module that calls is one of the talkers."""
        caller = str(sys._getframe(1).f_globals.get("__name__", ""))
        if caller.partition(".")[0] in _TALKERS:
            return len(text)
        return int(self._stream.write(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def quiet() -> Iterator[None]:
    """While inside, nothing of DSPy's own is printed or logged. Several may be inside at once.

    >>> with quiet():
    ...     logging.getLogger("dspy").isEnabledFor(logging.ERROR)
    False
    """
    with _lock:
        _enter()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"(dspy|gepa|optuna|tqdm)(\.|$)")
            yield
    finally:
        with _lock:
            _leave()


def _enter() -> None:
    global _inside
    _inside += 1
    if _inside == 1:
        _before.update(stdout=sys.stdout, stderr=sys.stderr)
        _before.update({name: logging.getLogger(name).level for name in _TALKERS})
        sys.stdout, sys.stderr = Muted(sys.stdout), Muted(sys.stderr)
        for name in _TALKERS:
            logging.getLogger(name).setLevel(_LOUDEST)


def _leave() -> None:
    global _inside
    _inside -= 1
    if _inside == 0:
        sys.stdout, sys.stderr = _before["stdout"], _before["stderr"]
        for name in _TALKERS:
            logging.getLogger(name).setLevel(_before[name])
