"""What a compile decides about one predictor, and the shape of predictor it is for, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from .form import checked

__all__ = ["Field", "Predictor"]


@dataclass(frozen=True, slots=True)
class Field:
    """One input or output of a predictor: its name, its type as text, what it says to the model.

    >>> Field("answer", "str").desc
    ''
    """

    name: str
    type: str
    desc: str = ""


@dataclass(frozen=True, slots=True)
class Predictor:
    """What a compile decides about one predictor (instructions, demos) and the shape it is for.

    `demos` are plain JSON objects: values by field name.

    >>> Predictor("self", "default", (Field("q", "str"),), (), "Answer.").to_json()["demos"]
    []
    """

    path: str
    role: str
    inputs: tuple[Field, ...]
    outputs: tuple[Field, ...]
    instructions: str
    demos: tuple[dict[str, Any], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """This predictor as it stands in the file; a copy."""
        body = asdict(self)
        return {key: list(v) if isinstance(v, tuple) else v for key, v in body.items()}

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Predictor:
        """The predictor that `to_json` wrote down.

        >>> a = Predictor("self", "default", (Field("q", "str"),), (), "Answer.", ({"q": 1},))
        >>> Predictor.from_json(a.to_json()) == a
        True
        """
        return cls(
            path=body["path"],
            role=body["role"],
            inputs=tuple(Field(**each) for each in body["inputs"]),
            outputs=tuple(Field(**each) for each in body["outputs"]),
            instructions=body["instructions"],
            demos=tuple(checked(demo, "demos") for demo in body["demos"]),
        )
