"""A made-up sorting task, and one way to ask the embedded model through real dspy."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import dspy
import pytest

from compilm.runtime.embedded import embedded_lm

SYLLABLES = [a + b for a, b in zip("bcdfghjklmnprstvwxyz", "aeiouaeiouaeiouaeiou", strict=True)]


@dataclass(frozen=True)
class Letter:
    """One text of the task and its desk."""

    text: str
    desk: str


class Desks:
    """Ten desks with opaque names; a letter has three of its desk's words among common ones."""

    def __init__(self, seed: int = 0) -> None:
        rng = random.Random(seed)
        self.names = tuple(f"desk_{number}" for number in range(1, 11))
        self._common = [self._word(rng) for _ in range(60)]
        self._own = {name: [self._word(rng) for _ in range(8)] for name in self.names}
        letters = [self._letter(rng, self.names[i % 10]) for i in range(340)]
        rng.shuffle(letters)
        self.train, self.test = letters[:250], letters[250:]

    @staticmethod
    def _word(rng: random.Random) -> str:
        return "".join(rng.choice(SYLLABLES) for _ in range(3))

    def _letter(self, rng: random.Random, desk: str) -> Letter:
        words = rng.sample(self._own[desk], 3) + rng.sample(self._common, 4)
        rng.shuffle(words)
        return Letter(" ".join(words), desk)

    def signature(self, instruction: str = "Sort the letter.") -> Any:
        label = Literal.__getitem__(self.names)
        fields = {"text": (str, dspy.InputField()), "desk": (label, dspy.OutputField())}
        return dspy.Signature(fields, instruction)

    def accuracy(
        self, instruction: str = "Sort the letter.", demos: Sequence[Letter] = ()
    ) -> float:
        """The share of test letters sorted right under the active LM and adapter."""
        program = dspy.Predict(self.signature(instruction))
        program.demos = [dspy.Example(text=one.text, desk=one.desk) for one in demos]
        right: int = sum(program(text=one.text).desk == one.desk for one in self.test)
        return right / len(self.test)


@pytest.fixture(scope="session")
def desks() -> Desks:
    return Desks()


@pytest.fixture(params=["chat", "json"])
def adapter(request: pytest.FixtureRequest) -> dspy.Adapter:
    if request.param == "chat":
        return dspy.ChatAdapter(use_json_adapter_fallback=False)
    return dspy.JSONAdapter()


@pytest.fixture
def embedded(adapter: dspy.Adapter) -> Iterator[dspy.LM]:
    """The base model, active under each adapter in turn; a parse error is an error."""
    lm = embedded_lm()
    with dspy.context(lm=lm, adapter=adapter):
        yield lm


@pytest.fixture
def chat() -> Iterator[dspy.LM]:
    """The base model, active under the chat adapter."""
    lm = embedded_lm()
    with dspy.context(lm=lm, adapter=dspy.ChatAdapter(use_json_adapter_fallback=False)):
        yield lm


PROPOSE = dspy.Signature(
    "task, current_instruction, examples -> proposed_instruction", "Write a better instruction."
)


@pytest.fixture
def propose() -> Any:
    """Asks for an instruction in compilm's own form."""

    def ask(examples: str, current: str = "Sort the letter.", **config: Any) -> str:
        predictor = dspy.Predict(PROPOSE, **config)
        answer = predictor(task="Sort.", current_instruction=current, examples=examples)
        return str(answer.proposed_instruction)

    return ask
