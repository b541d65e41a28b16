"""A program of programs: sub-modules in a dictionary, in a list, and two levels down."""

import dspy

from ..texts import drawn, text

TOPICS = ("sea", "sky")


class Step(dspy.Module):
    def __init__(self, name: str):
        super().__init__()
        self.name = name
        self.think = dspy.ChainOfThought(f"text, topic -> {name}")

    def forward(self, **inputs):
        return self.think(**inputs)


class Pipeline(dspy.Module):
    def __init__(self):
        super().__init__()
        self.experts = {topic: Step("summary") for topic in TOPICS}
        self.checks = [dspy.Predict("summary -> checked"), [dspy.Predict("checked -> mark: int")]]

    def forward(self, text, topic):
        summary = self.experts[topic](text=text, topic=topic).summary
        checked = self.checks[0](summary=summary).checked
        return dspy.Prediction(checked=checked, mark=self.checks[1][0](checked=checked).mark)


class Report(dspy.Module):
    def __init__(self):
        super().__init__()
        self.route = dspy.Predict("text -> topic")
        self.pipeline = Pipeline()

    def forward(self, text):
        topic = self.route(text=text).topic
        topic = topic if topic in TOPICS else TOPICS[0]
        return dspy.Prediction(topic=topic, **self.pipeline(text=text, topic=topic))


def report_score(example, prediction, trace=None):
    parts = {
        "topic": float(example.topic == prediction.topic),
        "mark": float(example.mark == prediction.mark),
    }
    return dspy.Prediction(score=sum(parts.values()) / 2, feedback=str(parts), **parts)


def examples():
    texts = [text(700 + number) for number in range(60)]
    return [
        dspy.Example(
            text=one, topic=TOPICS[drawn(one, "topic", 2)], mark=drawn(one, "mark", 10)
        ).with_inputs("text")
        for one in texts
    ]
