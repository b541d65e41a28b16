"""The response model: how likely a prompt makes the right answer to a case. No model, a formula.

For a case in one step of the program, with rules S, and a prompt with rules R and demos D:

    logit = start - difficulty + per_rule |S & R| - per_missing |S - R|
            + demo_ceiling (1 - exp(- sum over t in S of the best value of a right demo with t))
            - per_wrong_demo #(wrong demos) - per_myth #(myths)
            - per_100_words max(0, words - free_words) / 100

It is an item-response model (the additive logistic family of Rasch 1960) with terms for what an
optimizer can change. Demos that show the same rule saturate and differ in value; a demo of the
very case shows nothing. The true score of a program is the mean probability over unseen cases: it
is computed, so it has no sampling noise.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import dspy
import numpy as np
from numpy.typing import NDArray

from compilm.programs.retrieving import Retrieving

from .worlds import CASE, World, letter, uniform

__all__ = ["Demo", "Prompt", "Responses", "Turn", "instruction", "sigmoid"]

Floats: TypeAlias = NDArray[np.float64]
Turn: TypeAlias = tuple[str, str]  # role, text
_OBJECTIVE = "your objective is:"
_RULE = {step: re.compile(rf"RULE_{letter(step)}(\d\d)") for step in (0, 1)}
_MYTH = {step: re.compile(rf"MYTH_{letter(step)}\d\d") for step in (0, 1)}
_OWN_PROMPTS = 5  # of so many unseen cases one gets a prompt of its own: each costs 2 ms
_KEPT = 512  # prompts whose probabilities are kept: 2,200 numbers each


@dataclass(frozen=True, slots=True)
class Demo:
    """A demonstration as the prompt shows it: of which case, and whether its output is right."""

    case: int
    right: bool


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the response depends on, read from the text of a prompt."""

    step: int
    rules: frozenset[int] = frozenset()
    myths: int = 0
    words: int = 0
    demos: tuple[Demo, ...] = ()


class Responses:
    """The probabilities of one world, for any prompt."""

    def __init__(self, world: World) -> None:
        self.world = world
        p = world.parameters
        self._ease = p.start - np.array([case.difficulty for case in world.cases])
        self._rules = np.zeros((p.steps, len(world.cases), p.rules))
        for step in range(p.steps):
            for case in world.cases:
                self._rules[step, case.number, list(case.rules[step])] = 1.0
        self.probabilities = lru_cache(maxsize=_KEPT)(self._probabilities)
        self._met: dict[Prompt, None] = {}  # prompts that came, in their order

    def probability(self, prompt: Prompt, case: int) -> float:
        """The probability of one case; a prompt that comes again is worked out for all of them."""
        if prompt in self._met:
            return float(self.probabilities(prompt)[case])
        self._met[prompt] = None
        while len(self._met) > _KEPT:
            self._met.pop(next(iter(self._met)), None)
        return float(self._probabilities(prompt, case)[0])

    def read(self, step: int, system: str, turns: Sequence[Turn]) -> Prompt:
        """The prompt that a system text and the turns before the last one make."""
        told = instruction(system)
        demos = []
        for (_, asked), (_, answered) in zip(turns[::2], turns[1::2]):
            found = CASE.search(asked)
            if found is not None:
                case = int(found[1])
                demos.append(Demo(case, self._is_right(step, case, answered)))
        return Prompt(
            step,
            frozenset(int(rule) for rule in _RULE[step].findall(told)),
            len(set(_MYTH[step].findall(told))),
            len(told.split()),
            tuple(demos),
        )

    def true_score(self, program: dspy.Module) -> float:
        """The expected score of `program` over the unseen cases, at temperature 0."""
        return self.true_scores(program)[0]

    def true_scores(self, *programs: dspy.Module) -> list[float]:
        """The expected score of each program over the same unseen cases, at temperature 0.

        The program's prompts are written by DSPy's own adapter and read as the engine reads them:
        demos that the adapter leaves out or shows in part count as they are shown. Where demos are
        chosen per call the means are over every fifth unseen case, each under its own prompt (that
        of right facts in a second step).
        """
        predictors = [each for program in programs for _, each in program.named_predictors()]
        own = any(isinstance(predictor, Retrieving) for predictor in predictors)
        cases = self.world.unseen[::_OWN_PROMPTS] if own else self.world.unseen
        return [self._expected(program, cases) for program in programs]

    def _expected(self, program: dspy.Module, cases: range) -> float:
        steps = [predictor for _, predictor in program.named_predictors()]
        found = [self._chances(step, predictor, cases) for step, predictor in enumerate(steps)]
        if len(found) == 1:
            return float(found[0].mean())
        first, second = found
        despite = self.world.parameters.despite
        return float((second * (first + (1 - first) * despite)).mean())

    def _chances(self, step: int, predictor: Any, cases: range) -> Floats:
        """The probability of a right answer to each of these cases in one step."""
        if not isinstance(predictor, Retrieving):
            return self.probabilities(self._shown(step, predictor, predictor.demos))[cases]
        found = []
        for number in cases:
            case = self.world.cases[number]
            call = {"ticket": case.ticket, "facts": f"FACTS_OK of C{number:05d}"}
            prompt = self._shown(step, predictor, predictor.shown(call))
            found.append(float(self._probabilities(prompt, number)[0]))
        return np.array(found)

    def _shown(self, step: int, predictor: Any, demos: Sequence[Any]) -> Prompt:
        inputs = dict.fromkeys(predictor.signature.input_fields, "")
        written = dspy.ChatAdapter().format(predictor.signature, demos, inputs)
        turns = [(turn["role"], turn["content"]) for turn in written]
        return self.read(step, turns[0][1], turns[1:-1])

    def _is_right(self, step: int, case: int, answered: str) -> bool:
        if step + 1 < self.world.parameters.steps:
            return "FACTS_OK" in answered
        return f"]]\n{self.world.cases[case].label}\n" in answered + "\n"

    def _probabilities(self, prompt: Prompt, number: int | None = None) -> Floats:
        """Of all cases, or of one."""
        p = self.world.parameters
        cases = np.arange(len(self.world.cases)) if number is None else np.array([number])
        rules = self._rules[prompt.step][cases]
        given = np.zeros(p.rules)
        given[[rule for rule in prompt.rules if rule < p.rules]] = 1.0
        hits = rules @ given
        shown = p.demo_ceiling * (1 - np.exp(-self._demo_worth(prompt, cases)))
        wrong = sum(not demo.right for demo in prompt.demos)
        too_long = max(0, prompt.words - p.free_words) / 100
        flat = p.per_wrong_demo * wrong + p.per_myth * prompt.myths + p.per_100_words * too_long
        missing = rules.sum(axis=1) - hits
        return sigmoid(
            self._ease[cases] + p.per_rule * hits - p.per_missing * missing + shown - flat
        )

    def _demo_worth(self, prompt: Prompt, cases: NDArray[np.int64]) -> Floats:
        """Per case: the best right demo of each of its rules, summed; its own demo left out."""
        rules = self._rules[prompt.step]
        asked = rules[cases]
        right = list(dict.fromkeys(demo.case for demo in prompt.demos if demo.right))
        if not right:
            return np.zeros(len(asked))
        worth = np.array([self._value(prompt.step, case) for case in right])[:, None] * rules[right]
        total: Floats = asked @ worth.max(axis=0)
        for place, case in enumerate(right):
            others = np.delete(worth, place, axis=0)
            total[cases == case] = rules[case] @ others.max(axis=0) if len(others) else 0.0
        return total

    def _value(self, step: int, case: int) -> float:
        chance = uniform(self.world.seed, "demo", case, step)
        return self.world.parameters.demo_value * (0.4 + 1.2 * chance)


def instruction(system: str) -> str:
    """The part of a system text that an optimizer wrote.

    >>> instruction("Fields. In adhering to this structure, your objective is: Be kind.").strip()
    'Be kind.'
    """
    return system.rpartition(_OBJECTIVE)[2]


def sigmoid(logits: Floats) -> Floats:
    """Logits as probabilities.

    >>> sigmoid(np.array([0.0, -800.0])).tolist()
    [0.5, 0.0]
    """
    return np.exp(-np.logaddexp(0.0, -logits))
