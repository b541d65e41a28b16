"""What the program that runs right now says to its predictors, read cheaply and named by digest."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import dspy

from ... import canonical
from ...artifact import Predictor
from ...errors import ProgramError
from ...programs import models
from ...programs.predictors import predictors, shape
from ..candidate import Candidate

__all__ = ["State", "States"]

_KEPT = 256  # optimizers copy programs with their demos again and again


@dataclass(frozen=True, slots=True)
class State:
    """Texts and demonstrations of every predictor, and how it was asked to run.

    `variant` is empty where the program runs as it would in production. Else it names what is
    different: an optimizer that samples sets other models, and its scores are not comparable.
    """

    digest: str
    predictors: tuple[Predictor, ...]
    variant: str = ""


class States:
    """Reads states of copies of one program. Safe under threads.

    >>> program = dspy.Predict("question -> answer")
    >>> states = States(shape(program), {}, None)
    >>> other = dspy.Predict("question -> answer").deepcopy()
    >>> with dspy.context(lm=None):
    ...     states.of(program).digest == states.of(other).digest
    True
    """

    def __init__(
        self,
        given: Iterable[Predictor],
        lms: Mapping[str, dspy.LM | None],
        default: dspy.LM | None,
    ) -> None:
        self._given = {each.path: each for each in given}
        self._lms, self._default = dict(lms), default
        self._lock = threading.Lock()  # protects _known
        # What is looked at is kept alive with the answer, for ids of the dead are used again.
        self._known: OrderedDict[tuple[Any, ...], tuple[State | None, Any]] = OrderedDict()

    def of(self, program: dspy.Module) -> State | None:
        """The state of `program` now; `None` where it has none of the given program's shape."""
        found = predictors(program)
        held = [
            (each.signature, tuple(each.demos), getattr(each, "nearest", None))
            for each in found.values()
        ]
        key = tuple(
            (path, id(signature), signature.instructions, tuple(map(id, demos)), id(nearest))
            for path, (signature, demos, nearest) in zip(found, held, strict=True)
        )
        with self._lock:
            known = self._known.get(key)
        if known is None:
            known = (self._read(program), held)
            with self._lock:
                self._known[key] = known
                while len(self._known) > _KEPT:
                    self._known.popitem(last=False)
        state = known[0]
        return state and replace(state, variant=self._variant(found))

    def predictors_of(self, program: dspy.Module) -> tuple[Predictor, ...]:
        """The given predictors with the texts and demos of `program`.

        Raises `ProgramError` where its predictors or their fields are others.
        """
        mine = {each.path: each for each in shape(program)}
        for path, given in self._given.items():
            other = mine.get(path)
            if other is None or _fields(other) != _fields(given):
                raise ProgramError(
                    f"the optimizer gave back a program whose predictors are {list(mine)}, and "
                    f"{path!r} of the given one is not among them with its fields: such a program "
                    "is no state of yours and cannot be an artifact of it"
                )
        return tuple(
            replace(
                given,
                instructions=mine[path].instructions,
                demos=mine[path].demos,
                nearest=mine[path].nearest,
            )
            for path, given in self._given.items()
        )

    def _read(self, program: dspy.Module) -> State | None:
        try:
            read = self.predictors_of(program)
        except ProgramError:  # another shape, or demos without a JSON form: no state of ours
            return None
        return State(Candidate(0, read).digest, read)

    def _variant(self, found: Mapping[str, dspy.Predict]) -> str:
        odd: list[Any] = []
        if not _same(dspy.settings.lm, self._default):
            odd.append(_told(dspy.settings.lm))
        for path, predictor in found.items():
            wanted = self._lms.get(path)
            if not _same(predictor.lm or self._default, wanted or self._default):
                odd.append([path, _told(predictor.lm)])
        return canonical.short(canonical.digest(odd), 8) if odd else ""


def _fields(predictor: Predictor) -> list[tuple[str, str]]:
    return [(field.name, field.type) for field in (*predictor.inputs, *predictor.outputs)]


def _same(one: dspy.LM | None, other: dspy.LM | None) -> bool:
    if one is other or one is None or other is None:
        return one is other
    return bool(one.engine is other.engine and one.kwargs == other.kwargs)


def _told(lm: dspy.LM | None) -> str:
    return "none" if lm is None else models.identity(lm)
