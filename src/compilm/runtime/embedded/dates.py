"""Dates and times of day written in English text, read as ISO 8601."""

from __future__ import annotations

import datetime
import re
from typing import Final

__all__ = ["read_date", "read_time"]

_MONTHS: Final = "janfebmaraprmayjunjulaugsepoctnovdec"  # three letters each
_ISO = re.compile(r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})(?![0-9])")
_PARTS = re.compile(r"([0-9]{1,2})([/.])([0-9]{1,2})\2([0-9]{4})(?![0-9])")
_DAY_FIRST = re.compile(
    r"([0-9]{1,2})(?:st|nd|rd|th)?(?: of)? ([a-z]{3})[a-z]*\.?,? ([0-9]{4})", re.I
)
_MONTH_FIRST = re.compile(r"([a-z]{3})[a-z]*\.? ([0-9]{1,2})(?:st|nd|rd|th)?,? ([0-9]{4})", re.I)
_CLOCK = re.compile(r"([0-9]{1,2})(?::([0-9]{2}))?(?::([0-9]{2}))?\s*([ap])?\.?(m)?\.?", re.I)


def read_date(text: str) -> str | None:
    """The date that `text` starts with, as `YYYY-MM-DD`; None if there is none.

    With slashes the month comes first unless it cannot, with dots the day.

    >>> read_date("March 5, 2024"), read_date("25/12/2024"), read_date("soon")
    ('2024-03-05', '2024-12-25', None)
    """
    if found := _ISO.match(text):
        return _date(found[1], found[2], found[3])
    if found := _PARTS.match(text):
        first, second = found[1], found[3]
        if found[2] == "." or int(first) > 12:
            first, second = second, first
        return _date(found[4], first, second)
    if found := _DAY_FIRST.match(text):
        return _named(found[3], found[2], found[1])
    if found := _MONTH_FIRST.match(text):
        return _named(found[3], found[1], found[2])
    return None


def read_time(text: str) -> str | None:
    """The time of day that all of `text` is, as `HH:MM:SS`; a bare number is none.

    >>> read_time("4:30 pm"), read_time("16")
    ('16:30:00', None)
    """
    found = _CLOCK.fullmatch(text)
    if not found or not (found[2] or (found[4] and found[5])):
        return None
    hour = int(found[1])
    if found[4]:
        hour = hour % 12 + (12 if found[4].lower() == "p" else 0)
    try:
        return datetime.time(hour, int(found[2] or 0), int(found[3] or 0)).isoformat()
    except ValueError:
        return None


def _named(year: str, month: str, day: str) -> str | None:
    at, beside = divmod(_MONTHS.find(month.lower()), 3)
    return _date(year, str(at + 1), day) if at >= 0 and not beside else None


def _date(year: str, month: str, day: str) -> str | None:
    try:
        return datetime.date(int(year), int(month), int(day)).isoformat()
    except ValueError:
        return None
