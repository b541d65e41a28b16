"""Answers from a shelf of passages: the retriever is a plain object, and calls leave traces."""

import threading

import dspy

from ..texts import drawn, text


class Shelf:
    """The passages that share most words with a query."""

    def __init__(self, passages):
        self.passages = list(passages)
        self.lock = threading.Lock()  # as a connection has: it cannot be copied

    def __call__(self, query: str, k: int = 2) -> list[str]:
        with self.lock:
            words = set(query.split())
            return sorted(self.passages, key=lambda one: -len(words & set(one.split())))[:k]


class Librarian(dspy.Module):
    def __init__(self, shelf: Shelf, k: int = 2):
        super().__init__()
        self.shelf, self.k = shelf, k
        self.rewrite = dspy.Predict("question -> query")
        self.answer = dspy.ChainOfThought("context: list[str], question -> year: int")
        self.asked = 0
        self.last = None

    def forward(self, question):
        self.asked += 1
        self.last = question
        context = self.shelf(self.rewrite(question=question).query, self.k)
        found = self.answer(context=context, question=question)
        return dspy.Prediction(year=found.year, context=context)


def same_year(example, pred, trace=None):
    return 1.0 if example.year == pred.year else 0.0


def passages():
    return [text(900 + number, 8) for number in range(60)]


def make() -> Librarian:
    return Librarian(Shelf(passages()))


def examples():
    found = []
    for passage in passages():
        question = " ".join(passage.split()[1:4])
        year = 1900 + drawn(passage, "year", 100)
        found.append(dspy.Example(question=question, year=year).with_inputs("question"))
    return found
