"""What an instruction says about each label: the rules of its lines, and how to weigh evidence."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["HINTS", "Hint", "Rule", "lines_about", "read_hints", "read_rules", "rule_heads"]

_NEGATION = re.compile(r"\b(?:not|never|than|instead of)\b\W*(?:\w+\W+)?$", re.I)
_NEAR: Final = 14  # characters before a label in which a negation bears on it
_BULLET: Final = r"\s*(?:[-*•]|\d+[.)])\s*"
_QUOTES: Final = "\"'`\u201c\u201d\u2018\u2019"
_HEAD_END: Final = r"\s*(?::|->|=>|\u2192|\s[-\u2013\u2014]\s)\s*"
_SAID = re.compile(r"[\"“`]([^\"”`]+)[\"”`]")
_SPEAKING: Final = r"\b(?:label|category|class|answer|choose|output|return|use|is|as|to|than|of)"
_GROUP = re.compile(r"^\s*For `([^`]+)`:\s*$")
_WRITTEN_HEAD = re.compile(r"^\s*[-*•]\s*`([^`]+)`\s*:")


@dataclass(frozen=True, slots=True)
class Rule:
    """One line's evidence for a label: its text, quoted words twice, and 1.0 or -0.5."""

    text: str
    sign: float


@dataclass(frozen=True, slots=True)
class Hint:
    """A strategy sentence: what it says, how to spot it, what it scales and by how much."""

    sentence: str
    pattern: str
    scales: str
    factor: float


HINTS: Final = (
    Hint("Go by the worked examples first.", r"by the worked examples", "demos", 1.6),
    Hint("Take the names of the labels literally.", r"names of the labels literally", "names", 1.6),
    Hint("Let the listed cues decide.", r"let the listed cues decide", "rules", 1.6),
    Hint("Rare words tell more than common ones.", r"rare words tell more", "idf", 1.4),
    Hint("Trust the latest example most.", r"trust the latest example", "recency", 0.9),
)


def read_hints(instruction: str) -> dict[str, float]:
    """The factors that the strategy sentences of `instruction` put on kinds of evidence.

    >>> read_hints("Sort the mail. Let the listed cues decide.")
    {'rules': 1.6}
    """
    text = instruction.lower()
    return {hint.scales: hint.factor for hint in HINTS if re.search(hint.pattern, text)}


def lines_about(instruction: str, name: str) -> str:
    """`instruction` without the rules that stand under a heading for another field.

    Such a heading is a line "For `field`:"; what it governs are the bullets after it.

    >>> lines_about("Sort.\\nFor `a`:\\n- `x`: 1\\nFor `b`:\\n- `y`: 2\\nDone.", "b")
    'Sort.\\n- `y`: 2\\nDone.'
    """
    kept = []
    group = ""
    for line in instruction.splitlines():
        heading = _GROUP.match(line)
        if heading:
            group = heading[1]
            continue
        if not re.match(_BULLET, line):
            group = ""
        if group in ("", name):
            kept.append(line)
    return "\n".join(kept)


def rule_heads(instruction: str) -> tuple[str, ...]:
    """The names that head back-ticked rule lines, in order.

    >>> rule_heads('Sort.\\n- `a`: "lost"\\n- `b`: "fee"')
    ('a', 'b')
    """
    found = (_WRITTEN_HEAD.match(line) for line in instruction.splitlines())
    return tuple(dict.fromkeys(head[1] for head in found if head))


def read_rules(
    instruction: str, labels: Sequence[str], *, heads_only: bool = False
) -> dict[str, list[Rule]]:
    """The rules of each label that `instruction` mentions, line by line.

    A line headed by a label is about it, and so are the bullets under an empty head. Elsewhere
    a label has to be quoted, or to follow a word such as "answer" or "is"; `heads_only` reads
    none of those. A mention after "not", "never", "than" or "instead of" counts against it.

    >>> read_rules('- `a`: "lost card"', ["a", "b"])
    {'a': [Rule(text='"lost card" lost card', sign=1.0)]}
    """
    if not instruction.strip() or not any(map(_form, labels)):
        return {}
    reader = _Reader(labels, heads_only=heads_only)
    rules: dict[str, list[Rule]] = {}
    under = ""
    for line in instruction.splitlines():
        headed = reader.head(line)
        if headed:
            under = headed[0] if not headed[1].strip() else ""
            found: Iterator[tuple[str, Rule]] = _headed(*headed)
        elif under and re.match(_BULLET, line):
            found = _headed(under, line)
        else:
            under = ""
            found = reader.mentions(line)
        for label, rule in found:
            rules.setdefault(label, []).append(rule)
    rules.pop("", None)  # mentions that no label answers to
    return rules


def _headed(label: str, text: str) -> Iterator[tuple[str, Rule]]:
    """The rules of a headed line: quoted phrases after a negation apart from the rest."""
    kept, against, at = "", [], 0
    for said in _SAID.finditer(text):
        if _NEGATION.search(text[max(0, said.start() - _NEAR) : said.start()]):
            against.append(said[1])
            kept += text[at : said.start()]
            at = said.end()
    kept += text[at:]
    if kept.strip():
        yield label, Rule(_doubled(kept.strip()), 1.0)
    if against:
        yield label, Rule(" ".join(against), -0.5)


def _doubled(text: str) -> str:
    return " ".join([text, *_SAID.findall(text)])


class _Reader:
    """Finds labels in lines: longest first, underscores and dashes as spaces, case ignored."""

    def __init__(self, labels: Sequence[str], *, heads_only: bool) -> None:
        self._exact = set(labels)
        self._by_form = {_form(label): label for label in reversed(labels)}
        longest = sorted({*labels}, key=lambda label: (-len(label), label))
        name = "|".join(_pattern(label) for label in longest if _form(label))
        quoted = f"[{_QUOTES}]({name})[{_QUOTES}]"
        mark = rf"[{_QUOTES}*]{{0,2}}"
        self._head = re.compile(
            rf"(?:{_BULLET})?\s*{mark}({name}){mark}(?:\s*\([^)]*\))?{_HEAD_END}(.*)$", re.I
        )
        spoken = rf"{_SPEAKING}\s+({name})(?!\w)"
        self._mention = None if heads_only else re.compile(f"{quoted}|{spoken}", re.I)

    def head(self, line: str) -> tuple[str, str] | None:
        """The label that heads `line` and the rest of it."""
        found = self._head.match(line)
        return (self._label(found[1]), found[2]) if found else None

    def mentions(self, line: str) -> Iterator[tuple[str, Rule]]:
        """The labels named inside `line`, sentence by sentence."""
        if self._mention is None:
            return
        for sentence in re.split(r"(?<=[.;])\s+", line):
            yield from self._in_sentence(sentence, list(self._mention.finditer(sentence)))

    def _in_sentence(
        self, sentence: str, found: Sequence[re.Match[str]]
    ) -> Iterator[tuple[str, Rule]]:
        """A negation sets the whole sentence for one label and against another; else each has
        the part that follows it, or the part before it where nothing follows the last."""
        negated = [_is_negated(sentence, self._start(mention)) for mention in found]
        follows = found and sentence[found[-1].end() :].strip(" .;,`\"'")
        for index, mention in enumerate(found):
            if any(negated) or len(found) == 1:
                text = self._mention.sub(" ", sentence) if self._mention else sentence
            elif follows:
                after = found[index + 1].start() if index + 1 < len(found) else len(sentence)
                text = sentence[mention.end() : after]
            else:
                text = sentence[found[index - 1].end() if index else 0 : mention.start()]
            if text.strip(" .;,"):
                label = self._label(mention[1] or mention[2])
                yield label, Rule(_doubled(text.strip()), -0.5 if negated[index] else 1.0)

    @staticmethod
    def _start(mention: re.Match[str]) -> int:
        return mention.start(1) if mention[1] else mention.start(2)

    def _label(self, text: str) -> str:
        """The label written as `text`; `""` where lower case in some script loses it."""
        return text if text in self._exact else self._by_form.get(_form(text), "")


def _is_negated(sentence: str, start: int) -> bool:
    near = sentence[max(0, start - _NEAR) : start]
    return re.search(r"\b(?:not|never|than|instead of)\b", near, re.I) is not None


def _form(label: str) -> str:
    return " ".join(re.split(r"[\s_-]+", label.lower())).strip()


def _pattern(label: str) -> str:
    return r"[\s_-]+".join(re.escape(part) for part in re.split(r"[\s_-]+", label) if part)
