"""A cheap model drafts and a strong one checks: both are arguments of the constructor."""

import dspy

from ..texts import drawn, text


class Draft(dspy.Signature):
    """Guess the number that belongs to the code word."""

    code: str = dspy.InputField()
    guess: int = dspy.OutputField()


class Check(dspy.Signature):
    """Correct the guess."""

    code: str = dspy.InputField()
    guess: int = dspy.InputField()
    number: int = dspy.OutputField()


class Relay(dspy.Module):
    def __init__(self, small: dspy.LM, big: dspy.LM):
        super().__init__()
        self.small, self.big = small, big
        self.draft = dspy.Predict(Draft)
        self.check = dspy.Predict(Check)

    def forward(self, code):
        with dspy.context(lm=self.small):
            guess = self.draft(code=code).guess
        with dspy.context(lm=self.big):
            checked = self.check(code=code, guess=guess)
        return dspy.Prediction(guess=guess, number=checked.number)


def near_enough(gold, pred, _trace=None):
    return {"score": float(gold.number == pred.number), "distance": abs(gold.number - pred.number)}


def examples():
    codes = [text(200 + number, 3) for number in range(60)]
    return [
        dspy.Example(code=code, number=drawn(code, "number", 100)).with_inputs("code")
        for code in codes
    ]
