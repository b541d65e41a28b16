"""Dates that are finer than a year, and ages: by HIPAA's safe harbor (45 CFR 164.514(b)(2)(i))."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .finding import Finding

__all__ = ["dates"]

_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    r"|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\b\.?"
)
_DAY = r"(?:3[01]|[12]\d|0?[1-9])(?:st|nd|rd|th)?"
_YEAR = r"(?:(?:19|20)\d{2}|['’]\d{2})"
_CLOCK = r"(?:[01]?\d|2[0-4]):[0-5]\d"
_SECONDS = r"(?::[0-5]\d(?:[.,]\d{1,9})?)?"
_ZONE = r"(?:\s?(?:Z|UTC|GMT|[+-]\d{2}:?\d{2})\b)?"
_NOON = r"(?:\s?[ap]\.?m\b\.?)"
_TIME = rf"(?:(?:,?\s+(?:at\s+)?|T){_CLOCK}{_SECONDS}{_NOON}?{_ZONE})?"
_WEEKDAY = r"(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?"
_DATED = rf"(?:\b{_WEEKDAY},?\s+(?:the\s+)?)?"
_WHEN = r"(?:at|by|since|from|until|till|before|after|around|about|between|to|and)"
_SEASON = r"(?:spring|summer|autumn|fall|winter|easter|christmas|thanksgiving)"

_FORMS: tuple[tuple[str, float, str], ...] = (
    (
        "DATE",
        0.9,
        rf"{_DATED}\b{_MONTH}\s*{_DAY}\b(?!\s*(?:mg|ml|%|years?))(?:,?\s*(?:of\s+)?{_YEAR})?{_TIME}",
    ),
    ("DATE", 0.9, rf"{_DATED}\b{_DAY}(?:\s+of)?[\s-]+{_MONTH}(?:[,\s-]*{_YEAR})?{_TIME}"),
    ("DATE", 0.9, rf"\b{_DAY}([/-]){_MONTH}\1(?:\d{{4}}|\d{{2}})\b{_TIME}"),
    ("DATE", 0.85, rf"\b{_MONTH}(?:\s+of)?,?\s+{_YEAR}"),
    ("DATE", 0.8, rf"\b{_MONTH}[-/](?:(?:19|20)\d{{2}}|[013-9]\d)\b(?!-)"),
    ("DATE", 0.75, r"(?<![\w/.-])(?:19|20)\d\d[-/](?:0[1-9]|1[0-2])(?![\w/-]|\.\d)"),
    ("DATE", 0.7, rf"\b{_SEASON}(?:\s+of)?,?\s+(?:19|20)\d\d\b|\bQ[1-4][\s/-](?:19|20)\d\d\b"),
    (
        "DATE",
        0.9,
        rf"(?<![\d/.-])(?:19|20)\d\d[-/.](?:0?[1-9]|1[0-2])[-/.](?:3[01]|[12]\d|0?[1-9])(?!\d){_TIME}",
    ),
    (
        "DATE",
        0.9,
        rf"(?<![\d/.-])\d{{1,2}}([/.-])\d{{1,2}}\1(?:\d{{4}}|\d{{2}})(?![\d/-]|\.\d){_TIME}",
    ),
    ("DATE", 0.7, r"(?<=\bon )(?:0?[1-9]|1[0-2])/(?:3[01]|[12]\d|0?[1-9])\b(?!/)"),
    ("DATE", 0.75, r"\b(?:0?[1-9]|1[0-2])/(?:19|20)\d\d\b"),
    ("DATE", 0.6, rf"\b(?:last|next|this|since|in|early|late|mid)[\s-]+{_MONTH}(?!\w)"),
    (
        "DATE",
        0.35,
        rf"\b(?:last|next|this|in|during|since)\s+(?:the\s+)?(?:week|month|year|{_SEASON})\b",
    ),
    ("DATE", 0.5, r"\b(?:in|since|until|from|year)\s(?P<value>19\d\d)\b(?!-)"),
    (
        "DATE",
        0.4,
        rf"\b(?:last|next|this|on)\s+{_WEEKDAY}\b|\b(?:yesterday|tomorrow|last night|today)\b",
    ),
    (
        "DATE",
        0.35,
        r"\b(?:\d+|two|three|four|five|six|a few|several)\s+(?:days?|weeks?|months?)\s+ago\b",
    ),
    (
        "DATE",
        0.6,
        rf"(?<![\d:])(?:{_CLOCK}:[0-5]\d(?:[.,]\d{{1,9}})?{_NOON}?{_ZONE}|{_CLOCK}{_NOON}"
        rf"|(?<![\d.,:])(?:1[0-2]|[1-9]){_NOON})(?![\w:])",
    ),
    ("DATE", 0.5, rf"\b{_WHEN}\s(?P<value>{_CLOCK})(?![\d:])"),
    ("DATE", 0.35, rf"(?<![\d:]){_CLOCK}(?![\d:])"),
    ("DATE", 0.5, r"\b(?:born|died|class of)\s(?:\w+\s){0,2}?(?:in\s)?(?P<value>(?:19|20)\d\d)\b"),
    ("DATE", 0.25, r"\b(?:in|since|of|during|year)\s+(?:19|20)\d\d\b"),
)
_AGE = r"[-\s]?(?:years?[-\s]?olds?|yrs?[-\s]?old|years? of age|y/?o\b|yrs?\b)"
_AGES = (
    (
        "AGE",
        0.85,
        rf"\b(?:9\d|1[01]\d)(?={_AGE})|(?<=aged )(?:9\d|1[01]\d)\b|(?<=age )(?:9\d|1[01]\d)\b",
    ),
    ("AGE", 0.3, rf"\b\d{{1,3}}(?={_AGE})|(?<=\bage of )\d{{1,3}}\b|(?<=\bage )\d{{1,3}}\b"),
    ("AGE", 0.3, r"(?<=\baged )\d{1,3}\b|(?<=\bturn )\d{1,3}\b|(?<=\bturned )\d{1,3}\b"),
)
_COMPILED = tuple(
    (kind, score, re.compile(form, re.IGNORECASE)) for kind, score, form in (*_FORMS, *_AGES)
)


def dates(text: str) -> Iterator[Finding]:
    """Dates finer than a year, and ages above 89, are sure; a year or a younger age hardly counts.

    >>> [(each.kind, each.score) for each in dates("a 91-year-old, seen on March 4th, 2021")]
    [('DATE', 0.9), ('AGE', 0.85), ('AGE', 0.3)]
    """
    for kind, score, form in _COMPILED:
        for match in form.finditer(text):
            if "may" in match[0] and not re.search(r"\d", match[0]):
                continue  # the verb
            value = "value" if "value" in form.groupindex else 0
            end = match.end(value) - (len(match[0]) - len(match[0].rstrip(" ,-")))
            yield Finding(match.start(value), end, kind, score, "date" if kind == "DATE" else "age")
