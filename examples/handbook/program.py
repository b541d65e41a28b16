"""Questions about a provider's handbook: look up, answer from what was found, name the desk."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import dspy

from compilm.retrieval import FaissIndex, HashedNgrams, Retrieve

INDEX = Path(__file__).with_name("build") / "index"


class Answer(dspy.Signature):
    """Answer the question with a sentence from the passages, and say whose question it is."""

    passages: str = dspy.InputField()
    question: str = dspy.InputField()
    answer: str = dspy.OutputField()
    desk: Literal["D1", "D2", "D3", "D4", "D5"] = dspy.OutputField()


class Handbook(dspy.Module):
    """Two steps: `look` finds passages in the index beside the artifact, `answer` reads them."""

    def __init__(self, index: str = str(INDEX)) -> None:
        super().__init__()
        self.look = Retrieve(FaissIndex.load(index, HashedNgrams()), k=2)
        self.answer = dspy.Predict(Answer)

    def forward(self, question: str) -> dspy.Prediction:
        found = self.look(query=question)
        told = self.answer(passages=found.context, question=question)
        return dspy.Prediction(answer=told.answer, desk=told.desk, sources=found.sources)
