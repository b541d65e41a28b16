"""What an exception means: a kind and a text for the model, and whether it may pass."""

from __future__ import annotations

import os
from concurrent.futures import CancelledError

from ..errors import CircuitOpen
from .policy import Policy
from .result import ToolError
from .scrub import scrubbed

__all__ = ["BadArguments", "Late", "ToolSaidNo", "Unreachable", "error_of", "is_outage", "may_pass"]

_MOST = 500  # characters of an exception's text
_OUTAGES = (TimeoutError, ConnectionError)


class Late(Exception):
    """The tool did not answer in time; the text says what is known."""


class BadArguments(Exception):
    """The arguments do not fit the schema of the tool."""


class Unreachable(Exception):
    """The tool's server could not be asked, or was gone before it answered."""


class ToolSaidNo(Exception):
    """The server ran the tool and says that it failed."""


_KINDS = (
    (Late, "timeout"),
    (BadArguments, "arguments"),
    (Unreachable, "unreachable"),
    (CancelledError, "unreachable"),
    (CircuitOpen, "refused"),
)


def error_of(error: BaseException, policy: Policy) -> ToolError:
    """The error as data: never a stack trace, and no text that looks like a secret.

    >>> error_of(ValueError("no claim 7"), Policy())
    ToolError(kind='failed', message='ValueError: no claim 7', retry_after=None)
    """
    for known, kind in _KINDS:
        if isinstance(error, known):
            return ToolError(kind, _text(error), getattr(error, "retry_after", None))  # type: ignore[arg-type]  # the table's second column
    if isinstance(error, ToolSaidNo):
        return ToolError("failed", _text(error))
    named = type(error).__name__
    told = _text(error) if policy.tells else ""
    return ToolError("failed", f"{named}: {told}" if told else named)


def _text(error: BaseException) -> str:
    text = scrubbed(str(error), os.environ).strip() or type(error).__name__
    text = text.partition("Traceback (most recent call last)")[0].strip() or "it failed"
    return text if len(text) <= _MOST else f"{text[:_MOST]} [cut]"


def may_pass(error: BaseException) -> bool:
    """Whether the same call may be answered a moment later; one that came late has no time left.

    >>> may_pass(ConnectionError()), may_pass(ValueError()), may_pass(Late())
    (True, False, False)
    """
    return isinstance(error, (Unreachable, CancelledError, *_OUTAGES))


def is_outage(error: BaseException) -> bool | None:
    """Whether it tells against the server; `None` where it tells nothing.

    >>> is_outage(Late()), is_outage(ToolSaidNo()), is_outage(BadArguments())
    (True, False, None)
    """
    if isinstance(error, (BadArguments, CircuitOpen)):
        return None
    return isinstance(error, (Late, Unreachable, CancelledError, *_OUTAGES))
