"""Which sample of a request a call means: counted once, by whichever layer looks first."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

from ...engine import SAMPLE, Sample

__all__ = ["abegun", "begun", "counted", "is_named", "settled"]


def counted() -> Sample:
    """The sample of this call; the next request of the same call is the next sample.

    >>> token = SAMPLE.set(Sample(rollout_id=7))
    >>> counted().index, counted().index
    (0, 1)
    >>> SAMPLE.reset(token)
    """
    sample = SAMPLE.get()
    if sample is None:
        return Sample()
    found = _copied(sample)
    sample.index += 1
    return found


def _copied(sample: Sample) -> Sample:
    return Sample(sample.rollout_id, sample.index, sample.is_fresh)


def is_named(sample: Sample, request: Any) -> bool:
    """Whether another call could mean this very sample.

    Above temperature 0 only a `rollout_id` says so: without one, each call is its own.

    >>> from compilm.testing.layer_kit import request
    >>> is_named(Sample(), request()), is_named(Sample(), request(temperature=1.0))
    (True, False)
    """
    return sample.rollout_id is not None or not request.config.temperature


@contextmanager
def settled(sample: Sample) -> Iterator[None]:
    """What is called inside means this very sample: a layer below counts from it.

    >>> with settled(Sample(index=3)):
    ...     counted().index
    3
    """
    token = SAMPLE.set(_copied(sample))
    try:
        yield
    finally:
        SAMPLE.reset(token)


def begun(source: Iterator[Any], sample: Sample) -> Iterator[Any]:
    """A stream whose first step means this very sample: layers that are asked in it count alike.

    >>> list(begun(iter("abc"), Sample()))
    ['a', 'b', 'c']
    """
    with settled(sample):
        first = next(source, None)
    if first is not None:
        yield first
        yield from source


async def abegun(source: AsyncIterator[Any], sample: Sample) -> AsyncIterator[Any]:
    """As `begun`, in a task."""
    with settled(sample):
        first = await anext(source, None)
    if first is not None:
        yield first
        async for event in source:
            yield event
