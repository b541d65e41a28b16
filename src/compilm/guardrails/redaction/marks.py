"""Identifiers that have a form: numbers with check digits, network addresses, labelled codes."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .finding import Finding

__all__ = ["iban_is_valid", "luhn_is_valid", "marks"]


def luhn_is_valid(digits: str) -> bool:
    """Whether the last digit is the check digit of the others (ISO/IEC 7812-1, annex B).

    >>> luhn_is_valid("4539578763621486"), luhn_is_valid("4539578763621487")
    (True, False)
    """
    doubled = (int(each) * (1 + place % 2) for place, each in enumerate(reversed(digits)))
    return bool(digits) and sum(each - 9 if each > 9 else each for each in doubled) % 10 == 0


def iban_is_valid(text: str) -> bool:
    """Whether an IBAN, without spaces, leaves 1 when divided by 97 (ISO 13616).

    >>> iban_is_valid("GB82WEST12345698765432"), iban_is_valid("GB82WEST12345698765433")
    (True, False)
    """
    moved = (text[4:] + text[:4]).upper()
    if not (15 <= len(text) <= 34 and moved.isascii() and moved.isalnum()):
        return False
    return int("".join(str(int(each, 36)) for each in moved)) % 97 == 1


_VALUE = r"(?P<value>#?(?=[\w/-]{0,30}\d)[A-Z0-9]{1,30}(?:[-/.][A-Z0-9]{1,30}){0,6})"
_NUMBERED = r"[.:]?\s*(?:(?:no|number|num|nr|id|code|record)\b\.?|#)?\s*(?:is|was|of|[:=#])*\s*"


def _labelled(kind: str, labels: str, score: float = 0.9) -> tuple[str, float, re.Pattern[str]]:
    pattern = rf"(?:(?<!\w)(?:{labels})){_NUMBERED}{_VALUE}"
    return kind, score, re.compile(pattern, re.IGNORECASE)


# The kind, how sure, and what the value stands after.
_LABELS = (
    _labelled("SSN", r"SSN|social security|social sec\b"),
    _labelled(
        "RECORD_NUMBER", r"MRN|medical rec(?:ord)?|med\.? rec|chart|record|encounter|visit id"
    ),
    _labelled(
        "MEMBER_NUMBER",
        r"insurance(?: plan| policy| member| id)?|ins\.?(?: policy| plan| id)?|policy"
        r"|member(?:ship)?"
        r"|subscriber|beneficiary|health plan|plan|medicare|medicaid|group|HPN|HPBN|MBI|HICN",
    ),
    _labelled(
        "CLAIM_NUMBER", r"claim|prior auth(?:orization)?|authorization|referral|reference|ref"
    ),
    _labelled("ACCOUNT_NUMBER", r"acct|account|a/c|routing|sort code|BIC|SWIFT|invoice|order"),
    _labelled(
        "LICENSE_NUMBER",
        r"licen[cs]e(?: plate)?|DL|passport|plate|VIN|certificate|NPI|DEA|tax id|EIN|TIN|NHS|SIN",
    ),
    _labelled("DEVICE_NUMBER", r"serial|device|IMEI|implant|UDI|lot"),
    _labelled(
        "ID_NUMBER", r"(?:patient |pt |case |study |employee |student |user )?ID|case|patient"
    ),
)
_FORMS: tuple[tuple[str, float, str], ...] = (
    ("EMAIL", 0.97, r"(?<![\w.+-])[\w.+%-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+"),
    ("URL", 0.9, r"\b(?:https?|ftp)://[^\s<>\"')\]]+|\bwww\.[^\s<>\"')\],]+"),
    (
        "URL",
        0.6,
        r"(?<![\w@.])(?:[a-z0-9-]{1,63}\.){1,6}(?:com|org|net|edu|gov|io|info|biz|co\.uk|de|fr"
        r"|se|nl|eu|us)"
        r"(?:/[^\s<>\"')\]]*)?(?![\w@])",
    ),
    (
        "IP_ADDRESS",
        0.9,
        r"(?<![\w.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\w]|\.\d)",
    ),
    (
        "IP_ADDRESS",
        0.8,
        r"(?<![\w:])(?:[0-9a-f]{1,4}:){3,7}(?::|[0-9a-f]{1,4})(?:[0-9a-f:]*)(?![\w])",
    ),
    ("DEVICE_NUMBER", 0.9, r"(?<![\w:])(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}(?![\w:])"),
    ("SSN", 0.9, r"(?<![\w-])\d{3}-\d{2}-\d{4}(?![\w-])"),
    ("ID_NUMBER", 0.75, r"(?<![\w-])#?[A-Z]{1,6}-?\d{5,}(?:-\w+)?(?![\w])"),
    (
        "ID_NUMBER",
        0.7,
        r"(?<![\w-])(?<!\d[.,])#?(?=[A-Z0-9-]{0,30}[A-Z])(?=(?:[A-Z-]{0,12}\d){5})[A-Z0-9]{1,30}"
        r"(?:-[A-Z0-9]{1,30}){0,6}(?![\w-])",
    ),
    ("ID_NUMBER", 0.7, r"(?<![\w.,-])#\d{4,}(?:-\w{1,20}){0,4}"),
    ("ID_NUMBER", 0.6, r"(?<![\w$€£-])(?<!\d[.,])\d{7,}(?![\w%]|[.,]\d)"),
    ("ID_NUMBER", 0.6, r"(?<![\w.,$€£/-])\d{2,5}-\d{2,5}-\d{2,5}(?:-\d{1,9}){0,4}(?![\w/])"),
    ("ID_NUMBER", 0.3, r"(?<![\w.,$€£-])\d{5,6}(?![\w%]|[.,]\d)"),
)
_COMPILED = tuple((kind, score, re.compile(form, re.IGNORECASE)) for kind, score, form in _FORMS)
_CARD = re.compile(r"(?<![\w.])\d(?:[ -]?\d){11,18}(?![\w])")
_IBAN = re.compile(r"(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}(?!\w)", re.IGNORECASE)
_PHONE = re.compile(
    r"(?<![\w/$€£-])(?<!\d[.,])(?:\+?\d{1,3}[ .-]?)?(?:\(\d{1,5}\)[ .-]?){0,2}\d{1,8}"
    r"(?:[ .-]\d{1,8}){0,6}"
    r"(?:\s?(?:x|ext\.?)\s?\d{1,6})?(?![\w%/]|[.,]\d)",
    re.IGNORECASE,
)
_CALL = re.compile(
    r"(?:phone|tel|telephone|call|called|mobile|cell|fax|desk|office|contact|whatsapp|sms|text"
    r"|reach|ph)\W+(?:\w+\W+){0,2}$",
    re.IGNORECASE,
)


def marks(text: str) -> Iterator[Finding]:
    """Numbers, codes and network addresses in a text.

    >>> [(each.kind, each.start) for each in marks("MRN: 4471, mail a.b@example.org")]
    [('RECORD_NUMBER', 5), ('EMAIL', 16)]
    """
    for kind, score, label in _LABELS:
        for match in label.finditer(text):
            if sum(each.isdigit() for each in match["value"]) >= 3:
                yield Finding(match.start("value"), match.end("value"), kind, score, "label")
    for kind, score, form in _COMPILED:
        for match in form.finditer(text):
            if len(match[0]) > 3:
                yield Finding(match.start(), _trimmed(match), kind, score, "form")
    yield from _cards(text)
    yield from _ibans(text)
    yield from _phones(text)


def _trimmed(match: re.Match[str]) -> int:
    """Where it ends, without the stop of its sentence."""
    return match.end() - (len(match[0]) - len(match[0].rstrip(".,;:!?")))


def _cards(text: str) -> Iterator[Finding]:
    for match in _CARD.finditer(text):
        digits = re.sub(r"\D", "", match[0])
        score = 0.95 if luhn_is_valid(digits) else 0.65
        yield Finding(*match.span(), "CARD", score, "luhn" if score > 0.9 else "length")


def _ibans(text: str) -> Iterator[Finding]:
    for match in _IBAN.finditer(text):
        for length in range(len(match[0]), 14, -1):  # words may follow without a stop between
            if iban_is_valid(match[0][:length].replace(" ", "")) and match[0][length - 1] != " ":
                yield Finding(match.start(), match.start() + length, "IBAN", 0.98, "mod97")
                break
        else:
            if re.search(r"iban\W+(?:\w+\W+)?$", text[: match.start()], re.IGNORECASE):
                yield Finding(*match.span(), "IBAN", 0.8, "label")


def _phones(text: str) -> Iterator[Finding]:
    for match in _PHONE.finditer(text):
        digits = sum(each.isdigit() for each in match[0])
        told = _CALL.search(text[max(0, match.start() - 40) : match.start()]) is not None
        grouped = len(re.findall(r"\d+", match[0])) >= 3 or match[0].startswith(("+", "("))
        if 7 <= digits <= 18 and (told or (grouped and not _is_date(match[0]))):
            yield Finding(*match.span(), "PHONE", 0.88 if told else 0.7, "phone")


def _is_date(text: str) -> bool:
    return (
        re.fullmatch(r"\d{4}([.-])\d{1,2}\1\d{1,2}|\d{1,2}([.-])\d{1,2}\2\d{4}", text) is not None
    )
