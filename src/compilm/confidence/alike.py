"""How often calls like this one were answered right: told by the inputs, before an answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import nlargest
from typing import Any, ClassVar

from .. import canonical
from ..errors import DataError
from ..programs.nearest import EMBEDDER, EMBEDDERS, Index
from .case import Case

__all__ = ["Alike"]


class Alike:
    """The share of right answers among the `k` recorded calls whose inputs are most alike.

    `texts` and `right` are one recorded call each; `field` is the input whose text is compared
    (all inputs without it). A recorded call weighs its cosine under the embedder `words-v1`, and
    the share of all right answers weighs as one more call, so that little alike means nothing
    special. It needs no answer: `Escalate` then asks it before a step, and skips the step that
    would not be accepted. A call is never compared with a recorded one of the same text.

    >>> seen = Alike(["a lost card", "a stolen card", "roof leaks"], [True, True, False], k=1)
    >>> seen(Case({"message": "my card is lost"})) > seen(Case({"message": "the roof leaks"}))
    True
    """

    foresees: ClassVar[bool] = True

    def __init__(
        self, texts: Sequence[str], right: Sequence[bool], *, k: int = 20, field: str | None = None
    ) -> None:
        if not texts or len(texts) != len(right):
            raise DataError(f"{len(texts)} texts and {len(right)} outcomes: give one for each")
        self._embed = EMBEDDERS[EMBEDDER]
        self._index = Index(map(self._embed, texts))
        self._texts, self._right = tuple(texts), tuple(map(bool, right))
        self._base = sum(self._right) / len(self._right)
        self.k, self.field = k, field

    def __call__(self, case: Case) -> float:
        text = _text(case.inputs, self.field)
        near = self._index.similarities(self._embed(text))
        places = nlargest(self.k + 1, range(len(near)), key=near.__getitem__)
        kept = [place for place in places if self._texts[place] != text][: self.k]
        weight = sum(near[place] for place in kept)
        won = sum(near[place] for place in kept if self._right[place])
        return (won + self._base) / (weight + 1)

    def __repr__(self) -> str:
        kept = canonical.short(canonical.digest([self._texts, self._right]))
        return f"Alike(k={self.k}, field={self.field!r}, outcomes={kept})"

    def __deepcopy__(self, memo: dict[int, Any]) -> Alike:
        return self


def _text(inputs: Mapping[str, Any], field: str | None) -> str:
    values = inputs.values() if field is None else [inputs.get(field, "")]
    return "\n".join(map(str, values))
