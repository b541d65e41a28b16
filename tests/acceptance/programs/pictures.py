"""A program that looks at a picture."""

import base64
from typing import Literal

import dspy

from ..texts import drawn, text


class Shape(dspy.Signature):
    """Which shape is in the picture?"""

    picture: dspy.Image = dspy.InputField()
    hint: str = dspy.InputField()
    shape: Literal["circle", "square", "star"] = dspy.OutputField()


class Looker(dspy.Module):
    def __init__(self):
        super().__init__()
        self.look = dspy.Predict(Shape)

    def forward(self, picture: dspy.Image, hint: str = "none") -> dspy.Prediction:
        return self.look(picture=picture, hint=hint)


def seen_right(example, pred, trace=None) -> bool:
    return bool(example.shape == pred.shape)


def picture(number: int) -> str:
    data = base64.b64encode(text(number).encode()).decode()
    return f"data:image/png;base64,{data}"


def examples():
    found = []
    for number in range(600, 660):
        shape = ["circle", "square", "star"][drawn(picture(number), "shape", 3)]
        image = dspy.Image(picture(number))
        found.append(
            dspy.Example(picture=image, hint=text(number, 4), shape=shape).with_inputs(
                "picture", "hint"
            )
        )
    return found
