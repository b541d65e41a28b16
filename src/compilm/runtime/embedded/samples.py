"""Examples recovered from the text of a proposal request, in the forms that optimizers print."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from .prompt import value_text

__all__ = ["Sample", "read_markdown", "read_samples"]

Values: TypeAlias = Mapping[str, tuple[str, ...]]

_EXAMPLE = re.compile(r"Example\((\{.*?\})\) \(input_keys=\{(.*?)\}\)", re.S)
_INDUCTION = re.compile(
    r"Input Fields:\n(.*?)\n\n=========\nOutput Fields:\n(.*?)(?=\n\nInput Fields:|\s*\Z)", re.S
)
_LINE = re.compile(r"^(\w+): (.*)$", re.M)
_MODULE = re.compile(r"\((.*?)\) -> (.*)$")
_HEADING = re.compile(r"^(#{1,6}) (.*)$")
_Q: Final = "`'\"“”"
_NAMED = re.compile(
    rf"[{_Q}]?(\w+)[{_Q}]?\s+(?:should (?:be|have been)|must be|(?:is|was) expected to be)"
    rf"[:\s]+[{_Q}]([^{_Q}\n]+)[{_Q}]"
)
_QUOTED = re.compile(
    rf"(?:correct|expected|gold|should|answer|label|target)[^{_Q}\n]{{0,60}}[{_Q}]([^{_Q}\n]+)[{_Q}]",
    re.I,
)
_BARE = re.compile(r"(?:expected|correct answer(?: is)?|should be):?\s+([\w-]+)", re.I)
_PRAISE = re.compile(r"\b(?:correct|right|good|exact)\b", re.I)
_BLAME = re.compile(r"\b(?:incorrect|wrong|not (?:correct|right|good|exact)|should)\b", re.I)


@dataclass(frozen=True, slots=True)
class Sample:
    """One example: its input text, and the right and the given values by output field."""

    text: str
    gold: Values
    predicted: Values


def read_samples(inputs: Mapping[str, str]) -> list[Sample]:
    """The examples in the inputs of a proposal request.

    Known forms: a JSON list of records (`inputs`, `expected`, `predicted`, `feedback`, `score`;
    GEPA's `Inputs`, `Generated Outputs`, `Feedback`), printed `dspy.Example`s (MIPROv2's data
    summary), its task demonstrations, InferRules' blocks, and SIMBA's trajectories.

    >>> record = '[{"inputs": {"t": "hi"}, "expected": {"label": "a"}}]'
    >>> read_samples({"examples": record})[0].gold
    {'label': ('a',)}
    """
    found: list[Sample] = []
    for text in inputs.values():
        found += _records(text)
        found += _examples(text)
        found += _induction(text)
    found += _demonstrations(inputs)
    found += _trajectory(inputs)
    return found


def read_markdown(text: str) -> list[Sample]:
    """The examples of a plain reflection prompt, written as nested Markdown headings.

    >>> text = "# Example 1\\n## Inputs\\n### t\\nhi\\n\\n## Feedback\\n`label` should be 'a'"
    >>> read_markdown(text)[0].gold
    {'label': ('a',)}
    """
    records: list[dict[str, Any]] = []
    part, member = "", ""
    for line in text.splitlines():
        heading = _HEADING.match(line)
        level = len(heading[1]) if heading else 0
        if heading and level == 1:
            records.append({})
        elif heading and level == 2:
            part, member = heading[2], ""
        elif heading and level == 3:
            member = heading[2]
        elif records and part:
            _append(records[-1], part, member, line)
    return [sample for record in records if (sample := _record(record))]


def _append(record: dict[str, Any], part: str, member: str, line: str) -> None:
    if member and isinstance(record.get(part, {}), dict):
        record.setdefault(part, {})
        record[part][member] = f"{record[part].get(member, '')}\n{line}".strip()
    elif not member:
        record[part] = f"{record.get(part, '')}\n{line}".strip()


def _records(text: str) -> Iterator[Sample]:
    if not text.lstrip().startswith("["):
        return
    try:
        rows = json.loads(text)
    except ValueError:
        return
    for row in rows:
        sample = _record(row) if isinstance(row, dict) else None
        if sample:
            yield sample


def _record(row: Mapping[str, Any]) -> Sample | None:
    named = {str(key).lower(): value for key, value in row.items()}
    inputs = named.get("inputs")
    if not inputs:
        return None
    predicted = _values(named.get("predicted") or named.get("generated outputs"))
    gold: Values = _values(named.get("expected") or named.get("gold"))
    feedback = str(named.get("feedback") or "")
    score = named.get("score")
    if not gold and feedback:
        gold = _gold_from(feedback, predicted)
    if not gold and isinstance(score, (int, float)) and score >= 1:
        gold = predicted
    return Sample(_joined(inputs), gold, predicted)


def _joined(inputs: Any) -> str:
    if isinstance(inputs, dict):
        return " ".join(value_text(value) for value in inputs.values())
    return str(inputs)


def _values(raw: Any) -> dict[str, tuple[str, ...]]:
    """Output values by name of the innermost field; a list gives several, null none."""
    found: dict[str, tuple[str, ...]] = {}
    for name, value in raw.items() if isinstance(raw, dict) else ():
        if isinstance(value, dict):
            found |= _values(value)
        elif isinstance(value, list):
            found[str(name)] = tuple(
                value_text(item) for item in value if isinstance(item, (str, int, float))
            )
        elif value is not None:
            found[str(name)] = (value_text(value),)
    return found


def _gold_from(feedback: str, predicted: Values) -> Values:
    """What the feedback says would have been right."""
    named = {
        name: (value,)
        for name, value in _NAMED.findall(feedback)
        if name in predicted or not predicted
    }
    if named or not predicted:
        return named
    said = _QUOTED.search(feedback) or _BARE.search(feedback)
    if said:
        return {list(predicted)[-1]: (said[1],)}
    return predicted if _PRAISE.search(feedback) and not _BLAME.search(feedback) else {}


def _examples(text: str) -> Iterator[Sample]:
    for shown in _EXAMPLE.finditer(text):
        try:
            values = ast.literal_eval(shown[1])
        except (ValueError, SyntaxError):
            continue
        keys = set(re.findall(r"'(\w+)'", shown[2]))
        inputs = {key: value for key, value in values.items() if key in keys}
        outputs = {key: value for key, value in values.items() if key not in keys}
        yield Sample(_joined(inputs), _values(outputs), {})


def _induction(text: str) -> Iterator[Sample]:
    for shown in _INDUCTION.finditer(text):
        inputs = " ".join(value for _, value in _LINE.findall(shown[1]))
        yield Sample(inputs, _values(dict(_LINE.findall(shown[2]))), {})


def _demonstrations(inputs: Mapping[str, str]) -> Iterator[Sample]:
    """Blocks of `Prefix: value` lines, told apart by the field names of `module`."""
    declared = _MODULE.search(inputs.get("module", ""))
    if not declared:
        return
    asked, answered = ([name.strip() for name in part.split(",")] for part in declared.groups())
    by_prefix = {_plain(name): name for name in (*asked, *answered)}
    for block in re.split(r"\n\s*\n", inputs.get("task_demos", "")):
        values = _prefixed(block.splitlines(), by_prefix)
        gold = {name: values[name] for name in answered if name in values}
        if gold:
            yield Sample(" ".join(values.get(name, "") for name in asked), _values(gold), {})


def _prefixed(lines: Sequence[str], by_prefix: Mapping[str, str]) -> dict[str, str]:
    values: dict[str, str] = {}
    last = ""
    for line in lines:
        prefix, colon, rest = line.partition(":")
        name = by_prefix.get(_plain(prefix)) if colon else None
        if name:
            last = name
            values[name] = rest.strip()
        elif last:
            values[last] += f"\n{line}"
    return values


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name).lower()


def _trajectory(inputs: Mapping[str, str]) -> Iterator[Sample]:
    if "oracle_metadata" not in inputs or "program_inputs" not in inputs:
        return
    try:
        gold = json.loads(inputs["oracle_metadata"])
        asked = json.loads(inputs["program_inputs"])
        steps = json.loads(inputs.get("worse_program_trajectory", "[]"))
    except ValueError:
        return
    given: dict[str, Any] = {}
    for step in steps if isinstance(steps, list) else ():
        given |= step.get("outputs", {})
    yield Sample(_joined(asked), _values(gold), _values(given))
