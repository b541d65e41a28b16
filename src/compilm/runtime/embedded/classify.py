"""Choosing among labels: a Rocchio vector for each, from its name, examples and rules."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ... import randomness
from .features import Features, features, idf, is_word, unit
from .options import Options
from .rules import Rule

__all__ = ["Evidence", "LabelModel"]

_TIE = 1e-6  # breaks ties by the query, so that no evidence never means the first label


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a prompt says about a set of labels.

    `names` has the words each label stands for, `rows` the (text, label) of the demonstrations
    in order, `rules` the rules by label, `hints` the factors of strategy sentences.
    """

    names: Mapping[str, str]
    rows: Sequence[tuple[str, str]]
    rules: Mapping[str, Sequence[Rule]]
    hints: Mapping[str, float]


class LabelModel:
    """Scores of texts under labels: the cosine between a text and each label's vector.

    A label's vector is the unit sum of unit tf-idf vectors: its name, its demonstrations
    (fading beyond `attend_demos` from the end), and its rules (signed, by length). After
    Rocchio, "Relevance feedback in information retrieval" (1971).

    >>> rows = [("my card is gone", "a"), ("what does it cost", "b")]
    >>> model = LabelModel(Evidence({"a": "a", "b": "b"}, rows, {}, {}), Options(), key="")
    >>> model.best("the card is gone")
    'a'
    """

    def __init__(self, evidence: Evidence, options: Options, *, key: str) -> None:
        self.labels = tuple(evidence.names)
        documents = list(_documents(evidence, options))
        self._idf = idf((counted for _, counted, _ in documents), evidence.hints.get("idf", 1.0))
        self._postings = self._learn(documents)
        self._options = options
        self._bias = [
            randomness.rng(0, "bias", key, label).gauss(0, options.bias) if options.bias else 0.0
            for label in self.labels
        ]

    def scores(self, text: str, *, temperature: float = 0.0, seed: str = "") -> dict[str, float]:
        """The score of each label for `text`, in cosine units, with the noise asked for.

        `seed` names the request: equal seeds draw equal noise.
        """
        found = list(self._bias)
        for feature, weight in unit(features(text), self._idf).items():
            for index, value in self._postings[feature]:
                found[index] += weight * value
        opening = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8)
        options = self._options
        noisy = randomness.rng(0, "labels", seed) if temperature or options.jitter else None
        for index, label in enumerate(self.labels):
            named = opening.copy()
            named.update(label.encode("utf-8", "surrogatepass"))
            found[index] += _TIE * int.from_bytes(named.digest(), "big") / 2**64
            if noisy:
                found[index] += options.jitter * noisy.gauss(0, 1)
                found[index] += temperature * options.temp_scale * _gumbel(noisy.random())
        return dict(zip(self.labels, found, strict=True))

    def best(self, text: str, *, temperature: float = 0.0, seed: str = "") -> str:
        """The label with the highest score."""
        found = self.scores(text, temperature=temperature, seed=seed)
        return max(found, key=found.__getitem__)

    def telling(self, text: str, limit: int = 3) -> list[str]:
        """The words of `text` that weigh most among those this model knows."""
        weighed = unit(features(text), self._idf)
        known = [feature for feature in weighed if is_word(feature)]
        return sorted(known, key=lambda feature: (-weighed[feature], feature))[:limit]

    def _learn(
        self, documents: Sequence[tuple[str, Features, float]]
    ) -> dict[str, list[tuple[int, float]]]:
        vectors: dict[str, Features] = {label: {} for label in self.labels}
        for label, counted, weight in documents:
            vector = vectors[label]
            for feature, value in unit(counted, self._idf).items():
                vector[feature] = vector.get(feature, 0.0) + weight * value
        postings: dict[str, list[tuple[int, float]]] = {feature: [] for feature in self._idf}
        for index, label in enumerate(self.labels):
            vector = vectors[label]
            length = math.sqrt(sum(value * value for value in vector.values())) or 1.0
            for feature, value in vector.items():
                postings[feature].append((index, value / length))
        return postings


def _documents(evidence: Evidence, options: Options) -> list[tuple[str, Features, float]]:
    """Each piece of evidence as (label, features, signed weight)."""
    hints = evidence.hints
    by_name = options.w_name * hints.get("names", 1.0)
    found = [(label, features(name), by_name) for label, name in evidence.names.items()]
    by_demo = options.w_demo * hints.get("demos", 1.0)
    recency = options.recency * hints.get("recency", 1.0)
    attended = max(1, options.attend_demos)
    for back, (text, label) in enumerate(reversed(evidence.rows)):
        excess = max(0, back + 1 - options.attend_demos)
        weight = recency**back * math.exp(-excess / attended)
        if label in evidence.names and weight > 1e-3:
            found.append((label, features(text), by_demo * weight))
    by_rule = options.w_rule * hints.get("rules", 1.0)
    read = 0
    for label, rules in evidence.rules.items():
        for rule in rules:
            counted = features(rule.text)
            length = sum(map(is_word, counted))
            read += length
            fade = min(1.0, options.attend_words / max(1, read)) if options.attend_words else 1.0
            size = min(options.rule_cap, options.rule_mag * math.sqrt(length))
            found.append((label, counted, by_rule * rule.sign * fade * size))
    return found


def _gumbel(uniform: float) -> float:
    return -math.log(-math.log(uniform or 1e-12))
