"""The whole answer to a request: each output field solved, then written as its adapter reads it."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from typing import Any, Final

from .prompt import Field, Prompt
from .solve import THINKING, Row, Slot, Solver
from .values import fill

__all__ = ["solve_fields", "write_answer"]

_PLAIN: Final = re.compile(r"[A-Za-z][A-Za-z ]*")
_READ_AS_VALUES: Final = frozenset({"true", "false", "null", "none", "nan", "infinity", "inf"})


def solve_fields(solver: Solver) -> dict[str, Any]:
    """The value of each output field by name, as plain data, in the declared order."""
    told: list[str] = []
    found: dict[str, Any] = {}
    outputs = solver.prompt.outputs
    for field in outputs:
        if field.name in THINKING and len(outputs) > 1:
            found[field.name] = None
        else:
            found[field.name], why = _solve(solver, field)
            told = told or why
    because = ", ".join(f'"{word}"' for word in told)
    reason = f"The words {because} decide." if told else "The wording of the input decides."
    return {
        field.name: reason if field.name in THINKING and len(outputs) > 1 else found[field.name]
        for field in outputs
    }


def write_answer(prompt: Prompt, values: Mapping[str, Any]) -> str:
    """`values` in the form that the adapter of `prompt` parses.

    >>> prompt = Prompt("", "", (), (Field("label", "str"),), (), is_json=False)
    >>> write_answer(prompt, {"label": "a"})
    '[[ ## label ## ]]\\na\\n\\n[[ ## completed ## ]]'
    """
    if prompt.is_json:
        return json.dumps({f.name: _in_json(f, values[f.name]) for f in prompt.outputs})
    parts = []
    for field in prompt.outputs:
        text = _in_chat(field, values[field.name])
        if text is not None:
            parts.append(f"[[ ## {field.name} ## ]]\n{text}")
    return "\n\n".join([*parts, "[[ ## completed ## ]]"])


def _solve(solver: Solver, field: Field) -> tuple[Any, list[str]]:
    slot = Slot((field.name,), field.description, _rows(solver.prompt, field))
    if field.choices:
        return solver.choose(slot, field.choices)
    schema = field.schema
    if schema is not None:
        return fill(schema, slot, solver), []
    if field.type in ("int", "float"):
        number = solver.number(slot) or 0.0
        return round(number) if field.type == "int" else number, []
    return solver.text(slot), []


def _rows(prompt: Prompt, field: Field) -> tuple[Row, ...]:
    """The worked examples of a field; those of a structured one as plain data."""
    read = _read_value if field.schema is not None else str
    return tuple(
        (demo.inputs, read(demo.outputs[field.name]))
        for demo in prompt.demos
        if field.name in demo.outputs
    )


def _read_value(text: str) -> Any:
    if text == "None":
        return None
    for reader in (json.loads, ast.literal_eval):
        try:
            return reader(text)
        except (ValueError, SyntaxError):
            continue
    return text


def _in_chat(field: Field, value: Any) -> str | None:
    """A value as a section's text; None where leaving the section out says null best."""
    if isinstance(value, str):
        if field.choices:
            return _exact(value)
        if field.schema is None or _takes_text(field):
            return value.replace("[[ ## ", "[[ # ")
        return _guarded(value)
    if value is None and _takes_text(field):
        return None
    return json.dumps(value) if isinstance(value, (list, dict)) else str(value)


def _in_json(field: Field, value: Any) -> Any:
    if isinstance(value, str):
        if field.choices and not field.type.startswith("Literal["):
            return _enumerated(field, value)
        if field.schema is not None and not _takes_text(field) and "enum" not in field.schema:
            return _guarded(value)
    return value


def _exact(label: str) -> str:
    """A label in a form that survives the parser's trimming and line splitting."""
    if label and label == "\n".join(label.splitlines()).strip():
        return label
    return f'"{json.dumps(label)}"'


def _guarded(text: str) -> str:
    """A text where the parser expects a value: in quotes, unless it cannot be taken for another."""
    plain = _PLAIN.fullmatch(text) and text.lower() not in _READ_AS_VALUES
    return text if plain else json.dumps(text)


def _enumerated(field: Field, value: str) -> Any:
    """An enumeration's value; all looking like whole numbers, they are taken to be numbers."""
    whole = all(re.fullmatch(r"-?[0-9]+", str(choice)) for choice in field.choices)
    return int(value) if whole else value


def _takes_text(field: Field) -> bool:
    """Whether the parser takes any text as it stands: a union with both `str` and `None`."""
    if not field.type.startswith("Union["):
        return False
    depth, part, parts = 0, "", []
    for sign in field.type[6:-1] + ",":
        depth += (sign == "[") - (sign == "]")
        if sign == "," and not depth:
            parts.append(part.strip())
            part = ""
        else:
            part += sign
    return "str" in parts and "NoneType" in parts
