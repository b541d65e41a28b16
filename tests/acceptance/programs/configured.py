"""Mail triage whose labels, tone and number of votes come from a configuration object."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

import dspy

from ..texts import drawn, text


@dataclass
class Settings:
    labels: tuple[str, ...] = ("billing", "delivery", "praise")
    tone: str = "sober"
    votes: int = 1
    extra: dict = field(default_factory=dict)


class Triage(dspy.Module):
    def __init__(self, settings: Settings, *, fallback: str | None = None):
        super().__init__()
        self.settings = settings
        self.fallback = fallback or settings.labels[0]
        signature = dspy.Signature(
            "mail: str -> label: str", f"Label the mail. Be {settings.tone}."
        )
        self.label = dspy.Predict(
            signature.with_updated_fields("label", type_=Literal[settings.labels])
        )

    def forward(self, mail: str) -> dspy.Prediction:
        votes = Counter(self.label(mail=mail).label for _ in range(self.settings.votes))
        label = votes.most_common(1)[0][0] if votes else self.fallback
        return dspy.Prediction(label=label, tone=self.settings.tone)


def right_label(example, prediction):
    right = example.label == prediction.label
    return right, "right" if right else f"this mail is about {example.label}"


def examples():
    labels = Settings().labels
    mails = [text(number) for number in range(60)]
    return [
        dspy.Example(mail=mail, label=labels[drawn(mail, "label", 3)]).with_inputs("mail")
        for mail in mails
    ]
