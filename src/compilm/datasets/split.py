"""Splits decided by content: repeated inputs stay together, and growth moves nothing."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any

from .. import canonical
from ..errors import DataError, UsageError
from .data import DataSet
from .load import as_dataset

__all__ = ["Splits", "split"]

_UNLUCKY = 0.01  # how likely an empty split may be when we say how many rows are enough


@dataclass(frozen=True, slots=True)
class Splits:
    """Three data sets that share no group and no input, and a sentence on how they came about.

    >>> from compilm.datasets import load
    >>> rows = [{"text": f"message {number}"} for number in range(100)]
    >>> parts = split(load(rows, inputs=["text"]))
    >>> len(parts.train) + len(parts.val) + len(parts.test)
    100
    """

    train: DataSet
    val: DataSet
    test: DataSet
    note: str


def split(
    data: Any,
    *,
    train: float = 0.4,
    val: float = 0.3,
    test: float = 0.3,
    seed: int = 0,
    stratify: str | None = None,
) -> Splits:
    """Train, val and test, each example placed by a hash of its group, or else of its inputs.

    The hash of (seed, key) is a number in [0, 1): below `test` it goes to test, below
    `test + val` to val, else to train. So inputs that are equal but for case and white space
    stay together, rows that are added, removed or reordered move no other row, and test stays as
    it is when train and val are weighed anew. A group is placed whole, whatever its texts.

    The price: sizes are met in the mean only (n rows at share p: p*n within about
    2*sqrt(n*p*(1-p))). That holds within each value of `stratify` too. It cannot be otherwise:
    if no added row may ever move an old one, a row's place can depend on nothing but that row.
    `stratify` therefore moves nothing; it makes the note say how far the shares of that field's
    values are apart. Where exact shares matter more than stability, make the parts yourself.

    The shares sum to 1; a share of 0 leaves its part empty. Raises UsageError for wrong shares,
    and DataError where there are too few rows to fill a part.

    >>> from compilm.datasets import load
    >>> rows = [{"text": f"message {number}"} for number in range(100)]
    >>> split(load(rows, inputs=["text"]), seed=1).note
    "Split by a hash of the inputs' content with seed 1: train 38 (40% asked), val 33 (30% asked), \
test 29 (30% asked)."
    """
    data = as_dataset(data)
    shares = {"test": test, "val": val, "train": train}
    _check_shares(shares)
    keys = data.groups or data.input_keys()
    placed: dict[str, list[int]] = {part: [] for part in shares}
    for index, key in enumerate(keys):
        placed[_part(seed, key, shares)].append(index)
    _check_filled(data, placed, shares, len(set(keys)))
    note = _note(data, placed, shares, seed)
    if stratify is not None:
        note += _balance(data, placed, shares, stratify)
    parts = {part: data.subset(rows, f"{data.name}[{part}]") for part, rows in placed.items()}
    return Splits(**parts, note=note + ".")


def _part(seed: int, key: str, shares: dict[str, float]) -> str:
    # 13 hex digits fill a float's 52 bits, so that the point is below 1 without rounding
    point = int(canonical.digest(["split", seed, key])[7:20], 16) / 16**13
    given = [part for part, share in shares.items() if share]
    edge = 0.0
    for part in given:
        edge += shares[part]
        if point < edge:
            return part
    return given[-1]  # the shares may sum to a hair below 1


def _check_shares(shares: dict[str, float]) -> None:
    for part, share in shares.items():
        if not 0 <= share <= 1:
            raise UsageError(f"{part}={share!r} is no share: it lies between 0 and 1")
    if not math.isclose(sum(shares.values()), 1, abs_tol=1e-6):
        raise UsageError(f"the shares sum to {sum(shares.values()):g}: they must sum to 1")


def _check_filled(
    data: DataSet, placed: dict[str, list[int]], shares: dict[str, float], distinct: int
) -> None:
    empty = [part for part, share in shares.items() if share and not placed[part]]
    if not empty:
        return
    least = min(share for share in shares.values() if share)
    enough = math.ceil(math.log(_UNLUCKY / len(shares)) / math.log1p(-least))
    what = "groups" if data.groups else "distinct inputs"
    raise DataError(
        f"{distinct} {what} leave {' and '.join(empty)} empty: about {enough} are needed; add "
        "rows, try another seed, or set a share to 0 and give that part its own data",
        file=data.name,
    )


def _note(data: DataSet, placed: dict[str, list[int]], shares: dict[str, float], seed: int) -> str:
    by = "group" if data.groups else "the inputs' content"
    sizes = ", ".join(
        f"{part} {len(placed[part])} ({shares[part]:.0%} asked)"
        for part in ("train", "val", "test")
    )
    return f"Split by a hash of {by} with seed {seed}: {sizes}"


def _balance(
    data: DataSet, placed: dict[str, list[int]], shares: dict[str, float], field: str
) -> str:
    """How far the values' shares in a part lie from those in the whole, for the note."""
    values = [_value(data, index, field) for index in range(len(data))]
    whole = Counter(values)
    widest, absent = 0.0, defaultdict(set)
    for part in (part for part, share in shares.items() if share):
        here = Counter(values[index] for index in placed[part])
        for value, count in whole.items():
            apart = abs(here[value] / len(placed[part]) - count / len(data))
            widest = max(widest, apart)
            if not here[value]:
                absent[part].add(value)
    said = (
        f"; shares of {len(whole)} {field!r} values within {100 * widest:.1f} points of the whole"
    )
    for part, missing in absent.items():
        said += f", {len(missing)} absent from {part}"
    return said


def _value(data: DataSet, index: int, field: str) -> str:
    example = data[index]
    if field not in example:
        where = data.places[index] if data.places and data.places[index] else data.name
        raise DataError(
            f"{data.ids[index]!r} has no such field to stratify by", file=where, field=field
        )
    return canonical.dumps(canonical.plain(example[field]))
