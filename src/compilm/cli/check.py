"""Check program, metric and data, and run two examples on the embedded engine: nothing is spent."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..config import Config
from ..errors import ContractError
from .labels import listed, odd_labels_of
from .options import configuration
from .out import Out
from .target import Parts, metric_of, parts_of, predictors_of, program_of

if TYPE_CHECKING:
    import dspy

    from ..metrics import Metric

__all__ = ["Check", "arguments", "run"]

EXAMPLES = """Lines start with ok, !! (worth knowing) or xx (a compile would not do); exit code 3
where one starts with xx."""

_GOLD, _DRY = 5, 2


@dataclass(frozen=True, slots=True)
class Check:
    """One thing checked: `sign` is `ok`, `!!` or `xx`."""

    sign: str
    what: str
    text: str


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's options: none but every verb's."""
    parser.set_defaults(verb="check")


def run(args: argparse.Namespace, out: Out) -> int:
    """Check, and tell each finding as it is found."""
    config = configuration(args)
    found: list[Check] = []
    for one in _checks(config):
        found.append(one)
        out.mark(one.sign, f"{one.what:9}{one.text}")
    broken = sum(one.sign == "xx" for one in found)
    out.emit({"checks": found, "broken": broken})
    return 3 if broken else 0


def _checks(config: Config) -> Iterator[Check]:
    """Everything that can be checked; what needs a thing that is broken is left out."""
    program = metric = parts = None
    calls = _Calls()
    try:
        with calls.counted():
            program = program_of(config)
        yield from _program(program, calls)
    except ContractError as error:
        yield Check("xx", "program", str(error))
    try:
        metric = metric_of(config)
        yield Check("ok", "metric", f"{metric.name} can be called")
    except ContractError as error:
        yield Check("xx", "metric", str(error))
    if program is None:
        return
    try:
        parts = parts_of(config, program)
        yield from _data(parts)
        yield from _labels(program, parts)
    except ContractError as error:
        yield Check("xx", "data", str(error))
    if parts is None:
        return
    if metric is not None:
        yield _gold(metric, parts)
    yield _dry_run(program, parts)


def _program(program: dspy.Module, calls: _Calls) -> Iterator[Check]:
    from ..programs.predictors import predictors

    predictors(program)  # raises where there is nothing that could be compiled
    shown = "; ".join(
        f"{one['path']}: {', '.join(one['inputs'])} -> {', '.join(one['outputs'])}"
        for one in predictors_of(program)
    )
    yield Check("ok", "program", f"{type(program).__name__} builds; {shown}")
    if calls.count:
        told = f"{calls.count} model calls while it was imported and built: move them into forward"
        yield Check("!!", "program", told)


def _data(parts: Parts) -> Iterator[Check]:
    from ..datasets import NEAR_ROWS, check_leaks, duplicates

    named = parts.named()
    sizes = ", ".join(f"{name} {len(data)}" for name, data in named.items())
    labels = [name for name in parts.train.fields if name not in parts.train.inputs]
    shape = f"{', '.join(parts.train.inputs)} -> {', '.join(labels) or 'no labels'}"
    yield Check("ok", "data", f"{sizes}; {shape}")
    yield Check("ok", "split", parts.note)
    for name in ("val", "test"):
        if name not in named:
            told = f"no {name} examples; compile takes them from the others and says so"
            yield Check("!!", "split", told)
    leaks = check_leaks(named, allow=True)
    bad = [one for one in leaks if one.kind == "exact" and one.b.dataset == "test"]
    if bad:
        yield Check("xx", "leaks", f"{len(bad)} inputs of test stand elsewhere: {listed(bad)}")
    near = [one for one in leaks if one not in bad]
    if near:
        yield Check("!!", "leaks", f"{len(near)} rows resemble one elsewhere: {listed(near)}")
    if max(map(len, named.values())) > NEAR_ROWS:
        told = f"near repeats were looked for in the first {NEAR_ROWS:,} rows of a split only"
        yield Check("!!", "leaks", told)
    if not leaks:
        yield Check("ok", "leaks", "no row of one split stands in another")
    within = [one for data in named.values() for one in duplicates(data)]
    if within:
        yield Check("!!", "repeats", f"{len(within)} rows repeat another: {listed(within)}")


def _labels(program: dspy.Module, parts: Parts) -> Iterator[Check]:
    told = odd_labels_of(program, parts.named().values())
    if told:
        yield Check("!!", "labels", told)


def _gold(metric: Metric, parts: Parts) -> Check:
    """Score the labels as if they were predictions, where the labels say enough for that."""
    import dspy

    scores: list[float] = []
    with dspy.context(lm=_embedded()):
        for example, id_ in zip(parts.train[:_GOLD], parts.train.ids, strict=False):
            gold = dspy.Prediction(**dict(example.labels().items()))
            try:
                score = metric.score(example, gold, example_id=id_)
            except Exception as error:  # border: the user's metric, which may know no labels
                told = f"the labels as predictions could not be scored: {error}"
                return Check("!!", "gold", told)
            if score.is_missing:
                return Check("!!", "gold", f"{id_!r} has no score: {score.missing}")
            scores.append(score.value)
    mean = sum(scores) / len(scores)
    told = f"the labels of {len(scores)} examples, taken as predictions, score {mean:.3f}"
    return Check("ok" if mean > 0 else "!!", "gold", told)


def _dry_run(program: dspy.Module, parts: Parts) -> Check:
    """Run examples with every model replaced by the embedded engine."""
    import dspy

    from ..programs.copying import copied
    from ..programs.models import exchange

    engine, calls = _embedded(), _Calls()
    tried = copied(program)
    exchange(tried, lambda _: engine)
    count = min(_DRY, len(parts.train))
    try:
        with dspy.context(lm=engine), calls.counted():
            for example in parts.train[:count]:
                tried(**dict(example.inputs().items()))
    except Exception as error:  # border: the user's program
        told = f"{type(error).__name__}: {error}"
        return Check("xx", "dry run", f"the program fails on the embedded engine: {told}")
    told = f"{count} examples on the embedded engine, {calls.count / count:g} model calls for each"
    return Check("ok" if calls.count else "!!", "dry run", told)


def _embedded() -> dspy.LM:
    from ..assemble import roles_from
    from ..config import RoleSettings

    return roles_from({"default": RoleSettings(model=("embedded/base",))})["default"]


class _Calls:
    """Counts the calls of models that DSPy makes."""

    def __init__(self) -> None:
        self.count = 0

    def counted(self) -> Any:
        """A context in which calls are counted."""
        import dspy
        from dspy.utils.callback import BaseCallback

        calls = self

        class Counter(BaseCallback):
            def on_lm_start(self, *_: Any, **__: Any) -> None:
                calls.count += 1

        return dspy.context(callbacks=[*(dspy.settings.callbacks or []), Counter()])
