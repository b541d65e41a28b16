"""Which of DSPy's optimizers are driven, which options they take, and how each one is made."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

import dspy

from ... import canonical
from ...errors import MissingExtra, UsageError
from .fitting import FITS, Fit, Room, no_metric
from .quiet import quiet
from .together import together

__all__ = ["KNOWN", "Choice", "build", "choose"]

KNOWN = (*FITS, "BetterTogether")
_ALIASES = {"BootstrapRS": "BootstrapFewShotWithRandomSearch"}
# Those that score the states they try on val as they go; the others are scored on it at the end.
_ON_VAL = {"BootstrapFewShotWithRandomSearch", "COPRO", "MIPROv2", "GEPA", "InferRules",
           "BetterTogether"}  # fmt: skip
_PROPOSING = {"COPRO", "MIPROv2", "SIMBA", "GEPA", "InferRules", "BetterTogether"}
_NOT_DRIVEN = {
    "KNNFewShot": "it replaces the program's forward and bootstraps at every call, and what it "
    "makes has no state that an artifact could hold. The levels choose demonstrations per input "
    "by a move of their own",
    "Ensemble": "what it makes is several programs and no single state. Compile them one by one "
    "and let a program of yours call them",
    "BootstrapFewShotWithOptuna": "its sampler has no seed, so it could not go on where it was "
    "killed. dspy.BootstrapFewShotWithRandomSearch or dspy.MIPROv2 search the same",
    "BootstrapFinetune": "it trains weights, and a compile is about prompts",
    "GRPO": "it trains weights, and a compile is about prompts",
    "AvatarOptimizer": "it cannot be constructed in this version of DSPy",
}
_MODELS = "models are bound by role: `default` runs the program, `proposer` proposes and teaches"
_DATA = "the compile's data are used"
_OURS = {
    "metric": "the compile's metric is used",
    "student": "the compile's program is used",
    "teacher": _MODELS,
    "trainset": _DATA,
    "valset": _DATA,
    "valset_ratio": _DATA,
    "prompt_model": _MODELS,
    "task_model": _MODELS,
    "reflection_lm": _MODELS,
    "teacher_settings": _MODELS,
    "num_threads": "concurrency= says it",
    "seed": "seed= says it",
    "log_dir": "the journal keeps everything, and the same call goes on from it",
    "eval_kwargs": "evaluations are the compile's",
    "optimizer_compile_args": "options of a step stand in its table in `optimizers`",
    "max_errors": "a program that raises scores 0 there, however often",
    "provide_traceback": "errors are in the journal",
    "requires_permission_to_run": "DSPy no longer asks",
    "instruction_proposer": "an object has no name by which a killed run could go on",
    "code_proposer": "an object has no name by which a killed run could go on",
    "gepa_kwargs": "the compile's budget, journal and tracking are used",
    **dict.fromkeys(("use_wandb", "wandb_api_key", "wandb_init_kwargs", "use_mlflow"),
                    "track= mirrors the run to MLflow"),
    **dict.fromkeys(("verbose", "track_stats", "track_best_outputs", "warn_on_score_mismatch"),
                    "the report and the journal show what was tried"),
}  # fmt: skip
_SHOW_SOURCE = "show_source"


@dataclass(frozen=True, slots=True)
class Choice:
    """An optimizer of DSPy's by its full name, with the options it was asked for.

    >>> choose("dspy.BootstrapRS", {"num_candidate_programs": 4}).name
    'dspy.BootstrapFewShotWithRandomSearch'
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """The name of its class."""
        return self.name.partition(".")[2]

    @property
    def scores_on_val(self) -> bool:
        """Whether it runs what it tries on val; else the end result is run on it."""
        return self.kind in _ON_VAL

    @property
    def proposes(self) -> bool:
        """Whether it asks the proposer's model, which a budget of calls pays for too."""
        return self.kind in _PROPOSING

    @property
    def shows_source(self) -> bool:
        """Whether the proposer may be sent the program's source code: only if it was asked for."""
        asked = self.options.get(_SHOW_SOURCE) or self.options.get("program_aware_proposer")
        return bool(asked)

    @property
    def writes_into_signatures(self) -> bool:
        """Whether it changes signature classes in place, which copies of a program share."""
        return self.kind in ("InferRules", "BetterTogether")

    @property
    def wants_lms(self) -> bool:
        """Whether every predictor must hold a model."""
        return self.kind == "BetterTogether"


def choose(name: str, options: Mapping[str, Any] | None = None) -> Choice:
    """The optimizer called `name` with `options` by name; nothing of it has run.

    Raises `UsageError` for an unknown or refused optimizer or option, naming what there is, and
    `MissingExtra` where a library it needs is not installed.
    """
    kind = _kind(name)
    given = dict(options or {})
    _check_options(kind, given)
    if kind == "MIPROv2":
        _needs_optuna()
    choice = Choice(f"dspy.{kind}", MappingProxyType(given))
    try:
        with quiet():
            build(choice, _try_out())
    except UsageError:
        raise
    except (AssertionError, TypeError, ValueError) as error:
        raise UsageError(f"dspy.{kind} refuses the options {given}: {error}") from error
    return choice


def build(choice: Choice, room: Room) -> tuple[Any, Fit]:
    """The optimizer, with settings that fit `room` where none were given; and how to call it.

    >>> build(choose("dspy.LabeledFewShot", {"k": 3}), _try_out())[0].k
    3
    """
    kind, maker = choice.kind, getattr(dspy, choice.kind)
    given = {key: value for key, value in choice.options.items() if key != _SHOW_SOURCE}
    if kind == "BetterTogether":
        fit = together(room, given, lambda name, options: choose(name, options), build)
        given = {key: value for key, value in given.items() if key != "optimizers"}
    else:
        fit = FITS[kind](room, given)
    makes = _parameters(kind, "__init__")
    made = {key: value for key, value in given.items() if key in makes}
    called = {key: value for key, value in given.items() if key not in makes}
    fit = Fit({**made, **fit.made}, {**called, **fit.called}, fit.rollouts, fit.told)
    return maker(**fit.made), fit


def _needs_optuna() -> None:
    try:
        importlib.import_module("optuna")
    except ImportError:
        raise MissingExtra("optuna", extra="optimizers", purpose="run dspy.MIPROv2") from None


def _kind(name: object) -> str:
    if not isinstance(name, str) or not name.strip():
        raise UsageError(f"optimizer={name!r}: give a name, as 'dspy.MIPROv2'")
    kind = name.removeprefix("dspy.")
    kind = _ALIASES.get(kind, kind)
    if kind in _NOT_DRIVEN:
        raise UsageError(f"optimizer 'dspy.{kind}' is not driven: {_NOT_DRIVEN[kind]}")
    if kind not in KNOWN:
        known = ", ".join(f"dspy.{each}" for each in KNOWN)
        close = get_close_matches(kind, KNOWN, n=1)
        meant = f" (is 'dspy.{close[0]}' meant?)" if close else ""
        raise UsageError(f"optimizer {name!r} is not known{meant}: there are {known}")
    return kind


def _check_options(kind: str, given: Mapping[str, Any]) -> None:
    known = sorted(_known_options(kind))
    for name, value in given.items():
        if name in _OURS:
            raise UsageError(f"dspy.{kind}: {name!r} is not an option here: {_OURS[name]}")
        if name not in known:
            close = get_close_matches(str(name), known, n=1)
            meant = f" (is {close[0]!r} meant?)" if close else ""
            raise UsageError(
                f"dspy.{kind} has no option {name!r}{meant}; it has {', '.join(known)}"
            )
        try:
            canonical.dumps(value)
        except (TypeError, ValueError):
            raise UsageError(
                f"dspy.{kind}: option {name!r} is a {type(value).__name__}: give numbers, texts, "
                "lists or tables, by which a killed run can be known again"
            ) from None


def _known_options(kind: str) -> set[str]:
    found = _parameters(kind, "__init__") | _parameters(kind, "compile")
    if kind == "InferRules":
        found |= _parameters("BootstrapFewShot", "__init__")
    if kind == "BetterTogether":
        found |= {"optimizers"}
    if kind in ("SIMBA", "BetterTogether"):
        found |= {_SHOW_SOURCE}
    return found - set(_OURS)


def _parameters(kind: str, method: str) -> set[str]:
    found = inspect.signature(getattr(getattr(dspy, kind), method)).parameters
    named = {name for name, each in found.items() if each.kind != each.VAR_KEYWORD}
    if kind == "InferRules" and method == "__init__":
        named |= _parameters("BootstrapFewShot", "__init__")
    return named - {"self", "optimizers"}


def _try_out() -> Room:
    """Room in which an optimizer is made only to see whether it takes its options."""
    rows = [dspy.Example(text=str(n)).with_inputs("text") for n in range(20)]
    nobody = object()
    return Room(10_000, 1, 0.5, rows, rows, no_metric, nobody, nobody)
