"""Field extraction made by a factory: the kind of module and the fields are its arguments."""

from functools import partial

import dspy

from ..texts import drawn, text


class Extract(dspy.Signature):
    """Copy the wanted fields out of the receipt."""

    receipt: str = dspy.InputField(desc="the receipt as text")
    shop: str = dspy.OutputField()
    total: float = dspy.OutputField(desc="in euros")


class Extractor(dspy.Module):
    def __init__(self, module_type, signature=Extract, **options):
        super().__init__()
        self.extract = module_type(signature, **options)

    def forward(self, **kwargs):
        return self.extract(**kwargs)


def make(kind: str = "predict", **options) -> Extractor:
    kinds = {"predict": dspy.Predict, "think": dspy.ChainOfThought}
    return Extractor(kinds[kind], **options)


make_thinking = partial(make, "think")


def fields_right(*names):
    def metric(gold, pred, trace=None):
        right = [getattr(gold, name) == getattr(pred, name, None) for name in names]
        if trace is not None:
            return all(right)
        return sum(right) / len(right)

    return metric


def examples():
    found = []
    for number in range(60):
        receipt = text(100 + number, 8)
        total = drawn(receipt, "total", 9000) / 100
        shop = receipt.split()[2]
        found.append(dspy.Example(receipt=receipt, shop=shop, total=total).with_inputs("receipt"))
    return found
