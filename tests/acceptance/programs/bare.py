"""A program that forgets to call the constructor of its base class, as one in six does."""

import dspy

from ..texts import drawn, text


class Mood(dspy.Module):
    def __init__(self):
        self.moods = ["calm", "angry"]
        self.judge = dspy.Predict("review, language -> mood")

    def forward(self, **kwargs):
        kwargs.setdefault("language", "unknown")
        return self.judge(**kwargs)


class mood_matches:
    """A metric that is an object."""

    def __call__(self, example, prediction, trace=None):
        return int(example.mood == prediction.mood)


def examples():
    reviews = [text(300 + number) for number in range(60)]
    return [
        dspy.Example(review=review, mood=["calm", "angry"][drawn(review, "mood", 2)]).with_inputs(
            "review"
        )
        for review in reviews
    ]
