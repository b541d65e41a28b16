"""Writes the examples that compilm.toml names, from a folder or from the Hugging Face hub.

    python prepare.py path/to/banking77     # holds train.jsonl, test.jsonl and labels.json
    python prepare.py                       # asks the hub for PolyAI/banking77

The official test split stays apart: train and val are drawn from the official train split.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

HUB = "PolyAI/banking77"
PARQUET = "refs/convert/parquet"  # the hub's own conversion, where the data set is still a script
SHARES = {"train": 10, "val": 5, "test": 10}  # examples for each label

Row: TypeAlias = dict[str, str]


class Unreachable(Exception):
    """Neither a folder nor the hub gave the data set; the message says what to do."""


class Official(NamedTuple):
    """The data set as published: its two splits, each row with id, text and intent."""

    train: list[Row]
    test: list[Row]
    labels: list[str]


def read_folder(folder: Path) -> Official:
    """The data set from JSONL files with the columns id, text and label."""
    absent = [n for n in ("train.jsonl", "test.jsonl", "labels.json") if not (folder / n).is_file()]
    if absent:
        raise Unreachable(
            f"{str(folder)!r} has no {' and no '.join(absent)}: name the folder that holds "
            "train.jsonl, test.jsonl and labels.json, or give none to ask the Hugging Face hub"
        )
    labels = json.loads((folder / "labels.json").read_text(encoding="utf-8"))
    train, test = (list(_lines(folder / f"{part}.jsonl")) for part in ("train", "test"))
    return Official(train, test, labels)


def read_hub() -> Official:
    """The data set from the Hugging Face hub, by the `datasets` library."""
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise Unreachable(
            "'datasets' is needed to ask the hub: pip install 'compilm[data]', or name a folder "
            "that holds train.jsonl, test.jsonl and labels.json"
        ) from error
    return ask_hub(load_dataset)


def ask_hub(load_dataset: Callable[..., Any]) -> Official:
    """The data set as the loader gives it: the newest revision, else the hub's conversion."""
    reasons = []
    for revision in (None, PARQUET):
        try:
            return from_hub(load_dataset(HUB, revision=revision))
        except Exception as error:  # border: the hub and its cache raise what they like
            reasons.append(f"{type(error).__name__}: {error}")
    raise Unreachable(
        f"the hub did not give {HUB!r} ({'; then '.join(reasons)}): check the network, or name a "
        "folder that holds train.jsonl, test.jsonl and labels.json"
    )


def from_hub(splits: Mapping[str, Any]) -> Official:
    """The data set from loaded splits, whose labels are numbers with names."""
    names: list[str] = splits["train"].features["label"].names
    train, test = (
        [
            {"id": f"b77-{part}-{at}", "text": row["text"], "intent": names[row["label"]]}
            for at, row in enumerate(splits[part])
        ]
        for part in ("train", "test")
    )
    return Official(train, test, names)


def sample(official: Official, shares: Mapping[str, int] = SHARES) -> dict[str, list[Row]]:
    """So many rows for each label and split, chosen by a hash of their ids.

    A text that stands in the data more than once, but for case and spaces, is taken once.
    """
    seen: set[str] = set()
    test = _take(official.test, seen, (("test", shares["test"]),))
    rest = (("train", shares["train"]), ("val", shares["val"]))
    return {**_take(official.train, seen, rest), **test}


def write(parts: Mapping[str, Sequence[Row]], labels: Sequence[str], folder: Path) -> None:
    """One JSONL file a split, and the list of labels."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, rows in parts.items():
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / f"{part}.jsonl").write_text(text, encoding="utf-8", newline="\n")
    (folder / "labels.json").write_text(json.dumps(labels, indent=1) + "\n", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Write the Banking77 examples.")
    parser.add_argument("folder", nargs="?", type=Path, help="holds train.jsonl, test.jsonl, ...")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("data"))
    asked = parser.parse_args(arguments)
    try:
        official = read_folder(asked.folder) if asked.folder else read_hub()
    except Unreachable as error:
        print(error, file=sys.stderr)
        return 3
    parts = sample(official)
    write(parts, official.labels, asked.out)
    print(*(f"{part} {len(rows)}" for part, rows in parts.items()), sep=", ")
    return 0


def _lines(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            yield {"id": row["id"], "text": row["text"], "intent": row["label"]}


def _take(
    rows: Iterable[Row], seen: set[str], wanted: Sequence[tuple[str, int]]
) -> dict[str, list[Row]]:
    """Fills the wanted parts in turn, label by label, with texts not yet seen."""
    parts: dict[str, list[Row]] = {part: [] for part, _ in wanted}
    taken: Counter[str] = Counter()
    for row in sorted(rows, key=lambda row: hashlib.sha256(row["id"].encode()).digest()):
        text = " ".join(row["text"].lower().split())
        edge = 0
        for part, size in wanted:
            edge += size
            if taken[row["intent"]] < edge and text not in seen:
                seen.add(text)
                parts[part].append(row)
                taken[row["intent"]] += 1
                break
    return parts


if __name__ == "__main__":
    sys.exit(main())
