"""Data sets: rows from anywhere become examples with declared inputs, split and checked."""

from .data import DataSet
from .leaks import NEAR_ROWS, Duplicate, Place, check_leaks, duplicates
from .load import as_dataset, load
from .odd import Odd, odd_labels
from .rows import Row, read_rows
from .split import Splits, split

__all__ = [
    "NEAR_ROWS",
    "DataSet",
    "Duplicate",
    "Odd",
    "Place",
    "Row",
    "Splits",
    "as_dataset",
    "check_leaks",
    "duplicates",
    "load",
    "odd_labels",
    "read_rows",
    "split",
]
