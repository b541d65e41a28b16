"""An agent with a Python function as its tool."""

import dspy

from ..texts import drawn, text

STOCK = {text(800 + number, 1): drawn(str(number), "stock", 50) for number in range(60)}


def in_stock(item: str) -> str:
    """How many pieces of an item are in stock."""
    return f"{STOCK[item]} pieces"


class Ask(dspy.Signature):
    """Answer with the number of pieces."""

    item: str = dspy.InputField()
    pieces: int = dspy.OutputField()


class Storeman(dspy.Module):
    def __init__(self, steps: int = 3):
        super().__init__()
        self.agent = dspy.ReAct(Ask, tools=[in_stock], max_iters=steps)

    def forward(self, item: str):
        found = self.agent(item=item)
        return dspy.Prediction(pieces=found.pieces, used=found.trajectory["tool_name_0"])


def right_number(example, pred, trace=None):
    return example.pieces == pred.pieces


def examples():
    return [
        dspy.Example(item=item, pieces=pieces).with_inputs("item") for item, pieces in STOCK.items()
    ]
