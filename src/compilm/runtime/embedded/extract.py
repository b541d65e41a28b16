"""Finding the span of a text that answers a field: what its worked examples' spans look like."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from .features import stem, words
from .rules import Rule

__all__ = ["KINDS", "Span", "SpanModel", "SpanTask", "kind_of", "shape", "spans", "stands_in"]

_TOKEN = re.compile(r"\S+")
_OPENING: Final = "\"'`([{<*\u201c\u2018\u00ab"
_CLOSING: Final = "\"'`)]}>*.,;:!?\u201d\u2019\u00bb"
_BREAKS: Final = frozenset(".;:!?,")
_VARIED: Final = 0.7  # copies of which at least so many differ are no labels
_LONGEST: Final = 6  # words in a span
_COUNTED: Final = 300  # wrong spans that are looked at in one example
_UNSEEN: Final = 4  # words in a span of a known kind, where no example shows its length
_MONTH: Final = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_DAY = re.compile(r"[0-9]{1,2}(?:st|nd|rd|th)?,")
_YEAR = re.compile(r"[0-9]{4}(?![0-9])")
_RUN = re.compile(r"(.)\1+")
_SAID = re.compile(r"`([^`]+)`")

# What a field is about, told by its name or description, and what its values then look like.
KINDS: Final = (
    (r"e-?mail", r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"),
    (r"\b(?:url|uri|link|website)\b", r"(?:https?://|www\.)\S+"),
    (
        r"amount|price|cost|fee|total|balance|payment|salary|sum\b",
        r"(?:[$€£¥]\s?|(?:usd|eur|gbp)\s?)\d[\d,]*(?:\.\d+)?[km]?"
        r"|\d[\d,]*(?:\.\d+)?\s?(?:[$€£¥]|usd|eur|gbp|dollars|euros|pounds)",
    ),
    (r"phone|mobile|\btel\b|\bfax\b", r"\+?\(?\d[\d\s().-]{5,}\d"),
    (
        r"\bdate|\bday\b|deadline|birthday|\bdob\b",
        rf"\d{{4}}-\d\d?-\d\d?|\d\d?[/.]\d\d?[/.]\d{{2,4}}"
        rf"|\d\d?(?:st|nd|rd|th)?(?: of)? {_MONTH}(?:,? \d{{4}})?"
        rf"|{_MONTH} \d\d?(?:st|nd|rd|th)?(?:,? \d{{4}})?|\d\d? {_MONTH},? \d{{4}}",
    ),
    (r"\btime\b|\bhour", r"\d\d?:\d\d(?:\s?[ap]\.?m\.?)?|\d\d?\s?[ap]\.?m\.?"),
    (r"percent|\brate\b", r"\d+(?:\.\d+)?\s?%"),
    (
        r"(?:\bid|number|code|reference|\bref|serial|sku|\bkey|ticket|invoice|order)s?$",
        r"(?=\S*\d)#?[a-z]{0,6}[-/#]?[a-z0-9]+(?:[-/_.][a-z0-9]+)*",
    ),
    (
        r"(?:name|person|customer|author|sender|recipient|company|city)$",
        r"(?-i:[A-Z][\w'.-]+(?: [A-Z][\w'.-]+){0,3})",
    ),
)
_BRIEF: Final = 8  # a description of more words is not read as the name of a kind


class Span(NamedTuple):
    """A stretch of an input: its text, and what stands around it."""

    text: str
    source: str
    left: tuple[str, ...]
    right: str
    size: int


@dataclass(frozen=True, slots=True)
class SpanTask:
    """What is looked for: a field, its rules, its worked examples as (inputs, value)."""

    name: str
    description: str
    rules: Sequence[Rule]
    rows: Sequence[tuple[Mapping[str, str], str]]


def kind_of(name: str, description: str = "") -> re.Pattern[str] | None:
    """The pattern that values of a so named or described field have, where that is known.

    >>> bool(kind_of("claim_number").fullmatch("CLM-2024-118834"))
    True
    """
    brief = description.rstrip(".") if len(description.split()) <= _BRIEF else ""
    for text in (name.replace("_", " "), brief):
        for about, pattern in KINDS:
            if re.search(about, text, re.I):
                return re.compile(pattern, re.I)
    return None


def shape(text: str, *, collapsed: bool = False) -> str:
    """`text` with letters as `A` or `a` and digits as `9`; `collapsed` joins equal neighbors.

    >>> shape("CLM-20"), shape("CLM-20", collapsed=True)
    ('AAA-99', 'A-9')
    """
    drawn = text.translate(_SIGNS)
    return _RUN.sub(r"\1", drawn) if collapsed else drawn


def stands_in(value: str, text: str) -> bool:
    """Whether `text` holds `value` as whole words, in any case.

    >>> stands_in("C45", "is c45 here?"), stands_in("a", "a fee"), stands_in("a", "fare")
    (True, True, False)
    """
    wanted, lowered = value.strip().lower(), text.lower()
    if not wanted or wanted not in lowered:
        return False
    return re.search(rf"(?<!\w){re.escape(wanted)}(?!\w)", lowered) is not None


def copied_or_absent(pairs: Sequence[tuple[str, str]]) -> bool:
    """Whether values are copied from their texts, but for one value that says there is none.

    `pairs` are (text, value). Copies have to vary, or they are labels that happen to be named.

    >>> copied_or_absent([("pay C45", "C45"), ("where is C71", "C71"), ("hello", "none")])
    True
    """
    inside = [stands_in(value, text) for text, value in pairs]
    copies = [value for (_, value), is_in in zip(pairs, inside, strict=True) if is_in]
    absent = {value for (_, value), is_in in zip(pairs, inside, strict=True) if not is_in}
    return len(absent) == 1 and len(set(copies)) > _VARIED * len(copies) > 0


def spans(inputs: Mapping[str, str], longest: int = _LONGEST) -> Iterator[Span]:
    """Every run of up to `longest` words in each input, not crossing a pause or a line end.

    Outer punctuation is not part of a span.

    >>> [span.text for span in spans({"text": "Order C45, now"})]
    ['Order', 'Order C45', 'C45', 'now']
    """
    for source, text in inputs.items():
        for line in text.splitlines():
            yield from _line_spans(source, line, longest)


class SpanModel:
    """Scores spans by the log odds of their features among the worked examples.

    To that come what the field's name says: 2 for a span of its kind, 0.5 for each of its words
    to the left; and what its rules say: 3 for the shape of a back-ticked exemplar, 1.5 for each
    cue to the left.

    >>> rows = [({"t": "claim CLM-1 of policy P-2"}, "CLM-1")]
    >>> model = SpanModel(SpanTask("claim", "", (), rows))
    >>> model.best({"t": "the claim CLM-7 and policy P-9"})
    'CLM-7'
    """

    def __init__(self, task: SpanTask) -> None:
        self._name = {stem(word) for word in words(task.name)}
        self._kind = kind_of(task.name, task.description)
        text = " ".join(rule.text for rule in task.rules if rule.sign > 0)
        self._exemplars = {shape(said, collapsed=True) for said in _SAID.findall(text)}
        self._cues = {stem(word) for word in words(_SAID.sub(" ", text))}
        self._odds: dict[str, float] = {}
        self._none: str | None = None
        self._floor = -math.inf
        self._longest = min(
            _LONGEST, max((len(value.split()) for _, value in task.rows), default=0)
        )
        self._learn(task.rows)

    def best(
        self,
        inputs: Mapping[str, str],
        *,
        allow: Callable[[str], bool] | None = None,
        noise: Callable[[], float] | None = None,
    ) -> str | None:
        """The best span of `inputs` among those that `allow` accepts, or what the worked
        examples say where there is none (None if they never do and nothing is allowed)."""
        best, top = None, -math.inf
        longest = self._longest or (_UNSEEN if self._kind or allow else 1)
        for span in spans(inputs, longest):
            if allow is None or allow(span.text):
                score = self._score(span, self._odds) + (noise() if noise else 0.0)
                if score > top:
                    best, top = span.text, score
        if self._none is not None and top < self._floor:
            return self._none
        return best

    def _learn(self, rows: Sequence[tuple[Mapping[str, str], str]]) -> None:
        positive: Counter[str] = Counter()
        negative: Counter[str] = Counter()
        gold: list[Span] = []
        others, absent = 0, Counter[str]()
        for inputs, value in rows:
            rest = list(spans(inputs, self._longest))
            at = next((index for index, span in enumerate(rest) if span.text == value), None)
            if at is None:
                absent[value] += 1
            else:
                gold.append(rest.pop(at))
                positive.update(_marks(gold[-1]))
            shown = rest[:: 1 + len(rest) // _COUNTED]  # evenly spread over a long text
            others += len(shown)
            for span in shown:
                negative.update(_marks(span))
        for mark in {*positive, *negative} if gold else ():
            more = math.log((positive[mark] + 0.3) / (len(gold) + 0.6))
            self._odds[mark] = more - math.log((negative[mark] + 0.3) / (others + 0.6))
        if absent and gold:
            self._none = min(absent, key=lambda value: (-absent[value], value))
            common = {m: o for m, o in self._odds.items() if positive[m] > 1 or negative[m]}
            self._floor = min(self._score(span, common) for span in gold) - 2.0

    def _score(self, span: Span, odds: Mapping[str, float]) -> float:
        total = 0.0
        if odds:
            marks = _marks(span)
            total = sum(odds.get(mark, 0.0) for mark in marks) - 0.15 * len(marks)
        left = [stem(word) for word in span.left]
        total += 0.5 * sum(word in self._name for word in left)
        total += 1.5 * sum(word in self._cues for word in left)
        if self._kind and self._kind.fullmatch(span.text):
            total += 2.0
        if self._exemplars and shape(span.text, collapsed=True) in self._exemplars:
            total += 3.0
        return total + self._prefix(span.text)

    def _prefix(self, text: str) -> float:
        """1 where an identifier starts with an abbreviation of the field's name: CLM of claim."""
        letters = re.match(r"([A-Za-z]{2,5})[-/#]?\d", text)
        if not letters:
            return 0.0
        short = letters[1].lower()
        return float(any(word[0] == short[0] and _within(short, word) for word in self._name))


def _within(short: str, word: str) -> bool:
    rest = iter(word)
    return all(letter in rest for letter in short)


class _Signs(dict[int, str]):
    """What stands for a letter in a shape, by its code; each is looked at once."""

    def __missing__(self, code: int) -> str:
        letter = chr(code)
        if letter.isdigit():
            letter = "9"
        elif letter.isalpha():
            letter = "A" if letter.isupper() else "a"
        self[code] = letter
        return letter


_SIGNS = _Signs()


def _line_spans(source: str, line: str, longest: int) -> Iterator[Span]:
    tokens = [match[0] for match in _TOKEN.finditer(line)]
    plain = [_word(token) for token in tokens]
    for start in range(len(tokens)):
        left = tuple(plain[max(0, start - 2) : start])
        for size in range(1, min(longest, len(tokens) - start) + 1):
            end = start + size
            text = " ".join(tokens[start:end]).lstrip(_OPENING).rstrip(_CLOSING)
            if text:
                right = plain[end] if end < len(tokens) else ""
                yield Span(text, source, left, right, size)
            if _pauses(tokens[end - 1], tokens[end] if end < len(tokens) else ""):
                break


def _word(token: str) -> str:
    return token.strip(_OPENING + _CLOSING).lower()


def _pauses(token: str, following: str) -> bool:
    """Whether a span ends at `token`: the comma of "March 9, 2024" is no pause."""
    trimmed = token.rstrip(_CLOSING)
    if _BREAKS.isdisjoint(token[len(trimmed) :]):
        return False
    return not (_DAY.fullmatch(token) and _YEAR.match(following))


def _marks(span: Span) -> Collection[str]:
    """The features of a span, each once and in a fixed order (sums must not depend on it)."""
    left = ("", "", *span.left)[-2:]
    inner = dict.fromkeys(f"in {stem(word)}" for word in words(span.text))
    return (
        f"shape {shape(span.text)}",
        f"run {shape(span.text, collapsed=True)}",
        f"size {span.size}",
        f"from {span.source}",
        f"left {left[1]}",
        f"left2 {left[0]} {left[1]}",
        f"right {span.right}",
        *inner,
    )
