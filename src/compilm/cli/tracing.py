"""The tracer that a configuration asks for, for as long as a verb runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..config import Config
from ..errors import JournalError
from .out import Out
from .place import shown, trace_path

if TYPE_CHECKING:
    from ..runtime.tracing import Tracer

__all__ = ["tracing"]


@contextmanager
def tracing(config: Config, out: Out) -> Iterator[Tracer | None]:
    """The configured tracer, closed at the end; `None` where none is configured or can be had.

    What it could not keep is said, and fails nothing.
    """
    tracer = _opened(config, out)
    try:
        yield tracer
    finally:
        if tracer is not None:
            tracer.close()
            lost = tracer.counts.dropped + tracer.counts.failed
            if lost:
                out.note(f"{lost} traces were not kept in {shown(trace_path(config))}")
            if skipped := tracer.counts.skipped:
                most = f"{config.runtime.trace_rate:g} a second (runtime.trace_rate)"
                out.note(f"calls not recorded: {skipped:,}, as more came than {most}")


def _opened(config: Config, out: Out) -> Tracer | None:
    settings = config.runtime
    if settings.trace == "none":
        return None
    from ..prices import Prices
    from ..runtime.tracing import Tracer

    try:
        return Tracer.at(
            trace_path(config),
            keeps=settings.trace,
            sample=settings.trace_sample,
            rate=settings.trace_rate,
            most=settings.trace_keep,
            prices=Prices(config.prices),
        )
    except JournalError as error:
        out.note(f"no traces are kept: {error}")
        return None
