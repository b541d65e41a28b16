"""What a compile decides about one predictor, and the shape of predictor it is for, as values."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass
from typing import Any

from .. import canonical
from .form import checked

__all__ = ["Field", "Nearest", "Predictor"]


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
class Nearest:
    """Demonstrations chosen per call: the `k` of the pool whose inputs are closest to the call's.

    `embedder` names how closeness is measured. The pool holds plain JSON objects, as demos are.

    >>> print(Nearest(8, "words-v1", ({"q": "Why?", "a": "So."},)))
    8 nearest of a pool of 1 (words-v1)
    """

    k: int
    embedder: str
    pool: tuple[dict[str, Any], ...]

    def __str__(self) -> str:
        return f"{self.k} nearest of a pool of {len(self.pool)} ({self.embedder})"

    @property
    def pool_digest(self) -> str:
        """Equal for pools of the same demonstrations in the same order."""
        return canonical.digest(list(self.pool))

    def to_json(self) -> dict[str, Any]:
        """This as it stands in the file; a copy."""
        return {"k": self.k, "embedder": self.embedder, "pool": deepcopy(list(self.pool))}

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Nearest:
        """What `to_json` wrote down.

        >>> Nearest.from_json({"k": 2, "embedder": "words-v1", "pool": [{"q": 1}]}).pool
        ({'q': 1},)
        """
        return cls(body["k"], body["embedder"], tuple(checked(body["pool"], "pool")))


@dataclass(frozen=True, slots=True)
class Predictor:
    """What a compile decides about one predictor (instructions, demos) and the shape it is for.

    `demos` are plain JSON objects: values by field name. They stand in every prompt; what
    `nearest` chooses for a call comes after them.

    >>> Predictor("self", "default", (Field("q", "str"),), (), "Answer.").to_json()["demos"]
    []
    """

    path: str
    role: str
    inputs: tuple[Field, ...]
    outputs: tuple[Field, ...]
    instructions: str
    demos: tuple[dict[str, Any], ...] = ()
    nearest: Nearest | None = None

    def to_json(self) -> dict[str, Any]:
        """This predictor as it stands in the file; a copy. `nearest` is there only if it is set."""
        body: dict[str, Any] = {
            "path": self.path,
            "role": self.role,
            "inputs": [asdict(field) for field in self.inputs],
            "outputs": [asdict(field) for field in self.outputs],
            "instructions": self.instructions,
            "demos": deepcopy(list(self.demos)),
        }
        return body if self.nearest is None else {**body, "nearest": self.nearest.to_json()}

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
            nearest=Nearest.from_json(body["nearest"]) if body.get("nearest") else None,
        )
