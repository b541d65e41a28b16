"""The tracer: decides which calls of a program are recorded, and what of them."""

from __future__ import annotations

import math
import os
import random
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ...clock import SYSTEM_CLOCK, Clock
from ...errors import ConfigError
from ...journal import Journal, SqliteJournal
from ...prices import Prices
from ...programs.veils import Veil
from .live import LiveTrace
from .writer import Counts, Writer

__all__ = ["Tracer"]

# Not the system's: that is a call of the system for each trace. A forked process draws its own, as
# it does from the `random` module, which anybody may have seeded.
_IDS = random.Random()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_IDS.seed)


class Tracer:
    """Records calls of programs into a journal, which keeps the last `most` of them.

    With `keeps="numbers"` a trace holds times, models, tokens and outcomes, and no text of any
    call: neither inputs nor prompts nor answers nor messages of errors. With `keeps="texts"` it
    holds these, and can be replayed. `sample` is the share of calls that are recorded, from 0 to
    1, and `rate` how many a second at most, in each process, whatever becomes of them: that bounds
    what tracing takes. Ten seconds' worth may come at once; what is beyond is counted as skipped.
    `waiting` traces may wait for the writer; more are dropped. `prices` tell what a call cost.
    Raises `ConfigError` for other settings. Closing it, or the end of the process, writes what
    there is.

    >>> from compilm.journal import MemoryJournal
    >>> journal = MemoryJournal()
    >>> with Tracer(journal) as tracer, tracer.begin({"program": "Desk", "digest": ""}, {}):
    ...     pass
    >>> [record.body["program"] for record in journal.read(kinds=["trace"])]
    ['Desk']
    """

    def __init__(
        self,
        journal: Journal,
        *,
        keeps: str = "numbers",
        sample: float = 1.0,
        rate: float | None = None,
        most: int = 10_000,
        waiting: int = 1024,
        prices: Prices | None = None,
        clock: Clock = SYSTEM_CLOCK,
        rng: random.Random | None = None,
    ) -> None:
        if keeps not in ("numbers", "texts"):
            raise ConfigError(f"a trace keeps 'numbers' or 'texts', not {keeps!r}")
        if not 0.0 <= sample <= 1.0 or most < 1 or waiting < 1:
            raise ConfigError("sample must be from 0 to 1, most and waiting at least 1")
        if rate is not None and not 0.0 < rate < math.inf:
            raise ConfigError(f"rate={rate!r}: expected traces a second above 0, or None for all")
        self.keeps_texts, self._sample = keeps == "texts", sample
        self._clock, self._rng = clock, rng or _IDS
        self._prices = prices or Prices()
        self._writer = Writer(journal, most, waiting, rate)
        self._finish = weakref.finalize(self, self._writer.finish)

    @classmethod
    def at(cls, path: str | Path, **settings: Any) -> Tracer:
        """A tracer into the file at `path`, made if it is not there, for its owner's eyes only.

        Raises `JournalError` where that cannot be.
        """
        return cls(SqliteJournal(path), **settings)

    @property
    def counts(self) -> Counts:
        """What became of the traces so far."""
        return self._writer.counts

    def begin(
        self,
        about: Mapping[str, Any],
        inputs: Mapping[str, Any],
        veil: Callable[[], Veil] | None = None,
    ) -> LiveTrace | None:
        """A trace of a program's call that begins now; `None` where it is not to be recorded.

        `about` has the `program`'s name, the `digest` of its artifact and, for texts, its `roles`.
        `veil` makes what hides, in this trace, what is private in inputs and outputs.
        """
        if self._sample < 1.0 and self._rng.random() >= self._sample:
            return None
        if not self._writer.admits(self._clock.now()):
            return None
        id = f"{self._rng.getrandbits(128):032x}"
        hides = veil() if veil is not None and self.keeps_texts else None
        trace = LiveTrace(
            id, self._clock, self.keeps_texts, about, self._prices, self._writer.put, hides
        )
        if self.keeps_texts:
            trace.given(inputs)
        return trace

    def flush(self) -> bool:
        """Have everything written that ended until now; whether that was done in five seconds."""
        return self._writer.flush()

    def close(self) -> None:
        """Write what there is and close the journal."""
        self._finish()

    def __enter__(self) -> Tracer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
