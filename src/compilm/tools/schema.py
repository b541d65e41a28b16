"""What a tool takes: a JSON schema for each argument, from a signature or from a server."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import ProgramError
from .failures import BadArguments

__all__ = ["Parameters", "from_schema", "normalized"]

# What other worlds call the types of JSON Schema; BFCL and Gemini's examples among them.
_NAMES = {
    "dict": "object", "hashmap": "object", "map": "object", "list": "array", "tuple": "array",
    "set": "array", "arraylist": "array", "float": "number", "double": "number", "int": "integer",
    "long": "integer", "str": "string", "char": "string", "bool": "boolean", "none": "null",
}  # fmt: skip
_KNOWN = {"object", "array", "number", "integer", "string", "boolean", "null"}
_MOST = 20_000  # parts of one schema, what it refers to counted each time
_BELOW = ("items", "additionalProperties", "not")
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")


@dataclass(frozen=True, slots=True)
class Parameters:
    """The arguments of a tool: a schema by name, which of them must be given, and whether any
    other may be. `types` are Python's, where a function says them; `resolved` means no `$ref`.
    """

    args: Mapping[str, Mapping[str, Any]]
    required: tuple[str, ...] = ()
    is_open: bool = False
    types: Mapping[str, Any] | None = None

    def schema(self) -> dict[str, Any]:
        """One JSON schema for all, as providers want it.

        >>> Parameters({"a": {"type": "integer"}}, ("a",)).schema()["required"]
        ['a']
        """
        return {
            "type": "object",
            "properties": {name: dict(each) for name, each in self.args.items()},
            "required": list(self.required),
        }

    def check_names(self, given: Mapping[str, Any]) -> None:
        """Raise `BadArguments` where one is missing or not known."""
        missing = [name for name in self.required if name not in given]
        unknown = [] if self.is_open else [name for name in given if name not in self.args]
        if missing or unknown:
            told = [f"{_listed(missing)} must be given"] if missing else []
            told += [f"{_listed(unknown)} is not an argument"] if unknown else []
            raise BadArguments(f"{'; '.join(told)}. Arguments: {_listed(self.args) or 'none'}")


def _listed(names: Any) -> str:
    return ", ".join(repr(name) for name in names)


def from_schema(schema: Mapping[str, Any] | None) -> Parameters:
    """The parameters that a JSON schema of an object declares.

    Raises `ProgramError` where it is no schema of an object.

    >>> from_schema({"type": "dict", "properties": {"a": {"type": "float"}}}).args
    {'a': {'type': 'number'}}
    """
    whole = normalized(schema or {})
    kind = whole.get("type", "object")
    properties = whole.get("properties", {})
    if kind != "object" or not isinstance(properties, dict):
        raise ProgramError(f"the schema of a tool is of type {kind!r}; expected an object")
    required = tuple(name for name in whole.get("required", ()) if name in properties)
    more = whole.get("additionalProperties", False)
    return Parameters(properties, required, is_open=bool(more))


def normalized(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema with the type names of JSON Schema and every `$ref` replaced by what it names.

    A schema that contains itself says nothing from the second time on. Raises `ProgramError` where
    it would become too large: a few lines that refer to each other can be millions.

    >>> normalized({"$ref": "#/$defs/N", "$defs": {"N": {"type": "int"}}})
    {'type': 'integer'}
    """
    try:
        whole = copy.deepcopy(dict(schema))
        defs = {f"#/{at}/{name}": each for at in ("$defs", "definitions")
                for name, each in whole.pop(at, {}).items()}  # fmt: skip
        found: dict[str, Any] = _normal(whole, defs, (), iter(range(_MOST)))
    except (StopIteration, RecursionError):
        raise ProgramError(f"it has more than {_MOST:,} parts, or they lie too deep") from None
    return found


def _normal(
    node: Any, defs: Mapping[str, Any], above: tuple[str, ...], parts: Iterator[int]
) -> Any:
    if not isinstance(node, dict):
        return node
    next(parts)
    if reference := node.get("$ref"):
        rest = {key: value for key, value in node.items() if key != "$ref"}
        named = {} if reference in above else defs.get(reference, {})
        return _normal({**named, **rest}, defs, (*above, reference), parts)
    found = dict(node)
    if "type" in found:
        found |= _typed(found.pop("type"))
    if isinstance(found.get("properties"), dict):
        found["properties"] = {
            name: _normal(each, defs, above, parts) for name, each in found["properties"].items()
        }
    found |= {key: _normal(found[key], defs, above, parts) for key in _BELOW if key in found}
    for key in _LISTS:
        if key in found:
            found[key] = [_normal(each, defs, above, parts) for each in found[key]]
    return found


def _typed(kind: Any) -> dict[str, Any]:
    """The type as JSON Schema names it; one that nobody knows ("any") is no demand."""
    if isinstance(kind, list):
        named = [_name(each) for each in kind]
        return {"type": named} if all(name in _KNOWN for name in named) else {}
    named_one = _name(kind)
    return {"type": named_one} if named_one in _KNOWN else {}


def _name(kind: Any) -> str:
    text = str(kind).lower()
    return _NAMES.get(text, text)
