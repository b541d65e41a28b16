"""A program that can be called and awaited; awaited, it asks both questions at once."""

import asyncio

import dspy

from ..texts import drawn, text


class Profile(dspy.Module):
    def __init__(self):
        super().__init__()
        self.size = dspy.Predict("animal -> size")
        self.diet = dspy.Predict("animal -> diet")

    def forward(self, animal: str) -> dspy.Prediction:
        size, diet = self.size(animal=animal), self.diet(animal=animal)
        return dspy.Prediction(size=size.size, diet=diet.diet)

    async def aforward(self, animal: str) -> dspy.Prediction:
        size, diet = await asyncio.gather(
            self.size.acall(animal=animal), self.diet.acall(animal=animal)
        )
        return dspy.Prediction(size=size.size, diet=diet.diet)


def both(example, prediction, trace=None):
    return (example.size == prediction.size) / 2 + (example.diet == prediction.diet) / 2


def examples():
    animals = [text(1000 + number, 3) for number in range(60)]
    return [
        dspy.Example(
            animal=animal,
            size=["small", "large"][drawn(animal, "size", 2)],
            diet=["plants", "meat"][drawn(animal, "diet", 2)],
        ).with_inputs("animal")
        for animal in animals
    ]
