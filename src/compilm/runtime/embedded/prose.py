"""Free text without a language model: the sentence that fits best, or a worked answer adapted."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from .extract import shape
from .features import FUNCTION_WORDS, features, idf, stem, unit, words

__all__ = ["Nearest", "adapt", "best_sentence", "best_sentences", "quoted", "sentences_asked"]

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")
_NAMED = re.compile(r"\S*[A-Z0-9]\S*")
_LENGTH = 200  # characters quoted where there is no sentence to choose
_PROSE = 5  # words from which a text is prose and no value
_ASKED = re.compile(r"\b(one|two|three|four|five|[1-5])\s+(?:short\s+)?sentences?\b", re.I)
_NUMBERS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5}


def best_sentence(inputs: Mapping[str, str]) -> str:
    """The sentence of the longest input that shares most with the other inputs.

    A single input is asked by its own last sentence.

    >>> best_sentence({"question": "Who owns the mill?", "text": "It rains. Ann owns the mill."})
    'Ann owns the mill.'
    """
    return best_sentences(inputs, 1)


def best_sentences(inputs: Mapping[str, str], count: int) -> str:
    """The `count` best sentences, in the order in which they stand.

    >>> best_sentences({"q": "Who owns what?", "text": "Ann owns A. It rains. Bo owns B."}, 2)
    'Ann owns A. Bo owns B.'
    """
    if not inputs:
        return ""
    main = max(inputs, key=lambda name: (len(inputs[name]), name))
    sentences = _sentences(inputs[main])
    others = " ".join(text for name, text in inputs.items() if name != main)
    if not others.strip() and len(sentences) > 1:
        others = sentences.pop()
    if not sentences:
        return inputs[main].strip()[:_LENGTH]
    asked = {stem(word) for word in words(others) if word not in FUNCTION_WORDS}
    shared = [len(asked & {stem(word) for word in words(sentence)}) for sentence in sentences]
    ranked = sorted(range(len(sentences)), key=lambda index: (-shared[index], index))
    return " ".join(sentences[index] for index in sorted(ranked[: max(1, count)]))


def sentences_asked(text: str) -> int:
    """How many sentences an instruction asks for; 1 where it does not say.

    >>> sentences_asked("Answer in two sentences."), sentences_asked("Answer.")
    (2, 1)
    """
    found = _ASKED.search(text)
    word = found[1].lower() if found else "1"
    return _NUMBERS.get(word) or int(word)


def quoted(value: str, inputs: Mapping[str, str]) -> int:
    """How many sentences of its inputs a worked answer quotes; 0 if it says anything else.

    >>> quoted("It rains in spring. Ann is here.", {"t": "Ann is here. It rains in spring. So."})
    2
    """
    parts = _sentences(value)
    known = [sentence for text in inputs.values() for sentence in _sentences(text)]
    is_quote = len(value.split()) >= _PROSE and all(part in known for part in parts)
    return len(parts) if is_quote else 0


class Nearest:
    """Finds which of some inputs is most like others.

    >>> Nearest([{"t": "red car"}, {"t": "a blue car"}, {"t": "dog"}]).index({"t": "blue car"})
    1
    """

    def __init__(self, known: Sequence[Mapping[str, str]]) -> None:
        counted = [features(" ".join(inputs.values())) for inputs in known]
        self._weights = idf(counted)
        self._units = [unit(one, self._weights) for one in counted]

    def index(self, inputs: Mapping[str, str]) -> int:
        """The index of the most similar, the last of equals."""
        query = unit(features(" ".join(inputs.values())), self._weights)
        closeness = [
            round(sum(query[feature] * one[feature] for feature in query if feature in one), 9)
            for one in self._units
        ]
        return max(range(len(closeness)), key=lambda index: (closeness[index], index))


def adapt(answer: str, was: str, now: str) -> str:
    """`answer`, written for the input `was`, with what was particular there taken from `now`.

    A word with a capital or a digit that stood in `was` is replaced by the first word of `now`
    of the same shape that did not.

    >>> adapt("Order C45 ships.", "where is order C45?", "where is order D71?")
    'Order D71 ships.'
    """
    fresh = [_bare(word) for word in now.split()]
    old = {_bare(word) for word in was.split()}
    pool = list(dict.fromkeys(word for word in fresh if word not in old and _NAMED.match(word)))
    current = set(fresh)
    chosen: dict[str, str] = {}
    for word in dict.fromkeys(_particular(answer, old - current)):
        like = shape(word, collapsed=True)
        match = next((new for new in pool if shape(new, collapsed=True) == like), None)
        if match:
            chosen[word] = match
            pool.remove(match)
    if not chosen:
        return answer
    pattern = "|".join(re.escape(word) for word in sorted(chosen, key=lambda w: (-len(w), w)))
    return re.sub(rf"(?<!\w)(?:{pattern})(?!\w)", lambda found: chosen[found[0]], answer)


def _particular(answer: str, old: set[str]) -> Iterator[str]:
    for word in answer.split():
        bare = _bare(word)
        if bare in old and _NAMED.match(bare):
            yield bare


def _bare(word: str) -> str:
    return word.strip("\"'`()[]{}<>*.,;:!?")


def _sentences(text: str) -> list[str]:
    return [part.strip() for part in _SENTENCE_END.split(text) if part.strip()]
