"""Placeholders put back in a text that comes in pieces, wherever the pieces are cut."""

from __future__ import annotations

import re

from .vault import Vault

__all__ = ["Restorer"]

# What may still become a placeholder when more comes.
_BEGUN = re.compile(r"\[(?:[A-Z][A-Z_]{0,30}(?:_\d{0,9})?)?$")


class Restorer:
    """Restores a stream: `feed` each piece, then `finish`; at most one placeholder is held back.

    >>> from compilm.guardrails.redaction.rules import Rules
    >>> vault = Vault(Rules())
    >>> _ = vault.hide("Ana Pratt")
    >>> restorer = Restorer(vault)
    >>> [restorer.feed(piece) for piece in ("Dear [NA", "ME_1", "], hello")], restorer.finish()
    (['Dear ', '', 'Ana Pratt, hello'], '')
    """

    def __init__(self, vault: Vault) -> None:
        self._vault, self._held = vault, ""

    def feed(self, piece: str) -> str:
        """What can be shown now."""
        text = self._held + piece
        begun = _BEGUN.search(text)
        place = begun.start() if begun else len(text)
        self._held = text[place:]
        return str(self._vault.restore(text[:place]))

    def finish(self) -> str:
        """What was held back, when no more comes."""
        text, self._held = self._held, ""
        return text
