"""A configured target as objects: its program, metric, splits and models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import Config, SplitSettings
from ..errors import ConfigError, MetricError

if TYPE_CHECKING:
    import dspy

    from ..datasets import DataSet
    from ..metrics import Metric

__all__ = [
    "Parts",
    "metric_from",
    "metric_of",
    "parts_of",
    "predictors_of",
    "program_from",
    "program_of",
    "roles_of",
    "rows_of",
]


@dataclass(frozen=True, slots=True)
class Parts:
    """The examples of a target; `note` says how they were parted, and what nobody had decided."""

    train: DataSet
    val: DataSet | None
    test: DataSet | None
    note: str

    def named(self) -> dict[str, DataSet]:
        """The splits that there are, by name."""
        all_ = {"train": self.train, "val": self.val, "test": self.test}
        return {name: data for name, data in all_.items() if data is not None}


def program_of(config: Config) -> dspy.Module:
    """A fresh instance of the configured program; `ConfigError` where none is configured."""
    if config.program is None:
        if config.targets:
            named = ", ".join(config.targets)
            raise ConfigError(f"which target? {config.file} has {named}: give --target NAME")
        raise ConfigError(
            'no program: set program = "module:attr" in compilm.toml (compilm init writes one), '
            "COMPILM_PROGRAM or --set program=..."
        )
    return program_from(config.program, config.args, config.base("program"))


def program_from(reference: str, args: Mapping[str, Any], base: Path) -> dspy.Module:
    """The program that `module:attr` or `file.py:attr` means, looked for from `base`."""
    from ..programs.reference import build, locate

    return build(locate(reference, base), args)


def metric_of(config: Config) -> Metric:
    """The configured metric; `ConfigError` where none is configured."""
    if config.metric is None:
        raise ConfigError(
            'no metric: set metric = "exact(answer)" or "module:function" in compilm.toml, '
            "COMPILM_METRIC or --set metric=..."
        )
    return metric_from(config.metric, config.base("metric"))


def metric_from(text: str, base: Path) -> Metric:
    """A built-in metric as `exact(answer)`, or the function that a reference means."""
    from ..metrics import as_metric
    from ..programs.reference import locate

    if ":" not in text:
        return as_metric(text)
    found = locate(text, base)
    if not callable(found):
        raise MetricError(f"{text!r} is {found!r}, which cannot be called as a metric")
    return as_metric(found)


def predictors_of(program: dspy.Module) -> list[dict[str, Any]]:
    """Path, input names and output names of each predictor."""
    return [
        {
            "path": path,
            "inputs": list(one.signature.input_fields),
            "outputs": list(one.signature.output_fields),
        }
        for path, one in program.named_predictors()
    ]


def roles_of(config: Config) -> dict[str, dspy.LM]:
    """The configured models by role; the embedded engine where none is configured."""
    from ..assemble import roles_from
    from ..prices import Prices

    return dict(roles_from(config.lm, config.runtime, Prices(config.prices)))


def rows_of(path: Path) -> list[dict[str, Any]]:
    """The rows of a data file, as they are."""
    from ..datasets import read_rows

    return [dict(row.values) for row in read_rows(path)]


def parts_of(config: Config, program: dspy.Module) -> Parts:
    """The configured examples: one file split by content, or one file per split."""
    from ..datasets import split

    data, note = config.data, ""
    named = {"train": data.train, "val": data.val, "test": data.test}
    if data.path is None and data.train is None:
        raise ConfigError(
            'no data: set [data] path = "rows.jsonl" (or train =, val =, test =) in compilm.toml, '
            "COMPILM_DATA_PATH or --set data.path=..."
        )
    read = {name: _read(config, program, path, name) for name, path in named.items() if path}
    if data.path is None and "val" in read:
        return Parts(read["train"], read["val"], read.get("test"), "Split as the files are.")
    whole = read.get("train") or _read(config, program, str(data.path), None)
    shares = data.split or (SplitSettings(0.6, 0.4, 0.0) if "test" in read else SplitSettings())
    if data.split is None:
        note = "no data.split is configured, so compilm split the rows. "
    made = split(
        whole,
        train=shares.train,
        val=shares.val,
        test=shares.test,
        seed=shares.seed,
        stratify=data.stratify,
    )
    return Parts(
        made.train, made.val or None, read.get("test", made.test or None), note + made.note
    )


def _read(config: Config, program: dspy.Module, path: str, name: str | None) -> DataSet:
    from ..datasets import load

    data = config.data
    return load(
        path,
        inputs=data.inputs or _guessed(program, path),
        id=data.id,
        group=data.group,
        labels={field: list(values) for field, values in data.labels.items()},
        limit=data.limit,
        name=name,
    )


def _guessed(program: dspy.Module, path: str) -> list[str]:
    """The fields of the data that the program is given, where nobody said which these are."""
    from itertools import islice

    from ..datasets import read_rows
    from ..runtime.http.schema import input_names

    wanted = input_names(program)
    fields = [name for row in islice(read_rows(path), 1) for name in row.values]
    found = [name for name in wanted if name in fields]
    if not found:
        raise ConfigError(
            f"data.inputs is not set, and none of the program's inputs ({', '.join(wanted)}) is a "
            f"field of {path} ({', '.join(fields)}): set data.inputs"
        )
    return found
