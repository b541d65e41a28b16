"""The demonstrations of a pool that are closest to a call: vectors of words, an index, a choice.

Plain Python, so that a server that uses it imports nothing more. Of 400 short texts a choice
takes 0.1 ms, of 2,000 half a millisecond.
"""

from __future__ import annotations

import math
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from heapq import nlargest
from re import search
from types import MappingProxyType
from typing import Any, Final

import dspy

from .. import canonical
from ..artifact import Field, Nearest
from ..errors import ArtifactTooNew, ProgramError
from .demos import as_declared
from .types import type_text
from .words import Features, features

__all__ = [
    "EMBEDDER",
    "EMBEDDERS",
    "Chooser",
    "Index",
    "scored",
    "scoring",
    "text_fields",
    "words_v1",
]

EMBEDDER: Final = "words-v1"

_LONGEST = 4000  # characters of a text that are read
_MEDIA = r"\bdspy\.(Image|Audio|File)\b"
# A setting of DSPy, not a context variable of ours: DSPy takes its own along into its threads.
_SCORED = "compilm_scored_example"


def words_v1(text: str) -> Features:
    """The features of a text's first 4,000 characters, counted and scaled to length one.

    Features are not weighed by how rare they are: on Banking77 (77 intents, 5 texts of each, 3
    draws) the nearest text then has the right intent for 61 % of 800 test texts, and among the
    nearest 8 stands one that has for 88 %.

    >>> round(sum(weight**2 for weight in words_v1("a lost card").values()), 6)
    1.0
    """
    found = features(text[:_LONGEST])
    length = math.sqrt(math.fsum(weight * weight for weight in found.values())) or 1.0
    return {feature: weight / length for feature, weight in found.items()}


# What a name in an artifact stands for. A name is never given another meaning: artifacts live.
EMBEDDERS: Final[Mapping[str, Callable[[str], Features]]] = MappingProxyType({EMBEDDER: words_v1})


class Index:
    """The cosine of a text with each of many, which must be of length one.

    >>> index = Index([{"a": 1.0}, {"a": 0.6, "b": 0.8}])
    >>> index.similarities({"b": 1.0})
    [0.0, 0.8]
    """

    __slots__ = ("_postings", "_size")

    def __init__(self, vectors: Iterable[Features]) -> None:
        # By feature: the places of the texts that have it, and what it weighs in each.
        self._postings: dict[str, tuple[array[int], array[float]]] = {}
        self._size = 0
        for place, vector in enumerate(vectors):
            self._size = place + 1
            for feature, weight in vector.items():
                if feature not in self._postings:
                    self._postings[feature] = (array("I"), array("d"))
                places, weights = self._postings[feature]
                places.append(place)
                weights.append(weight)

    def similarities(self, vector: Features) -> list[float]:
        """The cosines in the order of the texts."""
        sums = [0.0] * self._size
        for feature, weight in vector.items():
            if feature in self._postings:
                for place, other in zip(*self._postings[feature]):
                    sums[place] += weight * other
        return sums


@lru_cache(maxsize=8)  # the candidates of a compile share a pool or two
def _index(embedder: str, texts: tuple[str, ...]) -> Index:
    return Index(map(EMBEDDERS[embedder], texts))


def text_fields(inputs: Iterable[Field]) -> tuple[str, ...]:
    """The inputs that closeness can be told by: all but pictures, sounds and files.

    >>> text_fields([Field("page", "dspy.Image"), Field("question", "str")])
    ('question',)
    """
    return tuple(field.name for field in inputs if not search(_MEDIA, field.type))


def scoring(example: Mapping[str, Any] | None) -> AbstractContextManager[None]:
    """A context in which no demonstration gives away what `example` expects.

    Left out are those with the inputs of the call, and those with the example's own values for
    them. `None` leaves nothing out: a demonstration that is the call itself is the best there is.

    >>> with scoring({"question": "2+2?", "answer": "4"}):
    ...     pass
    """
    context: AbstractContextManager[None] = dspy.context(**scored(example))
    return context


def scored(example: Mapping[str, Any] | None) -> dict[str, Any]:
    """The setting of DSPy by which `scoring` says so, for a context that sets more.

    >>> len(scored(None))
    1
    """
    return {_SCORED: example}


class Chooser:
    """Chooses the demonstrations for a call of one predictor; may be shared by threads and copies.

    Raises:
        ProgramError: the predictor has no input that is text.
        ArtifactTooNew: the embedder is not one that this version knows.

    >>> pool = ({"q": "a lost card", "a": "cards"}, {"q": "a leaking roof", "a": "claims"})
    >>> chooser = Chooser(Nearest(1, EMBEDDER, pool), dspy.Signature("q -> a"))
    >>> chooser.choose({"q": "my card is lost"})[0].a
    'cards'
    """

    __slots__ = ("_demos", "_index", "_inputs", "_places", "_signature", "_texts", "nearest")

    def __init__(self, nearest: Nearest, signature: type[dspy.Signature], path: str = "self"):
        if nearest.embedder not in EMBEDDERS:
            raise ArtifactTooNew(
                f"predictor {path!r} chooses its demos with {nearest.embedder!r}, which this "
                f"version does not know; it knows {', '.join(EMBEDDERS)}. Upgrade compilm, or "
                "compile again with this version"
            )
        fields = signature.input_fields
        self._inputs: tuple[str, ...] = tuple(fields)
        self._texts = text_fields(
            Field(name, type_text(info.annotation)) for name, info in fields.items()
        )
        if not self._texts:
            raise ProgramError(
                f"predictor {path!r} has no input that is text ({', '.join(fields) or 'none'}), so "
                "no demos can be chosen by closeness: give it demos that stay"
            )
        self.nearest, self._signature = nearest, signature
        self._demos = [
            dspy.Example(as_declared(demo, signature)).with_inputs(*fields) for demo in nearest.pool
        ]
        self._index = _index(nearest.embedder, tuple(map(self._text, nearest.pool)))
        self._places: defaultdict[str, list[int]] = defaultdict(list)
        for place, demo in enumerate(nearest.pool):
            self._places[self._key(demo)].append(place)

    def choose(self, call: Mapping[str, Any], fixed: Sequence[Any] = ()) -> list[dspy.Example]:
        """The nearest demos for a call with these inputs, the nearest last.

        Of equally near ones the first of the pool are taken; none has the inputs of a `fixed` one.
        """
        found = self._index.similarities(EMBEDDERS[self.nearest.embedder](self._text(call)))
        barred = self._barred(call, fixed)
        ranked = nlargest(self.nearest.k + len(barred), range(len(found)), key=found.__getitem__)
        kept = [place for place in ranked if place not in barred][: self.nearest.k]
        return [self._demos[place] for place in reversed(kept)]

    def _barred(self, call: Mapping[str, Any], fixed: Sequence[Any]) -> set[int]:
        keys = [self._key(demo) for demo in fixed]
        example = dspy.settings.get(_SCORED)
        if example is not None:
            keys.append(self._key(call))
            if all(name in example for name in self._inputs):
                keys.append(self._key(example))
        return {place for key in keys for place in self._places.get(key, ())}

    def _text(self, values: Any) -> str:
        return "\n".join(_plain_text(values.get(name)) for name in self._texts)

    def _key(self, values: Any) -> str:
        """Equal for the same inputs, however they are spaced and capitalized."""
        texts = [_plain_text(values.get(name)) for name in self._inputs]
        return canonical.dumps([" ".join(text.casefold().split()) for text in texts])

    def __deepcopy__(self, memo: dict[int, Any]) -> Chooser:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return Chooser, (self.nearest, self._signature)


def _plain_text(value: Any) -> str:
    """A text as it is, nothing as an empty one, other values by their JSON."""
    if value is None or isinstance(value, str):
        return value or ""
    try:
        plain = canonical.plain(value)
    except TypeError:  # a value without JSON form, which DSPy renders by its own rules
        return str(value)
    return plain if isinstance(plain, str) else canonical.dumps(plain)
