"""BetterTogether: several of DSPy's prompt optimizers in a row, each with its part of the room."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from ...errors import UsageError
from .fitting import Fit, Room, first

__all__ = ["together"]

_ARROW = " -> "
_STEPS: Mapping[str, Any] = {
    "instructions": "dspy.GEPA",
    "demos": "dspy.BootstrapFewShotWithRandomSearch",
}
_STRATEGY = "instructions -> demos"

Choose = Callable[[str, Mapping[str, Any]], Any]
Build = Callable[[Any, Room], tuple[Any, Fit]]


def together(room: Room, given: Mapping[str, Any], choose: Choose, build: Build) -> Fit:
    """The steps of the strategy, made with equal parts of what their evaluations leave.

    `optimizers` maps a step's name to an optimizer, or to a table with `optimizer` and its options:
    `{ text = { optimizer = "dspy.COPRO", breadth = 5 } }`.
    """
    chosen = {key: _step(key, told, choose)
              for key, told in _table(given.get("optimizers", _STEPS)).items()}  # fmt: skip
    strategy = str(given.get("strategy", _STRATEGY if "optimizers" not in given
                             else _ARROW.join(chosen)))  # fmt: skip
    steps = strategy.split(_ARROW)
    unknown = [step for step in steps if step not in chosen]
    if unknown:
        raise UsageError(
            f"dspy.BetterTogether: strategy {strategy!r} names the step {unknown[0]!r}; "
            f"`optimizers` has {', '.join(chosen)}"
        )
    sizes = [(size,) for size in room.sizes()]
    (size,), scoring = first(sizes, lambda s: (len(steps) + 1) * s[0], room.rollouts // 2)
    part = replace(
        room,
        rollouts=max(0, room.rollouts - scoring) // len(steps),
        val=list(room.val)[:size],
    )
    built = {key: build(choice, part) for key, choice in chosen.items()}
    called = {
        "trainset": list(room.train),
        "valset": list(room.val)[:size],
        "num_threads": room.threads,
        "seed": room.seed,
        "strategy": strategy,
        "optimizer_compile_args": {key: dict(fit.called) for key, (_, fit) in built.items()},
    }
    cost = scoring + sum(built[step][1].rollouts for step in steps)
    told = {"strategy": strategy, **{key: dict(fit.told) for key, (_, fit) in built.items()}}
    made = {"metric": room.metric, **{key: each for key, (each, _) in built.items()}}
    return Fit(made, called, cost, {**told, "val": size})


def _table(given: Any) -> Mapping[str, Any]:
    if not isinstance(given, Mapping) or not given:
        raise UsageError(
            "dspy.BetterTogether: optimizers is a table of steps, as "
            '{ text = "dspy.COPRO", demos = "dspy.BootstrapRS" }'
        )
    return given


def _step(key: str, told: Any, choose: Choose) -> Any:
    if isinstance(told, str):
        return choose(told, {})
    if isinstance(told, Mapping) and isinstance(told.get("optimizer"), str):
        options = {name: value for name, value in told.items() if name != "optimizer"}
        return choose(told["optimizer"], options)
    raise UsageError(
        f"dspy.BetterTogether: step {key!r} is {told!r}; give the name of an optimizer, or a "
        'table with it, as { optimizer = "dspy.COPRO", breadth = 5 }'
    )
