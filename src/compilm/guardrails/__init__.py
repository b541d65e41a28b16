"""Checks of what goes in and what comes out, as modules: redaction, injection, grounding, form."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .check import Check, Constraint, Verdict
    from .forms import Length, Matches, OneOf, ValidJson
    from .grounding import Grounded
    from .guard import Guard, Outcome
    from .injection.check import Injection
    from .injection.spotlight import Spotlight
    from .judge import Judge, toxicity
    from .private import NoIdentifiers
    from .redaction.presidio import presidio
    from .redaction.redacted import Redacted, hidden_examples, with_real_values
    from .redaction.rules import Rules
    from .redaction.vault import Vault
    from .streaming import streamed

_HOMES = {
    "Check": "check",
    "Constraint": "check",
    "Grounded": "grounding",
    "Guard": "guard",
    "Injection": "injection.check",
    "Judge": "judge",
    "Length": "forms",
    "Matches": "forms",
    "NoIdentifiers": "private",
    "OneOf": "forms",
    "Outcome": "guard",
    "Redacted": "redaction.redacted",
    "Rules": "redaction.rules",
    "Spotlight": "injection.spotlight",
    "ValidJson": "forms",
    "Vault": "redaction.vault",
    "Verdict": "check",
    "hidden_examples": "redaction.redacted",
    "presidio": "redaction.presidio",
    "streamed": "streaming",
    "toxicity": "judge",
    "with_real_values": "redaction.redacted",
}

__all__ = [
    "Check",
    "Constraint",
    "Grounded",
    "Guard",
    "Injection",
    "Judge",
    "Length",
    "Matches",
    "NoIdentifiers",
    "OneOf",
    "Outcome",
    "Redacted",
    "Rules",
    "Spotlight",
    "ValidJson",
    "Vault",
    "Verdict",
    "hidden_examples",
    "presidio",
    "streamed",
    "toxicity",
    "with_real_values",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
