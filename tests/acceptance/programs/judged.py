"""A program whose metric asks a model: the default one, or one held as a global."""

import dspy
from dspy.teleprompt.gepa.gepa_utils import ScoreWithFeedback

from ..texts import drawn, text

JUDGE = dspy.LM("openai/judge", api_key="none", cache=False)


class Title(dspy.Signature):
    """Give the story a title."""

    story: str = dspy.InputField()
    title: str = dspy.OutputField()


class Judge(dspy.Signature):
    """Does the title fit what the editor wanted?"""

    wanted: str = dspy.InputField()
    title: str = dspy.InputField()
    fits: bool = dspy.OutputField()
    why: str = dspy.OutputField()


class Titler(dspy.Module):
    def __init__(self):
        super().__init__()
        self.write = dspy.ChainOfThought(Title)

    def forward(self, story):
        return self.write(story=story)


judge = dspy.Predict(Judge)


def with_feedback(gold, pred, trace=None, pred_name=None, pred_trace=None):
    verdict = judge(wanted=gold.title, title=pred.title)
    return ScoreWithFeedback(score=float(verdict.fits), feedback=verdict.why)


def by_global_judge(gold, pred, trace=None):
    with dspy.context(lm=JUDGE):
        verdict = judge(wanted=gold.title, title=pred.title)
    if trace is not None:
        return verdict.fits
    return float(verdict.fits)


def examples():
    found = []
    for number in range(60):
        story = text(500 + number, 12)
        title = story.split()[drawn(story, "title", 12)]
        found.append(dspy.Example(story=story, title=title).with_inputs("story"))
    return found
