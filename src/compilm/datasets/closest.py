"""What a wrong name was probably meant to be, said in one form everywhere."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["listed", "meant"]

_SHOWN = 8


def meant(name: str, known: Iterable[str]) -> str:
    """` Did you mean 'x'?` for the known name nearest to `name`, or nothing.

    >>> meant("txt", ["text", "label"])
    " Did you mean 'text'?"
    """
    by_folded = {each.casefold(): each for each in known}
    found = difflib.get_close_matches(name.casefold(), by_folded, n=1)
    return f" Did you mean {by_folded[found[0]]!r}?" if found else ""


def listed(names: Iterable[str]) -> str:
    """The first few names, quoted, and how many more there are.

    >>> listed(["text", "label"])
    "'text', 'label'"
    """
    every = list(names)
    shown = ", ".join(repr(name) for name in every[:_SHOWN])
    more = len(every) - _SHOWN
    return f"{shown} and {more} more" if more > 0 else shown or "none"
