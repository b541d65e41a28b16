"""How values that several branches wrote under one key become one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any, TypeAlias

from ..errors import ProgramError
from .wants import FAILURE

__all__ = ["RULES", "Rule", "check_rule", "merged"]

Rule: TypeAlias = "str | Callable[[list[Any]], Any]"

RULES: Mapping[str, Callable[[list[Any]], Any]] = {
    "first": lambda values: values[0],
    "last": lambda values: values[-1],
    "list": list,
    "join": lambda values: list(chain.from_iterable(values)),
    "sum": sum,
    "min": min,
    "max": max,
    "all": all,
    "any": any,
}
"""The rules that have a name: each takes the values in the order of the branches."""


def check_rule(key: str, rule: Any) -> None:
    """Nothing, or an error that lists the rules there are."""
    if not callable(rule) and rule not in RULES:
        raise ProgramError(
            f"merge={{{key!r}: {rule!r}}} is no rule: use {', '.join(RULES)}, or a function of the "
            "list of values"
        )


def merged(rules: Mapping[str, Rule], written: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the branches wrote, in their order, as one update.

    >>> merged({"found": "join"}, [{"found": [1], "a": 1}, {"found": [2]}])
    {'found': [1, 2], 'a': 1}
    """
    values: dict[str, list[Any]] = {}
    for one in written:
        for key, value in one.items():
            values.setdefault(key, []).append(value)
    return {key: _one(rules, key, found) for key, found in values.items()}


def _one(rules: Mapping[str, Rule], key: str, values: list[Any]) -> Any:
    rule = rules.get(key)
    if rule is None:  # two branches that both failed are the only ones without a rule
        return values[0] if key == FAILURE else values[-1]
    return (rule if callable(rule) else RULES[rule])(values)
