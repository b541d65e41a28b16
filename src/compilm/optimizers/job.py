"""The job: everything a compile is made of, and the name that makes equal jobs one run."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import dspy

from .. import __version__, canonical
from ..artifact import Predictor
from ..clock import SYSTEM_CLOCK, Clock
from ..datasets import DataSet
from ..engine import Layer
from ..errors import UsageError
from ..journal import Journal
from ..metrics import Metric
from ..prices import Prices
from ..programs import models
from ..programs.predictors import fingerprint, shape
from ..programs.reference import source_fingerprint
from .budget import Budget
from .front import FREE, Constraints

__all__ = ["Job"]

_FORM = 2  # of the records of a run; what another wrote is another run


@dataclass(frozen=True, slots=True)
class Job:
    """A compile as asked for. Jobs with the same `run` are one job: each goes on as the other.

    `roles` must hold `default`; `proposer` falls back to it. `retry` is the layer that repeats
    failed attempts. `optimizer` names one of DSPy's, with its `options`, in the place of the
    level. Concurrency, journal, clock, retry and prices do not change what comes out.
    """

    program: dspy.Module
    metric: Metric
    train: DataSet
    val: DataSet
    test: DataSet
    level: int
    budget: Budget
    roles: Mapping[str, dspy.LM]
    seed: int
    journal: Journal
    name: str
    reference: str = ""
    frozen: tuple[str, ...] = ()
    constraints: Constraints = FREE
    concurrency: int = 32
    retry: Layer = field(default=lambda engine: engine)
    clock: Clock = SYSTEM_CLOCK
    notes: tuple[str, ...] = ()
    split_note: str = ""
    optimizer: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    prices: Prices = field(default_factory=Prices, repr=False)
    # Worked out once: what a compile is called does not change while it runs.
    _known: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check(self.level, "level", int, "0, 1, 2 or 3")
        _check(self.seed, "seed", int, "a whole number")
        _check(self.concurrency, "concurrency", int, "a whole number of 1 or more")
        _check(self.budget, "budget", Budget, "a compilm.Budget, such as Budget(calls=500)")
        if self.concurrency < 1:
            raise UsageError(f"concurrency={self.concurrency!r}: give 1 or more")

    @property
    def predictors(self) -> tuple[Predictor, ...]:
        """The program's predictors as it was given."""
        return shape(self.program)

    @property
    def run(self) -> str:
        """The run's id: the name and a digest of everything that changes the outcome."""
        key = f"run with {self.adapter}"  # a setting of DSPy's, which may change
        if key not in self._known:
            self._known[key] = self._named()
        return str(self._known[key])

    def _named(self) -> str:
        predictors = self.predictors
        spec = {
            "version": __version__,
            "journal": _FORM,
            "program": [p.to_json() for p in predictors],
            "source": source_fingerprint(self.program),
            "metric": [self.metric.name, self.metric.fingerprint],
            "data": [self.described[name]["fingerprint"] for name in self.splits],
            "order": [canonical.digest(list(d.ids)) for d in (self.train, self.val, self.test)],
            "level": self.level,
            "budget": self.budget.to_json(),
            "roles": {role: models.identity(lm) for role, lm in sorted(self.roles.items())},
            "adapter": self.adapter,
            "seed": self.seed,
            "frozen": list(self.frozen),
            "constraints": asdict(self.constraints),
        }
        if self.optimizer is not None:
            spec.update(level=None, optimizer=self.optimizer, options=dict(self.options))
        return f"{self.name}-{canonical.short(canonical.digest(spec), 10)}"

    @property
    def splits(self) -> dict[str, DataSet]:
        """The three parts by name."""
        return {"train": self.train, "val": self.val, "test": self.test}

    @property
    def described(self) -> dict[str, dict[str, Any]]:
        """The three parts by name, size and fingerprint."""
        if "data" not in self._known:
            self._known["data"] = {
                name: {"name": data.name, "size": len(data), "fingerprint": data.fingerprint}
                for name, data in self.splits.items()
            }
        return dict(self._known["data"])

    @property
    def adapter(self) -> str:
        """The class name of the adapter that renders prompts: DSPy's setting, else ChatAdapter."""
        adapter = dspy.settings.adapter
        return type(adapter).__name__ if adapter is not None else "ChatAdapter"

    @property
    def notice(self) -> str:
        """What every output must say about the models, if anything."""
        embedded = any(models.is_embedded(lm) for lm in self.roles.values())
        return models.NOTICE if embedded else ""

    def header(self) -> dict[str, Any]:
        """The body of the `run.started` record."""
        predictors = self.predictors
        return {
            "name": self.name,
            "level": self.level if self.optimizer is None else None,
            "optimizer": self.optimizer,
            "options": dict(self.options),
            "seed": self.seed,
            "budget": self.budget.to_json(),
            "program": {
                "reference": self.reference,
                "fingerprint": fingerprint(predictors),
                "predictors": [p.to_json() for p in predictors],
            },
            "metric": {"name": self.metric.name, "fingerprint": self.metric.fingerprint},
            "data": self.described,
            "models": {role: str(lm.model) for role, lm in sorted(self.roles.items())},
            "notice": self.notice,
            "versions": versions(),
            "split_note": self.split_note,
        }


def _check(value: object, name: str, kind: type, told: str) -> None:
    if not isinstance(value, kind) or isinstance(value, bool):
        raise UsageError(f"{name}={value!r}: give {told}")


def versions() -> dict[str, str]:
    """What the compile ran on."""
    return {
        "compilm": __version__,
        "dspy": str(dspy.__version__),
        "python": platform.python_version(),
    }
