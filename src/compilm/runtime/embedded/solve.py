"""Answering one field of one request: which of the learners is asked, and with what evidence."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from ... import randomness
from .classify import Evidence, LabelModel
from .extract import SpanModel, SpanTask, copied_or_absent, kind_of, spans, stands_in
from .features import words
from .memo import Memo
from .options import Options
from .prompt import Prompt, value_text
from .prose import Nearest, adapt, best_sentences, quoted, sentences_asked
from .rules import lines_about, read_hints, read_rules, rule_heads

__all__ = ["THINKING", "Row", "Slot", "Solver", "read_number"]

T = TypeVar("T")
Row = tuple[Mapping[str, str], Any]  # the inputs of a worked example, and its value of the slot

THINKING: Final = frozenset({"reasoning", "rationale", "discussion"})
_NUMBER = re.compile(r"[^\w\s]{0,2}?(-?[0-9][0-9,]{0,15}(?:\.[0-9]{1,15})?)\s?[%$€£¥a-zA-Z]{0,4}")
_SPAN_NOISE: Final = 8.0  # Gumbel noise on a span's score, per unit of temp_scale
_REPEATS: Final = 0.7  # values are a closed set if at most so many of them are distinct
_SHORT: Final = 60  # characters of a label


@dataclass(frozen=True, slots=True)
class Slot:
    """A value to find: a field, or a place inside one. `path` tells it from all others."""

    path: tuple[str, ...]
    description: str
    rows: tuple[Row, ...]

    @property
    def name(self) -> str:
        """The innermost field name of the path."""
        return self.path[-1]

    def inner(self, name: str, description: str = "") -> Slot:
        """The slot of the member `name` of this slot's object."""
        rows = tuple(
            (inputs, value[name])
            for inputs, value in self.rows
            if isinstance(value, dict) and name in value
        )
        return Slot((*self.path, name), description, rows)

    def items(self) -> Slot:
        """The slot of one item of this slot's list."""
        rows = tuple(
            (inputs, item)
            for inputs, value in self.rows
            if isinstance(value, list)
            for item in value
        )
        return Slot((*self.path, "[]", self.name), self.description, rows)


@dataclass(frozen=True, slots=True)
class Solver:
    """What is known of one request; models are kept in `memo` by the prompt they come from."""

    prompt: Prompt
    inputs: Mapping[str, str]
    options: Options
    memo: Memo
    temperature: float = 0.0
    seed: str = ""

    def choose(self, slot: Slot, choices: Sequence[T]) -> tuple[T, list[str]]:
        """The best of `choices` and the words of the input that say so."""
        by_text = {value_text(choice): choice for choice in choices}
        model = self._labels(slot, tuple(by_text))
        text = self._text(self.inputs)
        best = model.best(text, temperature=self.temperature, seed=self._seed(slot))
        return by_text[best], model.telling(text)

    def choose_some(self, slot: Slot, choices: Sequence[T]) -> list[T]:
        """Up to three of `choices`, those near enough to the best; maybe none."""
        by_text = {value_text(choice): choice for choice in choices}
        model = self._labels(slot, tuple(by_text))
        found = model.scores(
            self._text(self.inputs), temperature=self.temperature, seed=self._seed(slot)
        )
        bar = max(0.15, 0.6 * max(found.values()))
        ranked = sorted(found, key=lambda label: -found[label])
        return [by_text[label] for label in ranked if found[label] >= bar][:3]

    def reading(self, slot: Slot, read: Callable[[str], T | None]) -> T | None:
        """What `read` makes of the best span that it can read; None if it can read none.

        The worked examples teach which span: the one that reads as their value does.
        """
        rows = self.memo.get(
            ("read", self.prompt.key, slot.path), lambda: tuple(_as_read(slot.rows, read))
        )
        found = self.span(replace(slot, rows=rows), allow=lambda text: read(text) is not None)
        return None if found is None else read(found)

    def number(self, slot: Slot) -> float | None:
        """The number in the text, or the one that alike examples have; None without either."""
        rows, is_read = self.memo.get(
            ("number", self.prompt.key, slot.path), lambda: _number_rows(slot.rows)
        )
        if is_read:
            return self.reading(slot, read_number)
        distinct = tuple(dict.fromkeys(number for _, number in rows))
        if len(distinct) <= _REPEATS * len(rows):
            return self.choose(replace(slot, rows=rows), distinct)[0]
        return rows[self._nearest(slot, rows)][1]

    def span(self, slot: Slot, allow: Callable[[str], bool] | None = None) -> str | None:
        """The span of the inputs that answers the slot best; None if none is allowed."""
        rows = tuple((inputs, value_text(value)) for inputs, value in slot.rows)
        model = self.memo.get(
            ("span", self.prompt.key, slot.path),
            lambda: SpanModel(
                SpanTask(
                    slot.name,
                    slot.description,
                    read_rules(self._told(slot), (slot.name,), heads_only=True).get(slot.name, ()),
                    rows,
                )
            ),
        )
        return model.best(self.inputs, allow=allow, noise=self._span_noise(slot))

    def text(self, slot: Slot) -> str:
        """The text of an open slot: a span, one of a closed set, an example adapted, a sentence."""
        rows = tuple((inputs, value_text(value)) for inputs, value in slot.rows)
        quotes = sorted(count for inputs, value in rows if (count := quoted(value, inputs)))
        if quotes and 2 * len(quotes) >= len(rows):
            return self._sentences(slot, quotes[len(quotes) // 2])
        heads = rule_heads(self._told(slot))
        if _copied(rows) or (not rows and slot.name in heads):
            return self._span_or_sentence(slot)
        closed = self._closed_set(slot, [value for _, value in rows], heads)
        if closed:
            return self.choose(slot, closed)[0]
        if rows:
            inputs, value = rows[self._nearest(slot, rows)]
            return adapt(value, " ".join(inputs.values()), " ".join(self.inputs.values()))
        if kind_of(slot.name, slot.description):
            return self._span_or_sentence(slot)
        return self._sentences(slot)

    def _span_or_sentence(self, slot: Slot) -> str:
        found = self.span(slot)
        return self._sentences(slot) if found is None else found

    def _sentences(self, slot: Slot, usual: int = 1) -> str:
        asked = sentences_asked(f"{slot.description}\n{self.prompt.instruction}")
        return best_sentences(self.inputs, max(asked, usual))

    def alike(self, slot: Slot) -> Any:
        """The value of the worked example whose inputs are most like these; there has to be one."""
        return slot.rows[self._nearest(slot, slot.rows)][1]

    def _nearest(self, slot: Slot, rows: Sequence[tuple[Mapping[str, str], object]]) -> int:
        model = self.memo.get(
            ("near", self.prompt.key, slot.path), lambda: Nearest([inputs for inputs, _ in rows])
        )
        return model.index(self.inputs)

    def _closed_set(self, slot: Slot, values: list[str], heads: Sequence[str]) -> tuple[str, ...]:
        """The labels of a slot that declares none: repeated values, a list in words, rule heads."""
        short = all(len(value) < _SHORT for value in values)
        names = {field.name for field in self.prompt.outputs}
        labels = tuple(head for head in heads if head not in names)
        distinct = tuple(dict.fromkeys(values))
        if values:
            if short and len(distinct) <= _REPEATS * len(values):
                ours = any(value in labels for value in distinct)
                return tuple(dict.fromkeys((*distinct, *labels))) if ours else distinct
            return labels if labels and set(distinct) <= set(labels) else ()
        listed = _listed(slot, self.prompt)
        if listed:
            return listed
        open_fields = names - THINKING - {f.name for f in self.prompt.outputs if f.type != "str"}
        return labels if len(labels) > 1 and open_fields == {slot.name} else ()

    def _labels(self, slot: Slot, labels: tuple[str, ...]) -> LabelModel:
        return self.memo.get(
            ("labels", self.prompt.key, slot.path, labels), lambda: self._learn(slot, labels)
        )

    def _learn(self, slot: Slot, labels: tuple[str, ...]) -> LabelModel:
        names = {label: label for label in labels}
        if set(labels) == {"True", "False"}:
            names["True"] = " ".join(["True", *words(slot.name)])
        rows = [(self._text(inputs), value_text(value)) for inputs, value in slot.rows]
        instruction = self._told(slot)
        hints = read_hints(instruction) if self.options.hints else {}
        evidence = Evidence(names, rows, read_rules(instruction, labels), hints)
        return LabelModel(evidence, self.options, key=self.prompt.key)

    def _told(self, slot: Slot) -> str:
        return lines_about(self.prompt.instruction, slot.name)

    def _text(self, inputs: Mapping[str, str]) -> str:
        return " ".join(inputs.values())

    def _seed(self, slot: Slot) -> str:
        return json.dumps([self.seed, *slot.path])

    def _span_noise(self, slot: Slot) -> Callable[[], float] | None:
        scale = self.temperature * self.options.temp_scale * _SPAN_NOISE
        if not scale:
            return None
        rng = randomness.rng(0, "span", self._seed(slot))
        return lambda: scale * -math.log(-math.log(rng.random() or 1e-12))


def read_number(text: str) -> float | None:
    """The number that all of `text` is, currency, percent and unit signs aside.

    >>> read_number("$1,250.50"), read_number("12 EUR"), read_number("C45")
    (1250.5, 12.0, None)
    """
    found = _NUMBER.fullmatch(text)
    return float(found[1].replace(",", "")) if found else None


def _copied(rows: Sequence[tuple[Mapping[str, str], str]]) -> bool:
    """Whether the values are copied from the inputs, but for one word that says there is none."""
    pairs = [("\n".join(inputs.values()), value) for inputs, value in rows]
    inside = sum(stands_in(value, text) for text, value in pairs)
    return 2 * inside >= len(rows) > 0 or copied_or_absent(pairs)


def _as_read(
    rows: Iterable[Row], read: Callable[[str], T | None]
) -> Iterator[tuple[Mapping[str, str], str]]:
    """The rows whose value is read somewhere in their inputs, with the text it is read from."""
    for inputs, value in rows:
        wanted = read(value_text(value))
        if wanted is not None:
            texts = (span.text for span in spans(inputs, 4) if read(span.text) == wanted)
            text = next(texts, None)
            if text is not None:
                yield inputs, text


def _number_rows(rows: Iterable[Row]) -> tuple[tuple[tuple[Mapping[str, str], float], ...], bool]:
    """The rows with a number, and whether the inputs hold it in at least half of them."""
    found = tuple(
        (inputs, number)
        for inputs, value in rows
        if (number := read_number(value_text(value))) is not None
    )
    seen = sum(number in _numbers(inputs) for inputs, number in found)
    return found, 2 * seen >= len(found)


def _numbers(inputs: Mapping[str, str]) -> set[float]:
    read = (read_number(span.text) for span in spans(inputs, 2))
    return {number for number in read if number is not None}


def _listed(slot: Slot, prompt: Prompt) -> tuple[str, ...]:
    """Labels listed in words: "one of: a, b or c", in the description or about the field."""
    named = re.search(
        rf"{re.escape(slot.name)}[`'\"]? (?:is|must be|should be) one of:?\s*([^\n]+)",
        prompt.instruction,
    )
    found = re.search(r"one of:?\s*([^\n]+)", slot.description) or named
    if not found and len(prompt.outputs) == 1:
        found = re.search(r"one of:\s*([^\n]+)", prompt.instruction)
    parts = re.split(r",|;|\bor\b", found[1].rstrip(". ")) if found else []
    labels = tuple(dict.fromkeys(part.strip(" `'\"") for part in parts))
    return tuple(label for label in labels if label) if len(labels) > 1 else ()
