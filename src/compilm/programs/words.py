"""Text as sparse features: stemmed words, pairs of neighbors, and pieces of words.

Artifacts name an embedder that is made of these (`words-v1`): a change here would change which
demonstrations they show. A test holds the features of a few texts still.
"""

from __future__ import annotations

import re
from typing import Final, TypeAlias

__all__ = ["FUNCTION_WORDS", "Features", "features", "stem", "words"]

Features: TypeAlias = dict[str, float]

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_SUFFIXES: Final = ("ing", "ed", "es", "ly", "s")
_PIECE: Final = 4  # letters in a piece of a word
_SHORT_PIECE: Final = 2  # the same where a word is written in a letter or two
_IDEOGRAPHS: Final = "\u2e80"  # from here on: Chinese, Japanese, Korean

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
    four letters of `<word>` (of two in Chinese, Japanese and Korean); they let misspelled and
    compounded words meet.

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
    size = _PIECE if max(word) < _IDEOGRAPHS else _SHORT_PIECE
    for start in range(len(edged) - size + 1):
        piece = "#" + edged[start : start + size]
        found[piece] = found.get(piece, 0.0) + 0.5
