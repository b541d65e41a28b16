"""What the guards look at in a text: its words in order, numbers, identifiers, names, signs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from unicodedata import category, name, normalize

from .lexicon import (
    ENGLISH,
    FOREIGN,
    GREETINGS,
    NUMBERS,
    ORDINALS,
    PARTINGS,
    SHORT_FORMS,
    STARTERS,
)  # fmt: skip

__all__ = ["LONGEST", "Reading", "read"]

LONGEST = 1000  # characters of a text that is read; a longer one must be equal

_STRAIGHT = str.maketrans("‘’‛′“”„‟«»", "''''" + '"' * 6)
_NUMBER = re.compile(r"[-+]?[$€£¥]?(\d{1,3}(?:,\d{3})+|\d+)(\.\d+)?[%$€£¥]?")
_ORDINAL = re.compile(r"(\d+)(?:st|nd|rd|th)", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")
_CODE = re.compile(r"\d|[@_/\\=<>|]|\w[.:&+]\w")
_QUOTED = re.compile(r"\"([^\"]*)\"|`([^`]*)`|(?<!\w)'([^']*)'(?!\w)")
_LAYOUT = re.compile(r"```|^(?: {2,}|\t)\S", re.MULTILINE)
_SIGNS = frozenset("%#&*^~()[]{}")
_HIDDEN = ("Cc", "Cf", "Cs", "Co", "Cn")
_ENDS = tuple(".!?:;")
_EDGES = "([{\"'`.,;:!?)]}…"


@dataclass(frozen=True, slots=True)
class Reading:
    """A text as the guards see it. All but `names` in the order of the text.

    items: words in small letters, short forms spelled out, greetings left out; a number is
    `#` and its value, an identifier `@` and itself. names: words with a capital where none was
    needed, as they stand. signs: what is neither letter, digit nor point, brackets among them.
    is_known: whether it is English text that could be read; of another nothing is said.

    >>> read("Hi! Why isn't my 1,000 USD at Lloyds?").items
    ('why', 'is', 'not', 'my', '#1000', 'usd', 'at', 'lloyds')
    """

    items: tuple[str, ...]
    names: frozenset[str]
    signs: tuple[str, ...]
    quotes: tuple[str, ...]
    is_known: bool

    @property
    def numbers(self) -> tuple[str, ...]:
        """Numbers and ordinals by value."""
        return tuple(item for item in self.items if item[0] == "#")

    @property
    def identifiers(self) -> tuple[str, ...]:
        """Codes, addresses, paths: what holds a digit or a sign between letters, as it stands."""
        return tuple(item for item in self.items if item[0] == "@")


def read(text: str) -> Reading:
    """What a text says, in the parts that guards compare; the same for the same text.

    >>> sorted(read("Is it nearer from Paris to the US?").names)
    ['Paris', 'US']
    >>> read("Ship A-17 to me@example.com").identifiers
    ('@A-17', '@me@example.com')
    >>> [read(each).is_known for each in ("What is it?", "Was ist das?", "それは何ですか")]
    [True, False, False]
    """
    plain = normalize("NFKC", text.strip()).translate(_STRAIGHT)
    words, names = list[str](), set[str]()
    is_first = True
    for chunk in re.findall(r"\S+|\n", plain):
        words += _items(chunk, is_first, names)
        is_first = chunk == "\n" or chunk.rstrip("\"')]").endswith(_ENDS) or (
            is_first and not any(map(str.isalnum, chunk))
        )  # fmt: skip
    quotes = tuple("".join(found) for found in _QUOTED.findall(plain))
    items = tuple(_joined(_polite(words)))
    known = _is_known(plain, words)
    if plain.isupper():  # where all are capitals, none says anything
        names.clear()
    return Reading(items, frozenset(names), tuple(_signs(plain)), quotes, known)


def _items(chunk: str, is_first: bool, names: set[str]) -> Iterator[str]:
    """The items of what stands between two blanks; its names are added to `names`."""
    core = chunk.strip(_EDGES)
    if number := _NUMBER.fullmatch(core):
        yield "#" + _value(core, *number.groups(""))
    elif ordinal := _ORDINAL.fullmatch(core):
        yield f"#{int(ordinal[1])}th"
    elif _CODE.search(core) and any(map(str.isalnum, core)):
        yield "@" + core
    else:
        for word in _WORD.findall(core):
            if _is_name(word, is_first):
                names.update(part for part in word.split("'") if part[:1].isupper())
            is_first = False
            yield from _spelled(word.lower())


def _value(core: str, whole: str, part: str) -> str:
    """A number's text for its value; one that begins with zeros may be a code, and stays."""
    sign = "-" if core.startswith("-") else ""
    if whole.startswith("0") and len(whole) > 1:
        return sign + whole + part
    value = Decimal(whole.replace(",", "") + part)
    return f"{sign}{value.normalize():f}"


def _is_name(word: str, is_first: bool) -> bool:
    begins = word.partition("'")[0]
    if not begins[0].isupper() or begins == "I":
        return False
    is_shouted = len(begins) > 1 and begins.isupper()
    return is_shouted or not is_first or begins.lower() not in STARTERS


def _spelled(word: str) -> list[str]:
    """A word without its short forms; a number word by its value."""
    if found := SHORT_FORMS.get(word):
        return found.split()
    if word.endswith("n't"):
        return [word[:-3], "not"]
    stem, mark, ending = word.rpartition("'")
    if mark:
        full = {"re": ["are"], "ve": ["have"], "ll": ["will"], "m": ["am"], "s": ["'s"]}
        return [stem, *full.get(ending, [ending])]
    if word in NUMBERS:
        return [f"#{NUMBERS[word]}"]
    return [f"#{ORDINALS[word]}th"] if word in ORDINALS else [word]


def _joined(words: Sequence[str]) -> Iterator[str]:
    """Items, with `twenty one` as one number."""
    tens = ""
    for word in words:
        if tens and re.fullmatch(r"#[1-9]", word):
            yield f"#{int(tens[1:]) + int(word[1:])}"
            tens = ""
            continue
        if tens:
            yield tens
        tens = word if re.fullmatch(r"#[2-9]0", word) else ""
        if not tens:
            yield word
    if tens:
        yield tens


def _polite(words: list[str]) -> list[str]:
    """The words without greetings before and thanks behind, if anything is left."""
    left = list(words)
    while found := next((one for one in GREETINGS if tuple(left[: len(one)]) == one), None):
        left = left[len(found) :]
    while found := next((one for one in PARTINGS if tuple(left[-len(one) :]) == one), None):
        left = left[: -len(found)]
    return left or words


def _signs(plain: str) -> Iterator[str]:
    for place, char in enumerate(plain):
        is_sign = char in _SIGNS or category(char)[0] == "S"
        if is_sign or (char in "-–—−" and _stands(plain, place)):
            yield char


def _stands(plain: str, place: int) -> bool:
    """Whether a dash stands alone, or before a digit: it may be a minus."""
    before, after = plain[:place][-1:], plain[place + 1 : place + 2]
    return not before.strip() and (not after.strip() or after.isdigit())


def _is_known(plain: str, words: list[str]) -> bool:
    if len(plain) > LONGEST or plain.count('"') % 2 or plain.count("`") % 2:
        return False
    if _LAYOUT.search(plain) or not all(map(_is_readable, plain)):
        return False
    marks = sum(word in ENGLISH for word in words)
    return marks >= max(1, len(words) // 12) and not any(word in FOREIGN for word in words)


def _is_readable(char: str) -> bool:
    """Whether a character is seen, and no letter or digit of another script."""
    if char.isascii():
        return char.isprintable() or char in "\n\t\r"
    kind = category(char)
    if kind in _HIDDEN:
        return False
    return kind[0] not in "LMN" or name(char, "").startswith("LATIN ")
