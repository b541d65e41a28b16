"""Runs of words with capitals: where names of people, places and institutions can stand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from .lists import is_common, is_medicine, known

__all__ = ["INSTITUTION", "TITLES", "Run", "Word", "runs"]

TITLES = known("titles")
INSTITUTION = known("institutions")
_WORD = re.compile(r"[^\W\d_]+(?:[-'’.&][^\W\d_]+)*")
_LINKS = known("links")
_BEGINS = known("begins")
_SHORT = known("short")
_MOST = 16  # words of one run: no name is longer, and a page in capitals is not one name
_SENTENCE = re.compile(r"(?:[.!?:;>\"“(\[*•|/]|\n|-\s)\s*[\"“'(\[>*-]*$")


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a text, from `start` to `end`."""

    text: str
    start: int
    end: int
    dotted: bool = False

    @property
    def low(self) -> str:
        """In small letters, without a genitive."""
        return re.sub(r"['’]s$", "", self.text.casefold())

    @property
    def has_capital(self) -> bool:
        return self.text[0].isupper()

    @property
    def is_initial(self) -> bool:
        return len(self.text) == 1 and self.has_capital and (self.dotted or self.text != "I")

    @property
    def is_code(self) -> bool:
        """Whether it is an acronym, or mixes capitals as `eGFR` does and `McDonald` does not."""
        if re.match(r"(?:Mc|Mac|O['’]|De|La|Di|Fitz)[A-Z]", self.text) or "-" in self.text:
            return self.text.isupper()
        return len(self.text) > 1 and any(each.isupper() for each in self.text[1:])

    @property
    def is_plain(self) -> bool:
        """Whether it says nothing of who or where: ordinary English, or medicine."""
        return is_common(self.text) or is_medicine(self.text)


@dataclass(frozen=True, slots=True)
class Run:
    """Words with capitals that stand together; `opens` where a sentence or line begins with it."""

    words: tuple[Word, ...]
    opens: bool

    @property
    def start(self) -> int:
        return self.words[0].start

    @property
    def end(self) -> int:
        return self.words[-1].end

    @property
    def low(self) -> str:
        """Its words in small letters, with a space between each."""
        return " ".join(word.text.casefold() for word in self.words)


def runs(text: str) -> Iterator[Run]:
    """The runs of a text, without ordinary words and titles at their ends.

    >>> [run.low for run in runs("Is Jane van Dyke, seen by Dr. Ada P. at Elm Hill, better?")]
    ['jane van dyke', 'ada p', 'elm hill']
    """
    held: list[Word] = []
    for word in _words(text):
        if held and (len(held) == _MOST or not _joins(text, held[-1], word)):
            yield from _cut(text, held)
            held = []
        if word.has_capital or (held and word.text.casefold() in _LINKS | {"and", "for"}):
            held.append(word)
        elif held:
            yield from _cut(text, held)
            held = []
    yield from _cut(text, held)


def _words(text: str) -> Iterator[Word]:
    for match in _WORD.finditer(text):
        before, after = text[match.start() - 1 : match.start()], text[match.end() : match.end() + 1]
        if not (before.isdigit() or after.isdigit() or before in ("[", "_") or after == "_"):
            yield Word(match[0], *match.span(), dotted=after == ".")


def _joins(text: str, last: Word, word: Word) -> bool:
    gap = text[last.end : word.start]
    dotted = last.is_initial or last.text.casefold() in _SHORT
    return gap in (" ", "  ", " & ", "-") or (dotted and gap in (". ", "."))


def _cut(text: str, words: list[Word]) -> Iterator[Run]:
    """The run without what is no part of it; `and` stands only in names of institutions."""
    names = [word.low for word in words]
    if "and" in names and not INSTITUTION & set(names[names.index("and") :]):
        place = names.index("and")
        yield from _cut(text, words[:place])
        yield from _cut(text, words[place + 1 :])
        return
    opens = bool(words) and _SENTENCE.search(_just_before(text, words[0].start)) is not None
    kept = list(words)
    while kept and _leads_away(kept):
        if kept.pop(0).low in TITLES:
            break
    while kept and _trails_away(kept):
        kept.pop()
    if kept:
        yield Run(tuple(kept), opens and kept[0] is words[0])


def _just_before(text: str, place: int) -> str:
    """The last characters before a place; `^` of a pattern is the start of the text, or a line."""
    return text[max(0, place - 12) : place] if place > 12 else "\n" + text[:place]


def _leads_away(words: list[Word]) -> bool:
    first = words[0]
    if " ".join(word.text.casefold() for word in words) in known("places"):
        return False
    if first.low in TITLES or (first.text in _LINKS | {"and", "for"}):
        return True
    if (
        first.low in _BEGINS
        and len(words) > 1
        and words[1].has_capital
        and not is_common(words[1].text)
    ):
        return False
    is_name = first.low in known("given") or first.low in known("family")
    if is_name and len(words) > 1 and words[1].has_capital:
        return False
    return is_common(first.text) and not INSTITUTION & {word.low for word in words}


def _trails_away(words: list[Word]) -> bool:
    last = words[-1]
    if not last.has_capital:
        return True
    if last.is_initial and len(words) > 1:
        return False
    if last.low in INSTITUTION or last.low in known("family") or last.low in known("given"):
        return False
    return is_common(last.text) and " ".join(word.low for word in words) not in known("places")
