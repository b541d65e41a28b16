"""Rows that stand twice, exactly or nearly, and whether held-out data was seen in training."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ..errors import DataError, UsageError
from .data import DataSet
from .near import near_pairs
from .split import Splits

__all__ = ["NEAR_ROWS", "Duplicate", "Place", "check_leaks", "duplicates"]

# Near duplicates are looked for among so many rows of a data set: those of three such sets take
# some 20 s, and those of a gigabyte more memory than most machines have.
NEAR_ROWS = 20_000

_HELD_OUT = "test"
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Place:
    """Where an example stands: the data set's name, the id, and file and line where known.

    >>> print(Place("train", "b77-3", "train.jsonl:4"))
    train 'b77-3' (train.jsonl:4)
    """

    dataset: str
    id: str
    where: str = ""

    def __str__(self) -> str:
        return f"{self.dataset} {self.id!r}" + (f" ({self.where})" if self.where else "")


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Two examples with the same inputs, or nearly: `b` repeats the earlier `a`.

    >>> print(Duplicate("near", Place("train", "3"), Place("test", "9"), 0.85))
    test '9' is 85% like train '3'
    """

    kind: Literal["exact", "near"]
    a: Place
    b: Place
    similarity: float

    def __str__(self) -> str:
        if self.kind == "exact":
            return f"{self.b} repeats {self.a}"
        return f"{self.b} is {self.similarity:.0%} like {self.a}"


def duplicates(*named: DataSet, near: float = 0.8) -> tuple[Duplicate, ...]:
    """The examples whose inputs repeat earlier ones, within and across the data sets.

    Exact: equal but for case, white space and composed accents. Each repetition is named once,
    with the first example of its kind. Near: the Jaccard similarity of the sets of three-word
    runs is at least `near` (0 < near <= 1); named once per data set it resembles, with the most
    similar earlier example. Exact ones come first, then the near ones, most alike first. On
    texts that hundreds of others share word for word, near ones are looked for among the first
    hundred of each data set only, and of a large data set among the first `NEAR_ROWS` rows.

    >>> from compilm.datasets import load
    >>> train = load([{"q": "Where is my card?"}], inputs=["q"], name="train")
    >>> test = load([{"q": "where is  MY card?"}], inputs=["q"], name="test")
    >>> [(found.kind, found.b.dataset) for found in duplicates(train, test)]
    [('exact', 'test')]
    """
    if not 0 < near <= 1:
        raise UsageError(f"near={near!r} is no similarity: it lies above 0 and up to 1")
    names = _distinct([data.name for data in named])
    places: list[Place] = []
    keys: list[str] = []
    texts: dict[int, str] = {}
    owners: list[int] = []
    for owner, data in enumerate(named):
        where = data.places or ("",) * len(data)
        places += [Place(names[owner], key, at) for key, at in zip(data.ids, where, strict=True)]
        keys += data.input_keys()
        texts.update(enumerate(data[:NEAR_ROWS].input_texts(), start=len(owners)))
        owners += [owner] * len(data)
    first: dict[str, int] = {}
    exact, unique = [], []
    for index, key in enumerate(keys):
        if first.setdefault(key, index) == index:
            unique.append(index)
        else:
            exact.append(Duplicate("exact", places[first[key]], places[index], 1.0))
    looked = [index for index in unique if index in texts]
    alike = [
        Duplicate("near", places[looked[pair.first]], places[looked[pair.second]], pair.similarity)
        for pair in near_pairs([texts[i] for i in looked], [owners[i] for i in looked], near)
    ]
    return (*exact, *sorted(alike, key=lambda found: -found.similarity))


def check_leaks(
    splits: Splits | Mapping[str, DataSet], *, allow: bool = False, near: float = 0.8
) -> tuple[Duplicate, ...]:
    """What stands in two parts at once: near duplicates, and exact ones that do not touch test.

    An input of "test" that stands exactly in another part makes the score on test too good, so it
    is a DataError that names both places, unless `allow` returns it with the others.

    >>> from compilm.datasets import load
    >>> rows = [{"q": "Where is my card?"}]
    >>> parts = {name: load(rows, inputs=["q"]) for name in ("train", "test")}
    >>> len(check_leaks(parts, allow=True))
    1
    """
    parts = splits
    if isinstance(parts, Splits):
        parts = {"train": parts.train, "val": parts.val, "test": parts.test}
    held_last = sorted(parts, key=lambda name: name == _HELD_OUT)
    found = duplicates(*(replace(parts[name], name=name) for name in held_last), near=near)
    across = tuple(each for each in found if each.a.dataset != each.b.dataset)
    leaks = [each for each in across if each.kind == "exact" and each.b.dataset == _HELD_OUT]
    if leaks and not allow:
        raise DataError(_leak_message(leaks))
    return across


def _leak_message(leaks: Sequence[Duplicate]) -> str:
    by_part: defaultdict[str, int] = defaultdict(int)
    for leak in leaks:
        by_part[leak.a.dataset] += 1
    counts = " and ".join(f"{count} in {part}" for part, count in by_part.items())
    shown = "; ".join(str(leak) for leak in leaks[:_SHOWN])
    more = f"; and {len(leaks) - _SHOWN} more" if len(leaks) > _SHOWN else ""
    return (
        f"inputs of {_HELD_OUT} also stand elsewhere ({counts}), so its score would be too good: "
        f"{shown}{more}. "
        "Remove them on one side, split anew, or, if the set is published so, allow them: "
        "allow=True here, allow_leaks=True in a compile"
    )


def _distinct(names: Sequence[str]) -> list[str]:
    """The names, a repeated one with its number: places must tell data sets apart."""
    return [
        name if names.index(name) == at else f"{name} ({names[: at + 1].count(name)})"
        for at, name in enumerate(names)
    ]
