"""An optimizing compiler for LM programs: search, prove, ship and serve `dspy.Module`s.

    result = compilm.compile(program, metric, trainset=train, valset=val, testset=test)
    result.save("build/claims")
    program = compilm.load("build/claims", ClaimsDesk())

Importing this package imports nothing heavy: each name is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from . import errors as errors
    from .api import Evaluation, compile, evaluate, plan
    from .artifact import Artifact
    from .datasets import DataSet
    from .graphs import END, Choice, Graph, Map, Node, Pause, Paused
    from .journal import open_journal
    from .metrics import Estimate, Metric, Score
    from .optimizers.budget import Budget, Spent
    from .optimizers.front import Constraints, Point
    from .optimizers.plan import Plan
    from .optimizers.result import CompileResult
    from .programs.dspy_state import adopt
    from .runtime.load import Runtime, load
    from .teleprompters import Compile

_HOMES = {
    "Artifact": "artifact",
    "Budget": "optimizers.budget",
    "Choice": "graphs",
    "Compile": "teleprompters",
    "CompileResult": "optimizers.result",
    "Constraints": "optimizers.front",
    "DataSet": "datasets",
    "END": "graphs",
    "Estimate": "metrics",
    "Evaluation": "api",
    "Graph": "graphs",
    "Map": "graphs",
    "Metric": "metrics",
    "Node": "graphs",
    "Pause": "graphs",
    "Paused": "graphs",
    "Plan": "optimizers.plan",
    "Point": "optimizers.front",
    "Runtime": "runtime.load",
    "Score": "metrics",
    "Spent": "optimizers.budget",
    "adopt": "programs.dspy_state",
    "compile": "api",
    "errors": "",
    "evaluate": "api",
    "load": "runtime.load",
    "open_journal": "journal",
    "plan": "api",
}

__all__ = [
    "END",
    "Artifact",
    "Budget",
    "Choice",
    "Compile",
    "CompileResult",
    "Constraints",
    "DataSet",
    "Estimate",
    "Evaluation",
    "Graph",
    "Map",
    "Metric",
    "Node",
    "Pause",
    "Paused",
    "Plan",
    "Point",
    "Runtime",
    "Score",
    "Spent",
    "__version__",
    "adopt",
    "compile",
    "errors",
    "evaluate",
    "load",
    "open_journal",
    "plan",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = _HOMES[name]
    found = (
        getattr(import_module(f".{home}", __name__), name)
        if home
        else import_module(f".{name}", __name__)
    )
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
