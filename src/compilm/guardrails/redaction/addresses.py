"""Postal addresses: streets with numbers, boxes, flats, and the lines that follow them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .finding import Finding
from .lists import is_common

__all__ = ["addresses"]

_STREET = (
    r"(?:street|st|avenue|ave|road|rd|boulevard|blvd|drive|dr|lane|ln|court|ct|place|pl|square|sq"
    r"|terrace|ter|way|parkway|pkwy|highway|hwy|circle|cir|trail|crescent|close|row|alley|plaza"
    r"|loop"
    r"|gateway|parks?|crossing|ridge|mews|grove|gardens|heights|walk|path|pike|route|rte|broadway"
    r"|stra(?:ß|ss)e|str|weg|platz|gasse|allee|rue|via|viale|piazza|strada|calle|avenida|plaza|rua"
    r"|ulica|ul|u|utca|tér|straat|laan|baan|plein|gata|gatan|gade|vej|vegen|veien|katu|tie|tänav"
    r"|tee"
    r"|náměstí|ulice|sokak|cadde)"
)
# Endings of one word that is a street (`Hauptstraße`), and words that begin its name (`Via Roma`).
_ENDING = (
    r"(?:stra(?:ß|ss)e|str|weg|platz|gasse|allee|damm|ufer|straat|laan|gracht|plein|kade|dreef|steeg"
    r"|gata|gatan|gade|vej|vejen|vegen|veien|vägen|backen|gränd|torget|torg|katu|tie|polku|kuja"
    r"|tänav|braut|stræde)"
)
_OPENING = (
    r"(?:rue|avenue|boulevard|chemin|impasse|quai|via|viale|piazza|corso|strada|largo|calle|avenida"
    r"|avda|av|ronda|rambla|piazzetta|piazzale|vicolo|contrada|paseo|plaza|carrer|camino|rua|praça|travessa|estrada|ulica|ul|aleja|al|os|plac)"
)
_WORD = r"(?:(?:[dDlL]['’])?[^\W\d_a-zß-ÿ][\w'’.-]{0,40}|\d+(?:st|nd|rd|th))"
_LINK = (
    r"(?:of|d['’]|de|da|do|dos|del|della|di|la|le|van|von|der|den|the|des(?:\s+[a-zà-ÿ]{3,20})?|du"
    r"|ten|z|na|y|e|az)"
)
_NAMED = rf"{_WORD}(?:\s+(?:{_LINK}|{_WORD})){{0,5}}?"
_STARTS = (
    (
        0.9,
        rf"(?<![\w.,$€£/-])\d{{1,6}}[A-Za-z]?,?\s+(?:\d{{1,5}}\s+)?"
        rf"(?:{_NAMED}\s+)??(?i:{_STREET})\b\.?(?:\s+\d{{1,5}}\b)?",
    ),
    (
        0.8,
        rf"(?<![\w.,$€£/-])\d{{2,6}}\s+(?:\d{{1,5}}\s+)?(?:(?:ul|al|os|r"
        rf"|c)\.?\s+)?{_NAMED}\s+\d{{1,5}}\b(?![,.]\d|%|\s*(?i:mg|ml|years?))",
    ),
    (0.7, rf"(?<![\w-])(?:(?:ul|al|os)\.?\s+{_NAMED}|{_NAMED}\s+(?i:{_STREET}))\.?\s+\d{{1,5}}\b"),
    (
        0.75,
        rf"(?<![\w-])[^\W\d_a-zß-ÿ][^\W\d_]{{2,30}}{_ENDING}\.?\s+\d{{1,5}}[a-zA-Z]?\b(?![,.]\d|%)",
    ),
    (
        0.7,
        r"(?i:(?<![\w.,$€£/-])\d{1,6}\s+(?:\d{1,5}\s+)?(?:[^\W\d_]{2,20}\s+){1,2}(?:street|avenue|boulevard"
        r"|parkway|lane|crescent|highway)\b)",
    ),
    (0.6, rf"(?<![\w-]){_WORD} and {_WORD} \d{{1,3}}\b(?![,.]\d|%|\s*(?i:mg|ml|years?))"),
    (
        0.75,
        rf"(?<![\w-])(?i:{_OPENING})\.?\s+(?:{_LINK}\s+){{0,3}}{_NAMED},?\s+\d{{1,5}}\b(?![,.]\d|%)",
    ),
    (
        0.65,
        rf"(?<![\w-]){_NAMED}\s+(?:Street|Avenue|Road|Boulevard|Drive|Lane|Loop|Gateway|Parkway"
        rf"|Parks)\b",
    ),
    (
        0.9,
        r"(?i:\b(?:p\.?\s?o\.?\s?box|postbox|postfach|apartado|unit"
        r"|psc)\s*#?\d+(?:,?\s+box\s+\d+)?)",
    ),
    (
        0.85,
        r"(?i:\b(?:apt|apartment|suite|ste|flat|room|unit|floor|building|bldg)\.?\s*#?\d+\w?\b)",
    ),
    (0.85, r"\b(?:APO|DPO|FPO)\s+A[AEP]\s+\d{5}"),
    (
        0.85,
        r"(?i:\b(?:zip|postal|post)[ -]?(?:code)?\W{1,3}(?:\w{1,12}\W{1,2}){0,2}?)(?P<value>\d{4,6}"
        r"(?:-\d{4})?|[A-Z]\d[A-Z] ?\d[A-Z]\d)",
    ),
    (
        0.85,
        r"\b(?:A[KLRZ]|C[AOT]|D[CE]|FL|GA|HI|I[ADLN]|K[SY]|LA|M[ADEINOST]|N[CDEHJMVY]|O[HKR]|PA"
        r"|RI|S[CD]|T[NX]|UT|V[AT]|W[AIVY])\s+\d{5}(?:-\d{4})?\b",
    ),
    (0.85, r"\b[A-Z]{1,2}\d[A-Z\d]? \d[A-Z]{2}\b"),
    (0.6, r"(?<=[a-z],) ?\d{5}(?:-\d{4})?\b(?![,.]?\d|%)|(?<=[a-z]) \d{5}-\d{4}\b"),
    (
        0.7,
        rf"(?i:(?<=address is )|(?<=address: )|(?<=lives at )|(?<=live at )|(?<=lived in )"
        rf"|(?<=located at )|(?<=corner of )|(?<=office is at )"
        rf"|(?<=live in )){_NAMED}(?:\s+\d+\b)?(?:\s+and\s+{_NAMED}(?:\s+\d+\b\.?)?)?",
    ),
)
# Ordinary words that names of towns and countries have.
_PARTS = frozenset(
    {"New", "North", "South", "East", "West", "United", "States", "Republic", "Springs", "Beach"}
    | {"Park", "City", "Hills"}
)
_COMPILED = tuple((score, re.compile(form)) for score, form in _STARTS)
# What an address goes on with: words with a capital, numbers, codes, "nan" of a table.
_NEXT = re.compile(
    rf"[\s,>()]{{1,5}}(?P<atom>(?i:apt|apartment|suite|ste|unit|box|flat|st)\.?\s*\d*\b"
    rf"|\d{{2,6}}(?![\w.,:/-]*\d)\b"
    rf"|[A-Z]{{2}}\b|{_LINK}\s+{_WORD}|{_WORD}|nan\b|\d+\.?)"
)


_GOES_ON = re.compile(r" [^\W\d_a-zß-ÿ][\w'’-]{1,30}\s")  # `United States 21959`


def addresses(text: str) -> Iterator[Finding]:
    """Where a street with its number, a box, a flat or a postal code stands, to its end.

    >>> text = "Send it to 14 Mill Lane, Suite 3, Fairview. Thanks"
    >>> [text[each.start : each.end] for each in addresses(text)][0]
    '14 Mill Lane, Suite 3, Fairview'
    """
    shown = text.title() if text.islower() and len(text.title()) == len(text) else text
    yield from _found(shown)


def _found(text: str) -> Iterator[Finding]:
    for score, form in _COMPILED:
        for match in form.finditer(text):
            group = "value" if "value" in match.groupdict() else 0
            start, end = match.span(group)
            if group or not any(each.isdigit() for each in match[0]):
                yield Finding(start, end, "ADDRESS", score, "address")
            else:
                yield Finding(start, _onward(text, end), "ADDRESS", score, "address")


def _onward(text: str, end: int) -> int:
    """The end of the address of which a part ends at `end`."""
    if text[end - 1 : end] == "." and text[end : end + 1] in ("", " ", "\n"):
        tail = text[end : end + 30].lstrip(" ")
        if not tail or not re.match(r"[\n,]|(?i:apt|suite|ste|unit)\b", tail):
            return end
    for _ in range(16):
        found = _NEXT.match(text, end)
        if found is None:
            return end
        word = found["atom"].rstrip(".")
        bracketed = "(" in text[end : found.start("atom")]
        if (
            word.isalpha()
            and is_common(word)
            and not (word.isupper() or bracketed or word in _PARTS)
            and not _GOES_ON.match(text, found.end())
        ):
            return end
        end = found.end() - (1 if found["atom"].endswith(".") and len(word) > 3 else 0)
        if text[end : end + 1] == ".":
            return end
    return end
