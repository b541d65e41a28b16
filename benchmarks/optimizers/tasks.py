"""Tasks on real data: a program, a metric, and examples, of which each seed draws others to learn.

b77-10, b77-25, b77-77   Banking77: one of 10, 25, 77 intents, with their real names
desk-10                  the messages of b77-10, with labels that say nothing: desk_1 to desk_10
desk-25in5               the messages of b77-25, five intents to each of five such desks
nlupp                    NLU++, banking: all intents of a message, and five details copied from it
claims                   the claims desk of the examples: three predictors, a table, graded scores

Banking77 and NLU++ are read from a folder (`--data`, or COMPILM_DATA) that holds
`banking77/train.jsonl`, `banking77/test.jsonl` and `nlupp/banking.jsonl`. Test examples are the
same for every seed; training and validation examples are drawn by the seed, from the official
train split of Banking77, and from what the test examples leave of the other two.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias

import dspy

from compilm.errors import DataError, UsageError
from compilm.programs.reference import locate
from compilm.randomness import rng

from .programs import Classifier, Details, Reader

__all__ = ["DATA", "TASKS", "Task", "f1", "missing", "task"]

DATA: Final = "COMPILM_DATA"
CLAIMS: Final = Path(__file__).parents[2] / "examples" / "claims"
SLOTS: Final = tuple(Details.output_fields)
_NONE: Final = "none"

Row: TypeAlias = Mapping[str, Any]
Examples: TypeAlias = list[dspy.Example]
Metric: TypeAlias = Callable[..., Any]


@dataclass(frozen=True)
class Task:
    """A task as one seed draws it. `metric` gives a number, `metric_with_feedback` says why too.

    `steps` are the predictors of the program, none of which runs twice in one execution.
    """

    name: str
    seed: int
    train: Examples
    val: Examples
    test: Examples
    make: Callable[[], dspy.Module]
    metric: Metric
    metric_with_feedback: Metric

    @property
    def steps(self) -> tuple[str, ...]:
        return tuple(path for path, _ in self.program().named_predictors())

    def program(self) -> dspy.Module:
        """The program to optimize, with signatures of its own.

        There are optimizers that write into the signature they are given, which other programs
        share: each program here has classes that no other one has.
        """
        program = self.make()
        for _, predictor in program.named_predictors():
            signature = predictor.signature
            predictor.signature = signature.with_instructions(signature.instructions)
        return program


@dataclass(frozen=True, slots=True)
class _Kind:
    """How a task comes to be from a seed, and the files of the data folder that it needs."""

    make: Callable[[str, int], Task]
    files: tuple[str, ...] = ()


def task(name: str, seed: int) -> Task:
    """The task of that name as the seed draws it; `missing` says whether its data are there.

    >>> claims = task("claims", seed=0)
    >>> len(claims.train), len(claims.val), len(claims.test), claims.steps
    (100, 100, 200, ('triage', 'slots', 'reply'))
    """
    lacks = missing(name)
    if lacks:
        raise DataError(f"the task {name!r} cannot run: {lacks}")
    return TASKS[name].make(name, seed)


def missing(name: str) -> str:
    """What a task lacks to run, in words; an empty text if nothing.

    >>> missing("claims")
    ''
    """
    if name not in TASKS:
        raise UsageError(f"{name!r} is no task: give some of {', '.join(TASKS)}")
    if not TASKS[name].files:
        return ""
    folder = os.environ.get(DATA)
    if not folder:
        return f"it needs data: name their folder by --data or in {DATA}"
    absent = [file for file in TASKS[name].files if not (Path(folder) / file).is_file()]
    return f"{folder!r} has no {', no '.join(absent)}" if absent else ""


def _banking(
    name: str, seed: int, *, intents: int, desks: int, sizes: tuple[int, int, int]
) -> Task:
    """Intents are the first of one fixed shuffle; `desks` gives how many they are folded into."""
    every = _read("banking77/train.jsonl")
    known = sorted({row["label"] for row in every})
    chosen = rng(0, "banking77").sample(known, len(known))[:intents]
    labels = dict(zip(chosen, chosen, strict=True))
    if desks:
        labels = {label: f"desk_{1 + at % desks}" for at, label in enumerate(chosen)}
    told = "Choose the desk for a" if desks else "Classify a"
    make = partial(
        Classifier, sorted(set(labels.values()), key=_counted), f"{told} bank customer's message."
    )
    seen: set[str] = set()
    here = [row for row in _read("banking77/test.jsonl") if row["label"] in labels]
    test = _evenly(_distinct(here, "text", seen), sizes[2], seed=0)
    pool = [row for row in every if row["label"] in labels]
    drawn = _evenly(_distinct(pool, "text", seen), sizes[0] + sizes[1], seed=seed)

    def examples(rows: Iterable[Row]) -> Examples:
        return [
            dspy.Example(message=row["text"], label=labels[row["label"]]).with_inputs("message")
            for row in rows
        ]

    train, val = (
        rng(seed, "order").sample(part, len(part))
        for part in (drawn[: sizes[0]], drawn[sizes[0] :])
    )
    return Task(
        name, seed, examples(train), examples(val), examples(test), make, _right, _right_with_words
    )  # fmt: skip


def _counted(label: str) -> tuple[int, str]:
    """By the number in a label, so that desk_2 stands before desk_10."""
    return int("0" + "".join(filter(str.isdigit, label))), label


def _right(gold: Any, pred: Any, trace: Any = None) -> float:
    return float(getattr(pred, "label", None) == gold.label)


def _right_with_words(
    gold: Any,
    pred: Any,
    trace: Any = None,  # DSPy and GEPA give five arguments, by these names
    pred_name: str | None = None,
    pred_trace: Any = None,
) -> dspy.Prediction:
    if _right(gold, pred):
        return dspy.Prediction(score=1.0, feedback="Correct.")
    given = getattr(pred, "label", None)
    told = f"`label` should be {gold.label!r}, not {given!r}."
    return dspy.Prediction(score=0.0, feedback=told)


def _nlupp(name: str, seed: int, *, sizes: tuple[int, int, int]) -> Task:
    """Many messages have several intents, so the score is field by field: F1 of the intents, F1 of
    the details, and the mean of both."""
    rows = list(_distinct(_read("nlupp/banking.jsonl"), "text", set()))
    intents = sorted({intent for row in rows for intent in row["intents"]})
    examples = [_utterance(row) for row in rows]
    train, val, test = _parts(examples, seed, sizes)
    make = partial(Reader, intents)
    return Task(name, seed, train, val, test, make, _read_well, _read_well_with_words)


def _utterance(row: Row) -> dspy.Example:
    found = {slot["slot"]: slot["text"] for slot in row["slots"]}
    details = {name: found.get(name, _NONE) for name in SLOTS}
    example = dspy.Example(message=row["text"], intents=sorted(row["intents"]), **details)
    return example.with_inputs("message")


def f1(gold: set[Any], given: set[Any]) -> float:
    """Twice the shared over the sum of both; 1 where both are empty.

    >>> f1({"a", "b"}, {"b", "c"}), f1(set(), set())
    (0.5, 1.0)
    """
    return 2 * len(gold & given) / (len(gold) + len(given)) if gold or given else 1.0


def _details(one: Any) -> set[tuple[str, str]]:
    values = {name: str(getattr(one, name, _NONE)).strip().lower() for name in SLOTS}
    return {(name, value) for name, value in values.items() if value not in ("", _NONE)}


def _read_well(gold: Any, pred: Any, trace: Any = None) -> float:
    intents = f1(set(gold.intents), set(getattr(pred, "intents", None) or ()))
    return (intents + f1(_details(gold), _details(pred))) / 2


def _read_well_with_words(
    gold: Any,
    pred: Any,
    trace: Any = None,
    pred_name: str | None = None,
    pred_trace: Any = None,
) -> dspy.Prediction:
    given = set(getattr(pred, "intents", None) or ())
    told = [f"`intents` should be {intent!r}." for intent in gold.intents if intent not in given]
    told += [f"{intent!r} is not meant." for intent in sorted(given - set(gold.intents))]
    told += [f"`{name}` should be {value!r}." for name, value in
             sorted(_details(gold) - _details(pred))]  # fmt: skip
    told += [f"`{name}` is not {value!r}." for name, value in
             sorted(_details(pred) - _details(gold))]  # fmt: skip
    return dspy.Prediction(score=_read_well(gold, pred), feedback=" ".join(told) or "Correct.")


def _claims(name: str, seed: int, *, sizes: tuple[int, int, int]) -> Task:
    resolved = locate("metric.py:resolved", CLAIMS)

    def score(gold: Any, pred: Any, trace: Any = None) -> float:
        return float(resolved(gold, pred, trace).score)

    def told(
        gold: Any,
        pred: Any,
        trace: Any = None,
        pred_name: str | None = None,
        pred_trace: Any = None,
    ) -> Any:
        return resolved(gold, pred, trace)

    lines = (CLAIMS / "data" / "messages.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [{k: v for k, v in json.loads(line).items() if k != "id"} for line in lines]
    examples = [dspy.Example(**row).with_inputs("message") for row in rows]
    train, val, test = _parts(examples, seed, sizes)
    return Task(name, seed, train, val, test, locate("program.py:ClaimsDesk", CLAIMS), score, told)


def _parts(
    examples: Sequence[dspy.Example], seed: int, sizes: tuple[int, int, int]
) -> tuple[Examples, Examples, Examples]:
    """Test out of one fixed shuffle; train and val out of a shuffle of the rest, by the seed."""
    fixed = rng(0, "test").sample(list(examples), len(examples))
    test, rest = fixed[: sizes[2]], fixed[sizes[2] :]
    drawn = rng(seed, "draw").sample(rest, sizes[0] + sizes[1])
    return drawn[: sizes[0]], drawn[sizes[0] :], test


def _read(file: str) -> list[dict[str, Any]]:
    path = Path(os.environ[DATA]) / file
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _distinct(rows: Iterable[Row], column: str, seen: set[str]) -> Iterator[Row]:
    """The rows whose text was not seen, but for case and spaces; what they hold is seen now."""
    for row in rows:
        text = " ".join(row[column].lower().split())
        if text not in seen:
            seen.add(text)
            yield row


def _evenly(rows: Iterable[Row], count: int, *, seed: int) -> list[Row]:
    """`count` rows, the labels in turn as long as they have some, in the order of the turns."""
    by_label: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_label[row["label"]].append(row)
    shuffled = {
        label: rng(seed, "draw", label).sample(group, len(group))
        for label, group in sorted(by_label.items())
    }
    longest = max(map(len, shuffled.values()))
    turns = (group[at] for at in range(longest) for group in shuffled.values() if at < len(group))
    found = [row for row, _ in zip(turns, range(count), strict=False)]
    if len(found) < count:
        raise DataError(f"there are {len(found)} examples where {count} are asked for")
    return found


def _bank(intents: int, train: int, val: int, test: int, desks: int = 0) -> _Kind:
    make = partial(_banking, intents=intents, desks=desks, sizes=(train, val, test))
    return _Kind(make, ("banking77/train.jsonl", "banking77/test.jsonl"))


TASKS: Final[Mapping[str, _Kind]] = {
    "b77-10": _bank(10, 100, 100, 300),
    "b77-25": _bank(25, 200, 150, 300),
    "b77-77": _bank(77, 385, 154, 308),
    "desk-10": _bank(10, 100, 100, 300, desks=10),
    "desk-25in5": _bank(25, 200, 150, 300, desks=5),
    "nlupp": _Kind(partial(_nlupp, sizes=(200, 150, 200)), ("nlupp/banking.jsonl",)),
    "claims": _Kind(partial(_claims, sizes=(100, 100, 200))),
}
