"""Stop sequences on a wire that has none: the text is cut where the model should have ended."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["Cut"]


class Cut:
    """Cuts one text, which comes in pieces, before the first stop sequence in it.

    What may be the beginning of a stop sequence is held back until the next piece, or the end.

    >>> cut = Cut(["END"])
    >>> [cut.feed(piece) for piece in ("one E", "gg, two", " EN", "D three")], cut.is_cut
    (['one ', 'Egg, two', ' ', ''], True)
    >>> open = Cut(["END"])
    >>> open.feed("the E"), open.rest()
    ('the ', 'E')
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = [stop for stop in stops if stop]
        self._held = ""
        self.is_cut = False

    def feed(self, piece: str) -> str:
        """What may be shown now that `piece` has come; nothing more after the cut."""
        if self.is_cut:
            return ""
        text = self._held + piece
        found = [place for stop in self._stops if (place := text.find(stop)) >= 0]
        self.is_cut = bool(found)
        end = min(found) if found else len(text) - self._doubtful(text)
        self._held = "" if found else text[end:]
        return text[:end]

    def rest(self) -> str:
        """What was held back: the text is over, and it began no stop sequence."""
        held, self._held = self._held, ""
        return held

    def _doubtful(self, text: str) -> int:
        """How many of the last characters may begin a stop sequence."""
        sizes = (n for stop in self._stops for n in range(1, len(stop)) if text.endswith(stop[:n]))
        return max(sizes, default=0)
