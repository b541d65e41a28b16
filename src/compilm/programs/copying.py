"""A copy of a program that shares what must not be copied: its models, and what cannot be."""

from __future__ import annotations

import copy
import types
from typing import Any

import dspy

from ..errors import ProgramError

__all__ = ["copied"]

# Never taken apart on the look for models: they hold the world, or nothing.
_OPAQUE = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, str, int, float)


def copied(program: dspy.Module) -> dspy.Module:
    """A deep copy of the program with the same `dspy.LM` objects.

    What has no copy (a lock, a connection, an index in C memory) is shared as well.

    >>> program = dspy.Predict("question -> answer")
    >>> program.lm = dspy.LM("openai/gpt-5-mini")
    >>> copied(program).lm is program.lm
    True
    """
    shared: dict[int, Any] = {}
    _find_models(program, shared, set())
    try:
        return copy.deepcopy(program, dict(shared))
    except Exception:  # border: copying runs the code of every class the program holds
        _find_stuck(program, shared, set())
    try:
        return copy.deepcopy(program, shared)
    except Exception as error:  # border: as above
        raise ProgramError(
            f"{type(program).__name__} cannot be copied ({error!r}): a compile runs copies of it "
            "with other texts. Give its parts a working __deepcopy__, or none"
        ) from error


def _find_models(value: Any, shared: dict[int, Any], seen: set[int]) -> None:
    """Put every LM that can be reached from `value` into `shared`, by id."""
    if isinstance(value, _OPAQUE) or id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, dspy.BaseLM):
        shared[id(value)] = value
        return
    for part in _parts(value):
        _find_models(part, shared, seen)


def _find_stuck(value: Any, shared: dict[int, Any], seen: set[int]) -> None:
    """Put the smallest parts that cannot be copied into `shared`, by id."""
    if id(value) in seen or id(value) in shared:
        return
    seen.add(id(value))
    if isinstance(value, types.ModuleType):
        shared[id(value)] = value
    if isinstance(value, _OPAQUE):
        return
    parts = _parts(value)
    for part in parts:
        _find_stuck(part, shared, seen)
    if isinstance(value, dspy.Module | list | tuple | dict):
        return
    try:
        copy.deepcopy(value, dict(shared))
    except Exception:  # border: as in `copied`
        shared[id(value)] = value


def _parts(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    if isinstance(value, list | tuple | set | frozenset):
        return list(value)
    if isinstance(value, types.MethodType):
        return [value.__self__]
    return list(getattr(value, "__dict__", {}).values())
