"""The worlds: what is true in each, drawn from a seed, and the examples and metrics made of it.

A world is a set of cases. Each case is governed, in each step of the program, by a few latent
rules, has a difficulty and a right label. How an answer depends on the prompt is in `response.py`.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from statistics import NormalDist
from typing import Any, Final

import dspy

from compilm.errors import UsageError

from .programs import OneStep, TwoSteps

__all__ = [
    "CASE",
    "LABELS",
    "STEPS",
    "WORLDS",
    "Case",
    "Parameters",
    "World",
    "letter",
    "named",
    "rule_name",
    "uniform",
]

LABELS: Final = 10
CASE: Final = re.compile(r"C(\d{5})")
TRAIN, VAL, UNSEEN = 100, 100, 2000
STEPS: Final = {1: ("answer",), 2: ("extract", "answer")}  # predictors by number of steps


@dataclass(frozen=True, slots=True)
class Parameters:
    """What holds in a world; effects are in logits, the letters those of the response model.

    steps: predictors of the program. rules: how many rules there are (J), governing a case by
    Zipf-like popularity, `most_rules` at most in one step. start (theta0), spread (sd of b):
    ease and difficulty. per_rule (w), per_missing (miss): a governing rule in the instruction,
    or not. shared (rho): correlation of an example's luck between prompts. demo_ceiling (G),
    demo_value (v), per_wrong_demo (bad): demonstrations. per_myth: a made-up rule. per_100_words
    (lambda) beyond free_words (L0): length. despite (kappa): chance left to the second step when
    the first went wrong, as a factor. keep, heed (p_fb), infer (p_ind), invent (p_myth): what a
    proposer keeps, takes from feedback, guesses from a case, makes up. names_rules: whether the
    metric's feedback names the governing rules. attends: of how many cases and feedbacks in view
    a proposer takes notice, if not of all: a model that does not read a hundred rows with care.
    """

    name: str
    steps: int = 1
    rules: int = 12
    zipf: float = 0.7
    most_rules: int = 2
    start: float = 0.6
    spread: float = 1.2
    per_rule: float = 0.6
    per_missing: float = 1.1
    shared: float = 0.5
    demo_ceiling: float = 0.8
    demo_value: float = 0.8
    per_wrong_demo: float = 0.3
    per_myth: float = 0.25
    per_100_words: float = 0.15
    free_words: int = 120
    despite: float = 0.15
    keep: float = 0.95
    heed: float = 0.8
    infer: float = 0.12
    invent: float = 0.15
    names_rules: bool = True
    attends: int | None = None


WORLDS: Final[Mapping[str, Parameters]] = {
    world.name: world
    for world in (
        # reflection on feedback pays
        Parameters("rules"),
        # demonstrations pay, instructions barely; feedback says nothing
        Parameters(
            "demos",
            per_rule=0.1,
            per_missing=0.3,
            demo_ceiling=2.2,
            demo_value=0.9,
            per_wrong_demo=0.6,
            names_rules=False,
            infer=0.03,
        ),
        # two predictors: which one is to blame?
        Parameters("credit", steps=2, start=0.9, rules=8, most_rules=1),
        # nearly as good as it gets: edits help a little, length and myths hurt
        Parameters(
            "harm",
            start=1.2,
            per_rule=0.15,
            per_missing=0.2,
            demo_ceiling=0.3,
            per_myth=0.5,
            per_100_words=0.5,
            free_words=60,
            invent=0.5,
        ),
        # nothing helps, nothing hurts
        Parameters(
            "null",
            start=0.3,
            per_rule=0.0,
            per_missing=0.0,
            demo_ceiling=0.0,
            demo_value=0.0,
            per_wrong_demo=0.0,
            per_myth=0.0,
            per_100_words=0.0,
        ),
        # whatever is edited makes it a little worse
        Parameters(
            "trap",
            per_rule=0.0,
            per_missing=0.05,
            demo_ceiling=0.0,
            demo_value=0.0,
            per_myth=0.4,
            per_100_words=0.6,
            free_words=25,
            invent=0.6,
        ),
    )
}


def named(name: str) -> Parameters:
    """The world of that name; `rules/8` is `rules` with proposers that attend to 8 cases.

    >>> named("rules/8").attends, named("rules").attends
    (8, None)
    """
    base, _, attends = name.partition("/")
    if base not in WORLDS or not (attends or "1").isdigit():
        raise UsageError(
            f"{name!r} is no world: give some of {', '.join(WORLDS)}, or one as rules/8"
        )
    return replace(WORLDS[base], attends=int(attends)) if attends else WORLDS[base]


@dataclass(frozen=True, slots=True)
class Case:
    """One case: by step the rules that govern it and its own luck; its difficulty and label."""

    number: int
    rules: tuple[frozenset[int], ...]
    difficulty: float
    luck: tuple[float, ...]
    label: str

    @property
    def ticket(self) -> str:
        return f"Case C{self.number:05d}: please handle."


@dataclass(frozen=True)
class World:
    """A world as one seed draws it: the same name and seed are the same world.

    Cases 0-99 are the training examples, 100-199 the validation examples; the other 2,000 are
    never shown to anybody and hold the true score.
    """

    parameters: Parameters
    seed: int

    @property
    def cases(self) -> tuple[Case, ...]:
        return _cases(self.parameters, self.seed)

    @property
    def train(self) -> list[dspy.Example]:
        return [_example(case) for case in self.cases[:TRAIN]]

    @property
    def val(self) -> list[dspy.Example]:
        return [_example(case) for case in self.cases[TRAIN : TRAIN + VAL]]

    @property
    def unseen(self) -> range:
        """The numbers of the cases that the true score is over."""
        return range(TRAIN + VAL, len(self.cases))

    @property
    def steps(self) -> tuple[str, ...]:
        """The predictors of the program, in order."""
        return STEPS[self.parameters.steps]

    def program(self) -> dspy.Module:
        """The program to optimize, as its author wrote it: no instruction, no demonstrations."""
        return OneStep() if self.parameters.steps == 1 else TwoSteps()

    def metric(self, gold: Any, pred: Any, trace: Any = None) -> float:
        """1 for the right label, else 0."""
        return float(getattr(pred, "label", None) == gold.label)

    def metric_with_feedback(
        self,
        gold: Any,
        pred: Any,
        trace: Any = None,  # DSPy and GEPA give five arguments, by these names
        pred_name: str | None = None,
        pred_trace: Any = None,
    ) -> dspy.Prediction:
        """The same score, and in words what went wrong: for the named predictor, else for all."""
        score = self.metric(gold, pred)
        if score:
            return dspy.Prediction(score=score, feedback="Correct.")
        told = f"Wrong. Expected {gold.label}."
        if self.parameters.names_rules:
            case = self.cases[_number(gold.ticket)]
            steps = [self.steps.index(pred_name)] if pred_name else range(self.parameters.steps)
            named = [rule_name(step, rule) for step in steps for rule in sorted(case.rules[step])]
            told += f" This case is governed by {', '.join(named)}."
        return dspy.Prediction(score=score, feedback=told)


@lru_cache(maxsize=4)  # not in the world: whoever looks into a metric finds no 2,200 cases
def _cases(p: Parameters, seed: int) -> tuple[Case, ...]:
    draw, normal = random.Random(f"{p.name}-{seed}"), NormalDist().inv_cdf
    popularity = [1 / (rule + 1) ** p.zipf for rule in range(p.rules)]
    found = []
    for number in range(TRAIN + VAL + UNSEEN):
        rules = tuple(_governing(draw, popularity, p.most_rules) for _ in range(p.steps))
        difficulty, label = draw.gauss(0, p.spread), f"L{draw.randrange(LABELS)}"
        luck = tuple(normal(uniform(seed, "luck", number, step)) for step in range(p.steps))
        found.append(Case(number, rules, difficulty, luck, label))
    return tuple(found)


def uniform(*parts: object) -> float:
    """A number in (0, 1) that `parts` alone decide.

    >>> uniform(0, "a") == uniform(0, "a") != uniform(0, "b")
    True
    """
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=7).digest()  # 56 bits: never 1.0
    return (int.from_bytes(digest, "big") + 0.5) / 2.0**56


def letter(step: int) -> str:
    """How rules of a step are marked in texts.

    >>> letter(0), letter(1)
    ('A', 'B')
    """
    return "AB"[step]


def rule_name(step: int, rule: int) -> str:
    """A rule as texts name it.

    >>> rule_name(1, 3)
    'RULE_B03'
    """
    return f"RULE_{letter(step)}{rule:02d}"


def _governing(draw: random.Random, popularity: list[float], most: int) -> frozenset[int]:
    count, found = draw.randint(1, most), set[int]()
    while len(found) < count:
        found.add(draw.choices(range(len(popularity)), popularity)[0])
    return frozenset(found)


def _example(case: Case) -> dspy.Example:
    return dspy.Example(ticket=case.ticket, label=case.label).with_inputs("ticket")


def _number(ticket: str) -> int:
    return int(CASE.findall(ticket)[0])
