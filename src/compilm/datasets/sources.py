"""Where rows come from: a file, a hub name, a Hugging Face data set, a frame, or a list."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import DataError, UsageError
from .closest import listed, meant
from .rows import SUFFIXES, Row, need, read_rows
from .values import python

__all__ = ["Source", "open_source"]

_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True, slots=True)
class Source:
    """Rows not yet read, what errors call their place, and a name for the data set."""

    rows: Iterator[Row]
    file: str
    name: str
    is_file: bool = False


def open_source(source: Any, *, split: str | None, columns: Collection[str] | None) -> Source:
    """The rows behind whatever was handed over; UsageError where it holds no rows."""
    if isinstance(source, (str, os.PathLike)):
        return _named(os.fspath(source), split, columns)
    if isinstance(source, Mapping) and source and all(map(_is_hub_set, source.values())):
        return _hub_set(_pick(source, split), columns)
    if split is not None:
        raise UsageError(
            f"split={split!r} picks from a hub name or a DatasetDict, and this is none"
        )
    if _is_hub_set(source):
        return _hub_set(source, columns)
    if hasattr(source, "itertuples") and hasattr(source, "columns"):
        return Source(_frame(source, columns), "frame", "frame")
    if isinstance(source, Iterable) and not isinstance(source, (Mapping, bytes)):
        return Source(_list(source), "list", "list")
    raise UsageError(
        f"a {type(source).__name__} holds no rows: give a path ({', '.join(SUFFIXES)}), a hub name "
        "'org/name', a Hugging Face data set, a pandas frame, or a list of dicts or examples"
    )


def _named(text: str, split: str | None, columns: Collection[str] | None) -> Source:
    path = Path(text)
    if _is_hub_name(text, path):
        return _hub_set(_pick(_from_hub(text, split), split), columns, name=text)
    if split is not None:
        raise UsageError(f"split={split!r} picks from a hub name, and {text!r} is a file")
    return Source(read_rows(path, columns=columns), text, path.name, is_file=True)


def _is_hub_name(text: str, path: Path) -> bool:
    """`org/name`, unless a file, or a folder it could stand in, says that a file was meant."""
    if os.path.exists(text) or path.suffix.lower() in SUFFIXES or path.parent.is_dir():
        return False
    return _HUB_NAME.fullmatch(text) is not None


def _from_hub(name: str, split: str | None) -> Any:
    library = need("datasets", purpose=f"load {name!r} from the Hugging Face hub")
    try:
        return library.load_dataset(name, split=split)
    except Exception as error:  # border: the hub, its cache and the builders raise what they like
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataError(
            f"there is no such file, and as a hub name it cannot be loaded ({reason}); check the "
            "spelling, the network and the split, or give the path of a local file",
            file=name,
        ) from error


def _pick(source: Any, split: str | None) -> Any:
    if not isinstance(source, Mapping):
        return source
    if split is None:
        raise UsageError(f"name one split with split=...: it has {listed(source)}")
    if split not in source:
        hint = meant(split, source)
        raise UsageError(f"there is no split {split!r}: it has {listed(source)}.{hint}")
    return source[split]


def _is_hub_set(source: Any) -> bool:
    return hasattr(source, "features") and hasattr(source, "column_names")


def _hub_set(source: Any, columns: Collection[str] | None, name: str = "") -> Source:
    name = name or getattr(source.info, "dataset_name", None) or "dataset"
    return Source(_hub_rows(source, columns), name, name)


def _hub_rows(source: Any, columns: Collection[str] | None) -> Iterator[Row]:
    if columns is not None and source.column_names is not None:
        source = source.select_columns([n for n in source.column_names if n in columns])
    features = source.features or {}
    for line, values in enumerate(source, start=1):
        yield Row(line, {n: _class_names(python(v), features.get(n)) for n, v in values.items()})


def _class_names(value: Any, feature: Any) -> Any:
    """`value` with numbers of classes (ClassLabel) replaced by their names; -1 means no label."""
    if hasattr(feature, "int2str"):
        return None if value is None or value == -1 else feature.int2str(value)
    if isinstance(feature, Mapping) and isinstance(value, dict):
        return {name: _class_names(item, feature.get(name)) for name, item in value.items()}
    if isinstance(value, list) and hasattr(feature, "feature"):
        return [_class_names(item, feature.feature) for item in value]
    return value


def _frame(frame: Any, columns: Collection[str] | None) -> Iterator[Row]:
    names = list(frame.columns)
    if not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        message = f"every column needs a name of its own, in text: {listed(map(str, names))}"
        raise DataError(message, file="frame")
    for line, cells in enumerate(frame.itertuples(index=False, name=None), start=1):
        values = zip(names, cells, strict=True)
        yield Row(
            line,
            {
                n: python(v, nan_is_missing=True)
                for n, v in values
                if columns is None or n in columns
            },
        )


def _list(source: Iterable[Any]) -> Iterator[Row]:
    for line, item in enumerate(source, start=1):
        if not hasattr(item, "items"):
            message = f"{item!r:.60} (a {type(item).__name__}) is neither a dict nor an example"
            raise DataError(message, file="list", line=line)
        values = dict(item.items())
        if not all(isinstance(name, str) for name in values):
            message = f"every field needs a name in text: {listed(map(str, values))}"
            raise DataError(message, file="list", line=line)
        yield Row(line, values)
