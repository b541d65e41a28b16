"""Which model a predictor asks for, by the name of a role: the application binds it."""

from __future__ import annotations

from typing import TypeVar

import dspy

from ..errors import UsageError

__all__ = ["DEFAULT_ROLE", "in_role", "role_of"]

DEFAULT_ROLE = "default"
_ROLE = "_compilm_role"
_Program = TypeVar("_Program", bound=dspy.Module)


def in_role(program: _Program, role: str) -> _Program:
    """The program, whose predictors now ask for the model of `role`; it is changed in place.

    A compile takes that model from `roles=` or `[lm.ROLE]`, and so does whoever loads the artifact.

    >>> steps = in_role(dspy.Predict("q -> a"), "cheap"), dspy.Predict("q -> a")
    >>> [role_of(step) for step in steps]
    ['cheap', 'default']
    """
    if not isinstance(role, str) or not role.isidentifier():
        raise UsageError(f"role={role!r}: a role is a name, as in [lm.cheap]")
    for _, each in program.named_predictors():
        setattr(each, _ROLE, role)
    return program


def role_of(predictor: dspy.Predict) -> str:
    """The role that a predictor asks for; `default` where none was said."""
    return str(vars(predictor).get(_ROLE, DEFAULT_ROLE))
