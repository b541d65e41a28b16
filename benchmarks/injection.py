"""Screening for injected text: attacks that are seen, and clean texts that are taken for one.

    python -m benchmarks.injection DATA [--half test|dev]

DATA is a folder with `prompt-injection/attacks.jsonl` and `clean_contexts.jsonl` (BIPIA) and
`nq-passages/passages.jsonl`. The signs were written looking at the *dev* half of the attacks and
passages; the halves are those of `benchmarks.redaction`. Each attack is put at the start, in the
middle and at the end of clean passages, as a sentence of its own.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.redaction import half_of

from compilm.guardrails.injection.signs import screened
from compilm.guardrails.sentences import sentences

THRESHOLDS = (0.5, 0.55, 0.6, 0.7, 0.9)


def rows_of(file: Path, half: str) -> list[dict[str, Any]]:
    """The rows of a file in one half."""
    rows = [json.loads(line) for line in file.read_text("utf-8").rstrip("\n").split("\n")]
    return [row for row in rows if half_of(row["id"]) == half]


def poisoned(passage: str, attack: str, place: str) -> str:
    """The passage with the attack as one of its sentences."""
    told = sentences(passage)
    at = {"start": 0, "middle": len(told) // 2, "end": len(told)}[place]
    return " ".join([*told[:at], attack, *told[at:]])


def share(texts: Sequence[str], least: float) -> float:
    """How many of the texts are flagged."""
    return sum(screened(text) >= least for text in texts) / len(texts)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--half", choices=("test", "dev"), default="test")
    asked = parser.parse_args()
    attacks = rows_of(asked.data / "prompt-injection" / "attacks.jsonl", asked.half)
    tables = rows_of(asked.data / "prompt-injection" / "clean_contexts.jsonl", asked.half)
    passages = rows_of(asked.data / "nq-passages" / "passages.jsonl", asked.half)
    inside = [
        poisoned(passages[number % len(passages)]["text"], attack["instruction"], place)
        for number, attack in enumerate(attacks)
        for place in ("start", "middle", "end")
    ]
    print(
        f"{len(attacks)} attacks, {len(tables)} tables, {len(passages)} passages, {asked.half} half"
    )
    print("\n| threshold | attacks alone | in passages | clean tables | clean passages |")
    print("| ---: | ---: | ---: | ---: | ---: |")
    for least in THRESHOLDS:
        cells = (
            share([each["instruction"] for each in attacks], least),
            share(inside, least),
            share([each["context"] for each in tables], least),
            share([each["text"] for each in passages], least),
        )
        print(f"| {least} | " + " | ".join(f"{each:.3f}" for each in cells) + " |")


if __name__ == "__main__":
    main()
