"""Values of a declared JSON schema: its places filled one by one, always with something valid."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, TypeAlias

from .dates import read_date, read_time
from .pattern import matching
from .solve import Slot, Solver

__all__ = ["fill"]

Schema: TypeAlias = Mapping[str, Any]

_DEEPEST: Final = 4  # levels of objects in which members that may be missing are still filled
_EPOCH: Final = "1970-01-01"
_DEFAULTS: Final = {
    "email": "nobody@example.com",
    "uri": "https://example.com",
    "uuid": "00000000-0000-0000-0000-000000000000",
    "duration": "PT0S",
    "ipv4": "0.0.0.0",
    "ipv6": "::",
    "binary": "",
}


def fill(schema: Schema, slot: Slot, solver: Solver) -> Any:
    """A value that keeps `schema`, as plain JSON data, made from what `solver` finds for `slot`."""
    return _Filler(solver, schema.get("$defs", {})).fill(schema, slot, 0)


class _Filler:
    def __init__(self, solver: Solver, definitions: Mapping[str, Schema]) -> None:
        self._solver = solver
        self._definitions = definitions

    def fill(self, schema: Schema, slot: Slot, depth: int) -> Any:
        schema = self._resolved(schema)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._solver.choose(slot, schema["enum"])[0]
        options = schema.get("anyOf") or schema.get("oneOf")
        if options or isinstance(schema.get("type"), list):
            return self._union(schema, slot, depth)
        match schema.get("type"):
            case "object":
                return self._object(schema, slot, depth)
            case "array":
                return self._array(schema, slot, depth)
            case "integer" | "number":
                return _bounded(schema, self._solver.number(slot))
            case "boolean":
                return self._solver.choose(slot, (True, False))[0]
            case "null":
                return None
            case _:
                return self._string(schema, slot)

    def _resolved(self, schema: Schema) -> Schema:
        """`schema` with its reference followed and a single `allOf` opened."""
        while True:
            if "$ref" in schema:
                name = str(schema["$ref"]).rpartition("/")[2]
                schema = {**self._definitions.get(name, {}), **_without(schema, "$ref")}
            elif len(schema.get("allOf", ())) == 1:
                schema = {**schema["allOf"][0], **_without(schema, "allOf")}
            else:
                return schema

    def _union(self, schema: Schema, slot: Slot, depth: int) -> Any:
        """The first alternative but null; null where that is one and nothing is found."""
        options = schema.get("anyOf") or schema.get("oneOf")
        if not options:
            options = [{**schema, "type": one} for one in schema["type"]]
        resolved = [self._resolved(option) for option in options]
        real = [option for option in resolved if option.get("type") != "null"]
        can_be_null = len(real) < len(resolved)
        if not real:
            return None
        if can_be_null:
            if depth >= _DEEPEST or self._is_absent(slot):
                return None
            slot = replace(slot, rows=tuple(row for row in slot.rows if row[1] is not None))
            if self._has_no_candidate(real[0], slot):
                return None
        return self.fill(real[0], slot, depth)

    def _is_absent(self, slot: Slot) -> bool:
        """Whether texts like this one have null among the worked examples."""
        rows = tuple(
            (inputs, "absent" if value is None else "given") for inputs, value in slot.rows
        )
        kinds = {kind for _, kind in rows}
        if len(kinds) < 2:
            return "absent" in kinds
        given = Slot((*slot.path, "?", slot.name), slot.description, rows)
        return self._solver.choose(given, ("given", "absent"))[0] == "absent"

    def _has_no_candidate(self, schema: Schema, slot: Slot) -> bool:
        if schema.get("type") in ("integer", "number"):
            return self._solver.number(slot) is None
        if schema.get("format") in ("date", "date-time"):
            return self._solver.reading(slot, read_date) is None
        return False

    def _object(self, schema: Schema, slot: Slot, depth: int) -> Any:
        members: Mapping[str, Schema] = schema.get("properties", {})
        if not members:
            values = [value for _, value in slot.rows if isinstance(value, dict)]
            return self._solver.alike(slot) if len(values) == len(slot.rows) > 0 else {}
        required = schema.get("required", ())
        return {
            name: self.fill(member, slot.inner(name, str(member.get("description", ""))), depth + 1)
            for name, member in members.items()
            if name in required or depth < _DEEPEST
        }

    def _array(self, schema: Schema, slot: Slot, depth: int) -> list[Any]:
        places = schema.get("prefixItems")
        if places:
            return [self.fill(place, slot.items(), depth + 1) for place in places]
        item = self._resolved(schema.get("items", {}))
        if "enum" in item:
            found: list[Any] = self._solver.choose_some(slot.items(), item["enum"])
        elif slot.rows and all(isinstance(value, list) for _, value in slot.rows):
            found = list(self._solver.alike(slot))
        else:
            found = []
        while len(found) < schema.get("minItems", 0):
            found.append(self.fill(item, slot.items(), depth + 1))
        return found[: schema.get("maxItems", len(found))]

    def _string(self, schema: Schema, slot: Slot) -> str:
        match schema.get("format"):
            case "date":
                return self._solver.reading(slot, read_date) or _EPOCH
            case "date-time":
                return (self._solver.reading(slot, read_date) or _EPOCH) + "T00:00:00"
            case "time":
                return self._solver.reading(slot, read_time) or "00:00:00"
            case str(kind) if kind in _DEFAULTS:
                return self._formatted(kind, slot)
            case _:
                return _fitted(schema, self._solver.text(slot), self._solver.inputs)

    def _formatted(self, kind: str, slot: Slot) -> str:
        patterns = {
            "email": r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+",
            "uri": r"https?://[\w.-]+(?:/\S*)?",
            "uuid": r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}",
        }
        pattern = patterns.get(kind)
        if not pattern:
            return _DEFAULTS[kind]
        found = self._solver.span(slot, allow=lambda text: re.fullmatch(pattern, text) is not None)
        return found if found and re.fullmatch(pattern, found) else _DEFAULTS[kind]


def _without(schema: Schema, name: str) -> dict[str, Any]:
    return {key: value for key, value in schema.items() if key != name}


def _bounded(schema: Schema, number: float | None) -> float | int:
    """`number`, or 0, moved to the nearest value that the schema's bounds and step allow."""
    whole = schema.get("type") == "integer"
    step = schema.get("multipleOf") or (1 if whole else 0)
    value = number or 0.0
    nudge = step or 1e-6
    low = schema.get("minimum", -math.inf)
    high = schema.get("maximum", math.inf)
    low = max(low, schema.get("exclusiveMinimum", -math.inf) + nudge)
    high = min(high, schema.get("exclusiveMaximum", math.inf) - nudge)
    value = min(max(value, low), high)
    if step:
        steps = round(value / step)
        steps += 1 if steps * step < low else -1 if steps * step > high else 0
        value = steps * step
    return round(value) if whole else float(value)


def _fitted(schema: Schema, text: str, inputs: Mapping[str, str]) -> str:
    """`text` as the schema's pattern and lengths want it, as far as that can be had."""
    pattern = schema.get("pattern")
    if pattern and not re.search(pattern, text):
        hits = (re.search(pattern.strip("^$"), one) for one in inputs.values())
        text = next((hit[0] for hit in hits if hit), None) or matching(pattern) or text
    text = text[: schema.get("maxLength", len(text))]
    return text.ljust(schema.get("minLength", 0), ".")
