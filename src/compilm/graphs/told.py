"""A failure as plain data: for a fallback, whose model may read it, and for the journal."""

from __future__ import annotations

import os

from ..tools.scrub import scrubbed

__all__ = ["told_of"]

_MOST = 500  # characters of an error's text


def told_of(error: Exception) -> dict[str, str]:
    """The class and the text of an error, without what looks like a secret.

    >>> told_of(ConnectionError("cannot reach postgres://desk:hunter2@db/claims"))
    {'error': 'ConnectionError', 'message': 'cannot reach postgres://[secret]@db/claims'}
    """
    return {"error": type(error).__name__, "message": scrubbed(str(error), os.environ)[:_MOST]}
