"""Sentences of a text, with the abbreviations and numbers that end none."""

from __future__ import annotations

import re

__all__ = ["sentences"]

_END = re.compile(r"(?<![.!?…])[.!?…]++[\"'”’)\]]*+(?=\s|$)|\n{2,}|\n(?=\s{0,40}[-*•\d])")
_NO_END = re.compile(
    r"(?:^|\W)(?:dr|mr|mrs|ms|prof|st|no|vs|etc|e\.g|i\.e|cf|fig|art|sec|approx|al|inc|ltd|[A-Z])\.$",
    re.IGNORECASE,
)
_CITED = re.compile(r"\s*(?:\[[^\[\]\n]{1,40}\]\s*)+")


def sentences(text: str) -> list[str]:
    """The sentences of a text, each without spaces around; citations after a stop belong to it.

    >>> sentences("Dr. Ng said 3.5 mg. [2] Is it so? Yes!")
    ['Dr. Ng said 3.5 mg. [2]', 'Is it so?', 'Yes!']
    """
    found, start = [], 0
    for match in _END.finditer(text):
        if match.start() < start or _NO_END.search(
            text[max(start, match.end() - 12) : match.end()]
        ):
            continue
        end = match.end()
        cited = _CITED.match(text, end)
        if cited is not None:
            end = cited.end()
        found.append(text[start:end].strip())
        start = end
    found.append(text[start:].strip())
    return [sentence for sentence in found if re.search(r"\w", sentence)]
