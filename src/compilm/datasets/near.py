"""Texts that share most of their word triples, found without comparing every pair."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from .content import normal

__all__ = ["Pair", "near_pairs", "shingles"]

_SPACELESS = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\u0e00-\u0e7f"
_WORD = re.compile(rf"[{_SPACELESS}]|[^\W{_SPACELESS}]+")
_WIDTH = 3
_LONGEST = 100  # rows kept per common triple and data set: bounds the work on templated texts


class Pair(NamedTuple):
    """The indices of two texts, the earlier first, and their Jaccard similarity."""

    first: int
    second: int
    similarity: float


def shingles(text: str) -> frozenset[str]:
    """The runs of three words in `text`, case and punctuation apart; a short text is one run.

    >>> sorted(shingles("Where is my card?"))
    ['is my card', 'where is my']
    """
    words = _WORD.findall(normal(text))
    last = max(len(words) - _WIDTH, 0)
    return (
        frozenset(" ".join(words[at : at + _WIDTH]) for at in range(last + 1))
        if words
        else frozenset()
    )


def near_pairs(texts: Sequence[str], owners: Sequence[int], least: float) -> Iterator[Pair]:
    """For each text its most similar earlier text of every owner, where at least `least` alike.

    Similarity is the Jaccard index of the sets of shingles. Two sets of which one has n members
    are `least` alike only if they share one of the n - ceil(least * n) + 1 rarest members of each,
    so only those are looked up (the prefix filter of Chaudhuri, Ganti and Kaushik, ICDE 2006).
    """
    sets = _ranked(texts)
    index: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    known = sorted(set(owners))
    for second, (ranks, members) in enumerate(sets):
        prefix = ranks[: len(ranks) - math.ceil(least * len(ranks) - 1e-9) + 1] if ranks else ()
        for owner in known:
            found = {first for rank in prefix for first in index.get((rank, owner), ())}
            scored = [(_jaccard(sets[first][1], members, least), -first) for first in found]
            similarity, first = max(scored, default=(0.0, 0))
            if similarity >= least:
                yield Pair(-first, second, similarity)
        for rank in prefix:
            posted = index[rank, owners[second]]
            if len(posted) < _LONGEST:
                posted.append(second)


def _ranked(texts: Sequence[str]) -> list[tuple[list[int], frozenset[int]]]:
    """Each text as numbers of its shingles, 0 the rarest of all, in order and as a set."""
    every = [shingles(text) for text in texts]
    counts = Counter(shingle for each in every for shingle in each)
    order = sorted(counts, key=lambda shingle: (counts[shingle], shingle))
    rank = {shingle: number for number, shingle in enumerate(order)}
    numbers = (sorted(rank[shingle] for shingle in each) for each in every)
    return [(each, frozenset(each)) for each in numbers]


def _jaccard(a: frozenset[int], b: frozenset[int], least: float) -> float:
    if min(len(a), len(b)) < least * max(len(a), len(b)):
        return 0.0  # sizes alone rule it out
    shared = len(a & b)
    return shared / (len(a) + len(b) - shared)
