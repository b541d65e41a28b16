"""Text as sparse features: stemmed words, pairs of neighbors, and pieces of words."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

__all__ = ["FUNCTION_WORDS", "Features", "features", "idf", "is_word", "stem", "unit", "words"]

Features: TypeAlias = dict[str, float]

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_SUFFIXES: Final = ("ing", "ed", "es", "ly", "s")
_PIECE: Final = 4  # letters in a piece of a word

FUNCTION_WORDS: Final = frozenset(
    re.findall(
        r"\S+",
        """a an the this that these those and or but if then so as of at by for from in into on onto
    to with without about over under up down out off is am are was were be been being do does did
    have has had having i me my mine we us our you your he him his she her it its they them their
    there here what which who when where why how can could will would shall should may might must
    not no""",
    )
)


def words(text: str) -> list[str]:
    """The words of `text`, in lower case; an underscore parts words, an inner apostrophe does not.

    >>> words("Card_lost: it isn't HERE")
    ['card', 'lost', 'it', "isn't", 'here']
    """
    return _WORD.findall(text.lower())


def stem(word: str) -> str:
    """`word` without its commonest English ending, so that its forms meet.

    >>> [stem(w) for w in ("stopped", "stopping", "charges", "charge", "is")]
    ['stop', 'stop', 'charg', 'charg', 'is']
    """
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            word = word[: -len(suffix)]
            break
    if len(word) > 3 and word[-1] == word[-2]:
        word = word[:-1]
    if len(word) > 3 and word[-1] == "e":
        word = word[:-1]
    return word


def features(text: str) -> Features:
    """Counted features of `text`: words 1.0, function words 0.5, pairs 0.35, pieces 0.5.

    A word stands as it is, a pair holds a space, a piece starts with `#`. Pieces are the runs of
    four letters of `<word>`; they let misspelled and compounded words meet.

    >>> features("a lost card")["lost card"]
    0.35
    """
    found: Features = {}
    last = ""
    for word in words(text):
        root = stem(word)
        common = word in FUNCTION_WORDS
        found[root] = found.get(root, 0.0) + (0.5 if common else 1.0)
        if last:
            pair = f"{last} {root}"
            found[pair] = found.get(pair, 0.0) + 0.35
        last = root
        if not common:
            _add_pieces(found, word)
    return found


def _add_pieces(found: Features, word: str) -> None:
    edged = f"<{word}>"
    for start in range(len(edged) - _PIECE + 1):
        piece = "#" + edged[start : start + _PIECE]
        found[piece] = found.get(piece, 0.0) + 0.5


def is_word(feature: str) -> bool:
    """Whether a feature is a whole word, not a pair and not a piece.

    >>> [is_word(f) for f in ("card", "lost card", "#<car")]
    [True, False, False]
    """
    return feature[0] != "#" and " " not in feature


def idf(documents: Iterable[Mapping[str, float]], power: float = 1.0) -> Features:
    """How telling each feature is: `ln((N + 1) / (df + 0.5)) + 0.1`, raised to `power`.

    >>> weights = idf([{"card": 1}, {"card": 1, "lost": 1}])
    >>> weights["lost"] > weights["card"]
    True
    """
    counts: dict[str, int] = {}
    number = 0
    for document in documents:
        number += 1
        for feature in document:
            counts[feature] = counts.get(feature, 0) + 1
    return {
        feature: (math.log((number + 1) / (count + 0.5)) + 0.1) ** power
        for feature, count in counts.items()
    }


def unit(document: Mapping[str, float], weights: Mapping[str, float]) -> Features:
    """`document` times `weights`, scaled to length one; features without a weight fall away.

    >>> unit({"card": 3.0, "x": 1.0}, {"card": 2.0})
    {'card': 1.0}
    """
    weighed = {
        feature: count * weights[feature]
        for feature, count in document.items()
        if feature in weights
    }
    length = math.sqrt(sum(value * value for value in weighed.values())) or 1.0
    return {feature: value / length for feature, value in weighed.items()}
