"""Which example is meant: DSPy hands programs the inputs only, and metrics the example itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import dspy

from ...datasets import DataSet

__all__ = ["Cell", "Cells"]


class Cell(NamedTuple):
    """An example by its split and its id there."""

    split: str
    example: str


UNKNOWN = Cell("other", "")


class Cells:
    """Finds examples of the given splits again, by identity, which DSPy keeps.

    >>> from compilm.datasets import as_dataset
    >>> data = as_dataset([dspy.Example(text="a", label="b").with_inputs("text")])
    >>> cells = Cells({"val": data})
    >>> cells.of(data[0]) == cells.called_with({"text": data[0].text}) == ("val", data.ids[0])
    True
    """

    def __init__(self, splits: Mapping[str, DataSet]) -> None:
        self._examples: dict[int, Cell] = {}
        self._inputs: dict[tuple[Any, ...], Cell] = {}
        self._kept: dict[Cell, dspy.Example] = {}  # the objects that the ids below are of
        for split, data in splits.items():
            for id_, example in zip(data.ids, data, strict=True):
                cell = Cell(split, id_)
                self._kept[cell] = example
                self._examples[id(example)] = cell
                self._inputs.setdefault(_key(dict(example.inputs())), cell)

    def of(self, example: dspy.Example) -> Cell:
        """The cell of an example that a metric was given."""
        return self._examples.get(id(example), UNKNOWN)

    def learned_from(self, cell: Cell) -> dspy.Example | None:
        """The example of a train cell, which demonstrations chosen for it must not be."""
        return self._kept.get(cell) if cell.split == "train" else None

    def called_with(self, inputs: Mapping[str, Any]) -> Cell:
        """The first cell with these inputs."""
        return self._inputs.get(_key(inputs), UNKNOWN)


def _key(inputs: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(sorted((name, id(value)) for name, value in inputs.items()))
