"""Typed request and response models of a program, made from its predictors' fields."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ... import canonical

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = [
    "answer_of",
    "input_names",
    "request_model",
    "response_model",
]


def input_names(program: Any) -> tuple[str, ...]:
    """What a call of the program is given: its `forward`'s parameters, else the predictors' fields.

    >>> class Echo:
    ...     def forward(self, text, *, tone="plain"): ...
    >>> input_names(Echo())
    ('text', 'tone')
    """
    named = tuple(
        name
        for name, parameter in _parameters(program).items()
        if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
    )
    if named:
        return named
    made = {name for one in _predictors(program) for name in one.signature.output_fields}
    fields = (name for one in _predictors(program) for name in one.signature.input_fields)
    return tuple(dict.fromkeys(name for name in fields if name not in made))


def request_model(
    name: str, program: Any, inputs: Iterable[str], optional: Collection[str] = ()
) -> type[BaseModel]:
    """The body of a request: one field per input, others refused.

    A field may be left out where `forward` has a default for it, or where `optional` names it.
    """
    defaults = {
        name: parameter.default
        for name, parameter in _parameters(program).items()
        if parameter.default is not parameter.empty
    }
    fields = {}
    for field in inputs:
        kind, description = _field(program, field, "input_fields")
        fields[field] = (kind, description, defaults.get(field, None if field in optional else ...))
    return _model(f"{name}Input", fields, extra="forbid")


def response_model(name: str, program: Any, outputs: Iterable[str]) -> type[BaseModel]:
    """The body of an answer: one field per output; more may come."""
    fields = {}
    for field in outputs:
        kind, description = _field(program, field, "output_fields")
        fields[field] = (kind, description, ...)
    return _model(f"{name}Output", fields, extra="allow")


def answer_of(prediction: Any) -> dict[str, Any]:
    """What a program returned, as plain JSON data by field name.

    >>> answer_of({"label": "spam"}), answer_of("spam")
    ({'label': 'spam'}, {'answer': 'spam'})
    """
    if hasattr(prediction, "toDict"):
        prediction = dict(prediction.items())
    if not isinstance(prediction, Mapping):
        prediction = {"answer": prediction}
    return {str(key): _plain(value) for key, value in prediction.items()}


def _plain(value: Any) -> Any:
    try:
        return canonical.plain(value)
    except TypeError:
        return str(value)


def _parameters(program: Any) -> dict[str, inspect.Parameter]:
    """The parameters of `forward`, read from the class: DSPy warns of a look at the instance's."""
    kind = type(program)
    forward = getattr(kind, "forward", None) or getattr(kind, "aforward", None)
    found = dict(inspect.signature(forward).parameters) if forward is not None else {}
    return {name: found[name] for name in list(found)[1:]}


def _predictors(program: Any) -> list[Any]:
    return list(program.predictors()) if hasattr(program, "predictors") else []


def _field(program: Any, name: str, side: str) -> tuple[Any, str | None]:
    """The type and description that a predictor declares for a field; anything where none does.

    The first predictor that takes it decides an input, the last that gives it an output.
    """
    found = [
        getattr(one.signature, side)[name]
        for one in _predictors(program)
        if name in getattr(one.signature, side)
    ]
    if not found:
        return Any, None
    info = found[0] if side == "input_fields" else found[-1]
    described = (info.json_schema_extra or {}).get("desc")
    # DSPy writes "${name}" where nobody described the field.
    return info.annotation, None if described == f"${{{name}}}" else described


def _model(name: str, fields: Mapping[str, tuple[Any, Any, Any]], extra: Any) -> type[BaseModel]:
    from pydantic import BaseModel, ConfigDict, Field, create_model

    class Base(BaseModel):
        model_config = ConfigDict(extra=extra, protected_namespaces=())

    definitions: dict[str, Any] = {
        field: (_documented(kind), Field(default, description=description))
        for field, (kind, description, default) in fields.items()
    }
    return create_model(name, __base__=Base, **definitions)


def _documented(kind: Any) -> Any:
    """The type itself where it has a JSON schema, so that OpenAPI can show it; else anything."""
    from pydantic import PydanticUserError, TypeAdapter

    try:
        TypeAdapter(kind).json_schema()
    except PydanticUserError:
        return Any
    return kind
