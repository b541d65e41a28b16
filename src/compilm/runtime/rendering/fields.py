"""The fields of a signature as plain dictionaries, and whether the signature still has them."""

from __future__ import annotations

from collections.abc import Mapping
from operator import is_
from typing import Any, get_args, get_origin

import dspy
from dspy.adapters.types import History, Type
from dspy.adapters.types.tool import Tool, ToolCalls
from dspy.signatures.signature import SignatureMeta

__all__ = ["Fields", "is_known"]


class Fields:
    """What DSPy's functions ask of a signature, which makes each of these anew when it is asked.

    `kinds` are the types of the outputs; `speaks_natively` says that a field may be carried by a
    feature of the model instead of by text.

    >>> Fields(dspy.Signature("question -> answer")).output_fields.keys()
    dict_keys(['answer'])
    """

    __slots__ = ("_state", "fields", "input_fields", "kinds", "output_fields", "speaks_natively")

    def __init__(self, signature: type[dspy.Signature]) -> None:
        self._state = _state(signature)
        self.input_fields: dict[str, Any] = signature.input_fields
        self.output_fields: dict[str, Any] = signature.output_fields
        self.fields = {**self.input_fields, **self.output_fields}
        self.kinds = [info.annotation for info in self.output_fields.values()]
        self.speaks_natively = _has_tools(self.input_fields) or ToolCalls in self.kinds

    def are_of(self, signature: type[dspy.Signature]) -> bool:
        """Whether nothing of the signature was replaced or changed in place since.

        >>> signature = dspy.Signature("question -> answer")
        >>> fields = Fields(signature)
        >>> signature.instructions = "Answer in one word."
        >>> fields.are_of(signature)
        False
        """
        now = _state(signature)
        return len(now) == len(self._state) and all(map(is_, now, self._state))

    @property
    def converses(self) -> bool:
        """Whether an input is the history of a conversation."""
        return any(info.annotation == History for info in self.input_fields.values())

    @property
    def describe_themselves(self) -> bool:
        """Whether a type of the user writes a description into the prompt, maybe a new one."""
        return any(
            not getattr(kind.description, "__func__", kind).__module__.startswith("dspy.")
            for info in self.fields.values()
            for kind in Type.extract_custom_type_from_annotation(info.rebuild_annotation())
        )


def is_known(signature: Any) -> bool:
    """Whether this is a signature as DSPy makes them.

    >>> is_known(dspy.Signature("question -> answer")), is_known(object())
    (True, False)
    """
    return type(signature) is SignatureMeta


def _state(signature: type[dspy.Signature]) -> list[Any]:
    """Every object that the rendering of this signature reads, to be compared by identity."""
    found: list[Any] = [signature.__doc__]
    for name, info in signature.model_fields.items():
        extra = info.json_schema_extra
        found += (name, info, info.annotation, info.default)
        found += extra
        found += extra.values()
    return found


def _has_tools(inputs: Mapping[str, Any]) -> bool:
    """Whether an input is a tool or a list of some, which a model may be given by its own means."""
    kinds = [info.annotation for info in inputs.values()]
    lists = [part for kind in kinds if get_origin(kind) is list for part in get_args(kind)]
    return any(kind == Tool for kind in (*kinds, *lists))
