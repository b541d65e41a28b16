"""Traces of served programs: recorded beside a call, kept in a journal, shown, sent, replayed."""

from __future__ import annotations

from .span import Event, Span, Trace
from .tracer import Tracer

__all__ = ["Event", "Span", "Trace", "Tracer"]
