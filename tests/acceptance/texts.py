"""Texts for made-up data: as many as wanted, each with its own words, the same in every process."""

from __future__ import annotations

import hashlib

_SOUNDS = [first + second for first in "bdfgklmnprstvz" for second in "aeiou"]


def drawn(text: str, label: str, below: int) -> int:
    """A number from 0 to `below` - 1 that this text and label decide."""
    return int(hashlib.sha256(f"{label}:{text}".encode()).hexdigest()[:8], 16) % below


def text(number: int, words: int = 6) -> str:
    """The text of this number: words that no language has."""
    return " ".join(_word(f"{number}-{place}") for place in range(words))


def _word(seed: str) -> str:
    return "".join(_SOUNDS[drawn(seed, str(place), len(_SOUNDS))] for place in range(3))
