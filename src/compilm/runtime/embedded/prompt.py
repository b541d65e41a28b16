"""A request's texts read back into what a dspy adapter wrote: fields, demonstrations, inputs."""

from __future__ import annotations

import ast
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, TypeAlias

__all__ = [
    "Demo",
    "Field",
    "Prompt",
    "Turn",
    "as_text",
    "asks_for_json",
    "last_inputs",
    "read_prompt",
    "value_text",
]

Turn: TypeAlias = tuple[str, str]  # role, text

_ABSENT: Final = "Not supplied for this particular example."
_MARK = re.compile(r"^\[\[ ## (\w+) ## \]\][ \t]*", re.M)
_ENTRY = re.compile(r"^\d+\. `(\w+)` \(", re.M)
_NOTE = re.compile(r"^\{(\w+)\} +# note: the value you produce (.*)$", re.M)
_OBJECT = re.compile(r"JSON object with the following fields\.\s*(\{.*?^\})", re.M | re.S)
_OBJECTIVE = re.compile(r"your objective is:[ \t]*\n?")
_ASK = re.compile(r"\n\nRespond with (the corresponding output fields|a JSON object)")
_LABEL = re.compile(r"(['\"])(.*?)\1, |([^'\"].*?), ", re.S)
_LABEL_END = re.compile(r", |\]")
_SCHEMA = re.compile(r"JSON schema: (\{.*\})", re.S)


@dataclass(frozen=True, slots=True)
class Field:
    """One declared field: its name, the type as written, its description and the format note.

    >>> Field("label", "Literal['a', 'b']", "", "").choices
    ('a', 'b')
    """

    name: str
    type: str
    description: str = ""
    note: str = ""

    @property
    def choices(self) -> tuple[Any, ...]:
        """The values it is limited to, as Python values; empty when it is open."""
        if self.type == "bool":
            return (True, False)
        if self.type.startswith("Literal["):
            found = _literal(self.type)
            if found:
                return found
        _, listed, values = self.note.partition("one of: ")
        return tuple(values.split("; ")) if listed else ()

    @property
    def schema(self) -> dict[str, Any] | None:
        """The JSON schema its note asks for, if any."""
        found = _SCHEMA.search(self.note)
        if not found:
            return None
        try:
            read = json.loads(found[1])
        except ValueError:
            return None
        return read if isinstance(read, dict) else None


@dataclass(frozen=True, slots=True)
class Demo:
    """One worked example: input texts and output texts by field name; absent outputs left out."""

    inputs: Mapping[str, str]
    outputs: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Prompt:
    """Everything in a request before its last turn. `key` names it: equal texts, equal key."""

    key: str
    instruction: str
    inputs: tuple[Field, ...]
    outputs: tuple[Field, ...]
    demos: tuple[Demo, ...]
    is_json: bool


def read_prompt(system: str, turns: Sequence[Turn], *, wants_json: bool = False) -> Prompt:
    """The prompt that `system` and the earlier `turns` (role, text) spell out.

    Text that no adapter wrote gives a prompt without output fields. `wants_json` says that the
    last turn asks for a JSON object even if the system text does not.

    >>> read_prompt("You are kind.", ()).outputs
    ()
    """
    head, _, tail = system.partition("Your output fields are:")
    declared, _, layout = tail.partition("\nAll interactions will be structured")
    is_json = wants_json or "JSON object with the following fields" in layout
    notes = _json_notes(layout) if is_json else dict(_NOTE.findall(layout))
    inputs = tuple(_fields(head.partition("Your input fields are:")[2], {}))
    outputs = tuple(_fields(declared, notes))
    objective = _OBJECTIVE.search(layout)
    instruction = layout[objective.end() :] if objective else ""
    return Prompt(
        key=_key(system, turns),
        instruction="\n".join(line.removeprefix(" " * 8) for line in instruction.splitlines()),
        inputs=inputs,
        outputs=outputs,
        demos=tuple(_demos(turns, inputs, outputs)),
        is_json=is_json,
    )


def asks_for_json(text: str) -> bool:
    """Whether the last turn `text` ends in a JSON adapter's request.

    >>> asks_for_json("Ann.\\n\\nRespond with a JSON object in the following order of fields: `a`.")
    True
    """
    asked = _ASK.findall(text)
    return bool(asked) and asked[-1] == "a JSON object"


def last_inputs(prompt: Prompt, text: str) -> dict[str, str]:
    """The input texts of the last turn by field name; without markers all of it, under `""`.

    >>> last_inputs(read_prompt("", ()), "How are you?")
    {'': 'How are you?'}
    """
    asked = list(_ASK.finditer(text))  # the last one: an earlier one is part of a value
    body = text[: asked[-1].start()] if asked else text
    found = _sections(body, [field.name for field in prompt.inputs])
    return {name: as_text(value) for name, value in found.items()} or {"": body.strip()}


def as_text(value: Any) -> str:
    """A field's value as plain text: a list of texts one a line, quotation marks of lists gone.

    >>> as_text('["one", "two"]')
    'one\\ntwo'
    """
    if not isinstance(value, str):
        return value_text(value)
    if value.startswith("["):
        try:
            items = json.loads(value)
        except ValueError:
            items = None
        if isinstance(items, list):
            texts = [item for item in items if isinstance(item, str)]
            return "\n".join(texts) if texts and len(texts) == len(items) else value
    if "«" in value:
        return re.sub(r"^(?:\[\d+\] )?«+\s*|\s*»+$", "", value, flags=re.M)
    return value


def value_text(value: Any) -> str:
    """How ChatAdapter shows a value: a list or object as JSON, anything else by `str`."""
    if isinstance(value, (list, dict)):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def _key(system: str, turns: Sequence[Turn]) -> str:
    text = json.dumps([system, list(turns)])
    return hashlib.sha256(text.encode()).hexdigest()


def _fields(text: str, notes: Mapping[str, str]) -> Iterator[Field]:
    entries = list(_ENTRY.finditer(text))
    ends = [*(entry.start() for entry in entries[1:]), len(text)]
    for found, stop in zip(entries, ends[: len(entries)], strict=True):
        entry = text[found.end() : stop]
        end = _closing(entry)
        description = entry[end + 1 :].removeprefix(":").strip()
        yield Field(found[1], entry[:end], description, notes.get(found[1], ""))


def _closing(text: str) -> int:
    """Where the parenthesis around a type ends; brackets and quoted labels may hold others."""
    depth, quote, at = 0, "", 0
    while at < len(text):
        sign = text[at]
        if quote:
            if sign == quote and _LABEL_END.match(text, at + 1):
                quote = ""
        elif sign in "'\"" and depth:
            quote = sign
        elif sign in "([":
            depth += 1
        elif sign in ")]":
            if not depth:
                return at
            depth -= 1
        at += 1
    return len(text)


def _json_notes(layout: str) -> dict[str, str]:
    found = _OBJECT.search(layout)
    try:
        shown = json.loads(found[1]) if found else {}
    except ValueError:
        return {}
    return {name: str(text).partition("the value you produce ")[2] for name, text in shown.items()}


def _literal(text: str) -> tuple[Any, ...]:
    """The values of `Literal[...]` as dspy writes it: quoted without escapes, but for `\\'`."""
    inner = text.removeprefix("Literal[").removesuffix("]") + ", "
    found: list[Any] = []
    for label in _LABEL.finditer(inner):
        if label[2] is not None:
            both = label[1] == "'" and '"' in label[2]
            found.append(label[2].replace("\\'", "'") if both else label[2])
        else:
            try:
                found.append(ast.literal_eval(label[3]))
            except (ValueError, SyntaxError):
                return ()
    return tuple(found)


def _demos(
    turns: Sequence[Turn], inputs: Sequence[Field], outputs: Sequence[Field]
) -> Iterator[Demo]:
    asked = [field.name for field in inputs]
    answered = [field.name for field in outputs]
    for (role, question), (next_role, answer) in pairwise(turns):
        if role == "assistant" or next_role != "assistant":
            continue
        given = {name: as_text(value) for name, value in _sections(question, asked).items()}
        told = _sections(answer, [*answered, "completed"]) or _object(answer, answered)
        told.pop("completed", None)
        told = {name: value for name, value in told.items() if value.strip() != _ABSENT}
        if given and told:
            yield Demo(given, told)


def _sections(text: str, names: Sequence[str]) -> dict[str, str]:
    """Marked sections of the named fields; a marker inside a value, or a second one, is text."""
    wanted = set(names)
    marks = []
    for mark in _MARK.finditer(text):
        if mark[1] in wanted:
            wanted.discard(mark[1])
            marks.append(mark)
    ends = [*(mark.start() for mark in marks[1:]), len(text)]
    return {
        mark[1]: text[mark.end() : end].strip()
        for mark, end in zip(marks, ends[: len(marks)], strict=True)
    }


def _object(text: str, names: Sequence[str]) -> dict[str, str]:
    try:
        read = json.loads(text)
    except ValueError:
        return {}
    if not isinstance(read, dict):
        return {}
    return {name: value_text(read[name]) for name in names if name in read}
