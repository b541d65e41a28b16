"""What two texts must agree in before the answer to one may stand for an answer to the other.

An embedder sees how close two texts are, not what they ask: of two that differ in one number it
says 0.92, of two that differ in politeness 0.84. So closeness only proposes, and each guard may
refuse. On doubt they refuse. All of them read English alone (`Reading.is_known`).
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

from .lexicon import (
    AMBIGUOUS,
    LIGHT,
    NEGATIONS,
    NEGATIVE_FORMS,
    PERSONS,
    QUESTIONS,
    SWITCHES,
    TIMES,
    UNITS,
)  # fmt: skip
from .reading import Reading

__all__ = ["GUARDS", "WORDS", "Guard", "refusing"]

Guard: TypeAlias = Callable[[Reading, Reading], bool]


def _same(part: Callable[[Reading], object]) -> Guard:
    return lambda one, other: part(one) == part(other)


def _meant(table: Mapping[str, str]) -> Guard:
    """The words of a table, in their order, each as what it means."""
    return _same(lambda text: [table[item] for item in text.items if item in table])


def _names(one: Reading, other: Reading) -> bool:
    """Each name of either stands in the other, in the same order.

    Capitals may differ (`atm`, `ATM`), but not where the small word means something else (`us`).
    """
    capitals = one.names | other.names
    if one.names & AMBIGUOUS != other.names & AMBIGUOUS:
        return False
    names = {each.lower() for each in capitals}
    return _within(one, names) == _within(other, names)


def _within(text: Reading, known: Container[str]) -> list[str]:
    return [item for item in text.items if item in known]


def _order(one: Reading, other: Reading) -> bool:
    """What both texts say, they say in one order."""
    both = set(one.items) & set(other.items) - LIGHT
    return _within(one, both) == _within(other, both)


def _negations(text: Reading) -> list[tuple[str, str]]:
    """Each negation, and what follows it."""
    items = [item for item in text.items if item not in LIGHT]
    return [(one, after) for one, after in zip(items, [*items[1:], ""]) if _negates(one)]


def _negates(item: str) -> bool:
    before, behind = NEGATIVE_FORMS
    is_formed = len(item) > 5 and (item.startswith(before) or item.endswith(behind))
    return item in NEGATIONS or is_formed


WORDS: Final = "words"

GUARDS: Final[Mapping[str, Guard]] = MappingProxyType(
    {
        "numbers": _same(lambda text: text.numbers),
        "identifiers": _same(lambda text: text.identifiers),
        "names": _names,
        "quotes": _same(lambda text: text.quotes),
        "signs": _same(lambda text: text.signs),
        "negations": _same(_negations),
        "switches": _meant(SWITCHES),
        "questions": _meant(QUESTIONS),
        "units": _meant(UNITS),
        "times": _meant(TIMES),
        "persons": _meant(PERSONS),
        "order": _order,
        WORDS: _same(lambda text: [item for item in text.items if item not in LIGHT]),
    }
)
"""By name; each says whether two texts agree in it.

numbers: values, in order (`1,000` is `1000`, `two` is `2`). identifiers: whatever holds a digit or
a sign between letters, as it stands. names: words with a capital where none was needed. quotes:
what stands in quotes. signs: comparisons, currencies, brackets, pictures. negations: `not`,
`without`, `except`, `un-`…, and what follows. switches: words that turn a question (`before`,
`all`, `maximum`, `from`). questions: what is asked, and modals. units, times, persons: `km`,
`yesterday`, `my`. order: what both say stands in one order. words: every word in its order, but
for articles and courtesy.
"""


def refusing(one: Reading, other: Reading, *, same_words: bool = True) -> str | None:
    """The first guard that refuses; `None` where all agree. Without `same_words` the last is out.

    >>> from compilm.runtime.near.reading import read
    >>> asked = read("What is the fee for 1,000 dollars from Paris?")
    >>> refusing(asked, read("what is the fee for 1000 dollars from Paris"))
    >>> refusing(asked, read("What is the fee for 2,000 dollars from Paris?"))
    'numbers'
    >>> refusing(asked, read("What is the fee for 1,000 dollars from Rome?"))
    'names'
    >>> refusing(asked, read("What is the charge for 1,000 dollars from Paris?"))
    'words'
    >>> refusing(asked, read("What is the charge for 1000 dollars from Paris?"), same_words=False)
    """
    if not (one.is_known and other.is_known):
        return "language"
    for name, agree in GUARDS.items():
        if (same_words or name != WORDS) and not agree(one, other):
            return name
    return None
