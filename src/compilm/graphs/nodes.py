"""What stands at a node: a module or a function, and how it is run."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import dspy

from ..confidence import Accept
from ..errors import ProgramError

__all__ = ["Function", "Node", "Policy", "Step", "as_module", "policy_of"]

Step: TypeAlias = "dspy.Module | Callable[..., Any]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How a node is run; the fields are told at `Node`."""

    timeout: float | None = None
    retries: int = 0
    fallback: str | None = None
    cache: float | None = None
    effect: bool = False
    writes: tuple[str, ...] | None = None
    accept: Accept | None = None


@dataclass(frozen=True, slots=True)
class Node(Policy):
    """A step with a policy.

    Args:
        step: a `dspy.Module` or a function; it returns a prediction, a mapping, or `None`.
        timeout: seconds for one attempt. A blocked thread is left behind, a task is cancelled.
        retries: further attempts after one that failed, with growing waits. A step with an effect
            is tried again only if it declares the argument `idempotency_key`.
        fallback: the node to go to when all attempts failed; it may declare the argument
            `failure`, an object with `node`, `error` and `message`.
        cache: seconds for which equal inputs give the answer that was given before.
        effect: it changes the world: never cached, and in a durable run never begun a second
            time unless its `idempotency_key` makes that safe.
        writes: the keys it may write; what else it returns is left out. Needed for functions in
            parallel branches, whose results are not known otherwise.
        accept: a check (prediction to bool) or a `compilm.confidence.Confidence`: what it does not
            accept goes to the fallback, as a failure of the kind `NotAccepted`.

    >>> Node(dspy.Predict("question -> answer"), timeout=5.0, retries=1).retries
    1
    """

    step: Step = field(kw_only=False)


class Function(dspy.Module):
    """A plain function as a module. Copies share the function: it has nothing to optimize."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def __deepcopy__(self, memo: dict[int, Any]) -> Function:
        return Function(self.function)

    def forward(self, **inputs: Any) -> Any:
        return self.function(**inputs)


def as_module(name: str, step: Any) -> dspy.Module:
    """The step as a module; what is none is an error that names the node."""
    if isinstance(step, dspy.Module):
        return step
    if inspect.isclass(step) and issubclass(step, dspy.Module):
        raise ProgramError(f"node {name!r} is the class {step.__name__}: give an instance of it")
    if callable(step):
        return Function(step)
    raise ProgramError(
        f"node {name!r} is a {type(step).__name__}: give a dspy.Module or a function, or "
        "Node(step, ...) with a policy"
    )


def policy_of(node: Policy) -> Policy:
    """The policy of a node without its step."""
    names = ("timeout", "retries", "fallback", "cache", "effect", "writes", "accept")
    return Policy(**{name: getattr(node, name) for name in names})
