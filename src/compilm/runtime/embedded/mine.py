"""Cues mined from examples: the words that tell one right answer from the others."""

from __future__ import annotations

import math
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from .extract import copied_or_absent, stands_in
from .features import FUNCTION_WORDS, stem, words
from .samples import Sample

__all__ = ["Known", "Rules", "mine", "retract", "terms"]

Head: TypeAlias = tuple[str, str]  # the field a rule is for ("" for the only one), and the label
Rules: TypeAlias = dict[Head, list[str]]  # cues; an exemplar of a span is in back-ticks

_SHORT: Final = 60  # characters of a label
_FEW: Final = 10  # examples below which repetition proves nothing
_NUMERIC = re.compile(r"-?[\d.,]+")
_WIDTH: Final = 0.4  # of the log-normal noise on scores at temperature 1


@dataclass(frozen=True, slots=True)
class Known:
    """What bears on a mining run besides the examples: earlier rules and noise."""

    rules: Rules = field(default_factory=dict)
    temperature: float = 0.0
    rng: random.Random = field(default_factory=lambda: random.Random(0))


def mine(samples: Sequence[Sample], *, limit: int, known: Known | None = None) -> Rules:
    """Up to `limit` cues for each right answer that `samples` show.

    A field whose values stand in the inputs gives exemplars and the words left of them; a field
    of few short values gives words that stand with one value and not with the others, by
    `p * ln(p / q)`, where p and q are the shares of the value's and of the other examples that
    hold the word.

    >>> shown = [("lost my card", "a"), ("fee on my card", "b")] * 2
    >>> found = mine([Sample(text, {"y": (label,)}, {}) for text, label in shown], limit=3)
    >>> "lost" in found["", "a"], "fee" in found["", "b"]
    (True, True)
    """
    known = known or Known()
    rows: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for sample in samples:
        for name, values in sample.gold.items():
            rows[name] += [(sample.text, value) for value in values if value.strip()]
    found: Rules = {}
    classes = [name for name in rows if _is_class(rows[name])]
    for name, pairs in rows.items():
        if name in classes:
            group = name if len(classes) > 1 else ""
            for label, cues in _class_cues(pairs, group, limit, known):
                found[group, label] = cues
        elif _is_inside(pairs) or copied_or_absent(pairs):
            found["", name] = list(dict.fromkeys(_span_cues(pairs)))[:limit]
    return found


def retract(rules: Rules, samples: Iterable[Sample]) -> Rules:
    """`rules` without the cues that misled more often than they served.

    A cue misled where it stands in an example that was wrongly given the cue's label.

    >>> wrong = Sample("new card", {"y": ("a",)}, {"y": ("b",)})
    >>> retract({("", "b"): ["card", "fee"]}, [wrong])
    {('', 'b'): ['fee']}
    """
    balance: Counter[tuple[str, str]] = Counter()
    for sample in samples:
        present = set(terms(sample.text))
        for name, values in sample.gold.items():
            given = sample.predicted.get(name, ())
            for term in present if given else ():
                balance.update((label, term) for label in values)
                balance.subtract((label, term) for label in given if label not in values)
    return {
        (group, label): [cue for cue in cues if cue[0] == "`" or balance[label, _term(cue)] >= 0]
        for (group, label), cues in rules.items()
    }


def terms(text: str) -> dict[str, str]:
    """The stemmed content words of `text` and its pairs with one, each with how it is written.

    >>> terms("the lost card")
    {'the lost': 'the lost', 'lost': 'lost', 'lost card': 'lost card', 'card': 'card'}
    """
    found: dict[str, str] = {}
    last = ""
    for word in words(text):
        is_content = word not in FUNCTION_WORDS
        if last and (is_content or last not in FUNCTION_WORDS):
            found[f"{stem(last)} {stem(word)}"] = f"{last} {word}"
        if is_content:
            found[stem(word)] = word
        last = word
    return found


def _term(cue: str) -> str:
    return " ".join(map(stem, words(cue)))


def _is_class(pairs: Sequence[tuple[str, str]]) -> bool:
    values = [value for _, value in pairs]
    distinct = len(set(values))
    if not values or max(map(len, values)) >= _SHORT or "`" in "".join(values):
        return False
    if copied_or_absent(pairs):
        return False
    if len(values) >= _FEW and distinct <= 0.3 * len(values):
        return True
    if _is_inside(pairs):
        return False
    if distinct > 0.5 * len(values) and all(map(_NUMERIC.fullmatch, values)):
        return False
    return distinct <= 0.7 * len(values) or len(values) < _FEW


def _is_inside(pairs: Sequence[tuple[str, str]]) -> bool:
    return 2 * sum(stands_in(value, text) for text, value in pairs) >= len(pairs) > 0


def _class_cues(
    pairs: Sequence[tuple[str, str]], group: str, limit: int, known: Known
) -> Iterator[tuple[str, list[str]]]:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    total: Counter[str] = Counter()
    written: dict[str, Counter[str]] = defaultdict(Counter)
    size: Counter[str] = Counter()
    for text, value in pairs:
        size[value] += 1
        for term, surface in terms(text).items():
            counts[value][term] += 1
            total[term] += 1
            written[term][surface] += 1
    owners = _owners(known.rules, group)
    for value, number in size.items():
        scores = {}
        for term, count in counts[value].items():
            if number < len(pairs) and count * len(pairs) <= total[term] * number:
                continue  # no more often here than everywhere
            own = (count + 0.1) / (number + 0.2)
            other = (total[term] - count + 0.1) / (len(pairs) - number + 0.3)
            weight = 1.1 if " " in term else 1.0
            rivals = len(owners.get(term, frozenset()) - {value})
            scores[term] = own * math.log(own / other) * weight / (1 + rivals)
            if known.temperature:
                noise = known.rng.gauss(0, 1)
                scores[term] *= math.exp(_WIDTH * known.temperature * noise)
        ranked = sorted(scores, key=lambda term: (-scores[term], term))
        cues = [_commonest(written[term]) for term in ranked[:limit] if scores[term] > 0]
        if cues:
            yield value, cues


def _owners(rules: Mapping[Head, Sequence[str]], group: str) -> dict[str, set[str]]:
    """The labels that earlier rules already gave each term to."""
    found: dict[str, set[str]] = defaultdict(set)
    for (of, label), cues in rules.items():
        for cue in cues if of == group else ():
            found[_term(cue)].add(label)
    return found


def _commonest(surfaces: Counter[str]) -> str:
    return min(surfaces, key=lambda surface: (-surfaces[surface], surface))


def _span_cues(pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Exemplars by falling frequency of their shape's first sight, then the words left of them."""
    exemplars: list[str] = []
    left: Counter[str] = Counter()
    for text, value in pairs:
        if not stands_in(value, text):
            continue
        at = text.lower().find(value.strip().lower())
        if re.search(r"\d", value) and "`" not in value:
            exemplars.append(f"`{value}`")
        left.update(word for word in words(text[:at])[-1:] if word not in FUNCTION_WORDS)
    told = [word for word, count in left.most_common() if 5 * count >= len(pairs)]
    return [*_varied(exemplars), *told]


def _varied(exemplars: Sequence[str]) -> list[str]:
    """One exemplar of each shape, at most three."""
    by_shape: dict[str, str] = {}
    for exemplar in exemplars:
        drawn = re.sub(r"(.)\1+", r"\1", re.sub(r"\d", "9", re.sub(r"[a-z]", "a", exemplar)))
        by_shape.setdefault(re.sub(r"[A-Z]+", "A", drawn), exemplar)
    return list(by_shape.values())[:3]
