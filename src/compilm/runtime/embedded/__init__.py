"""A deterministic in-context learner that stands in for a language model, without weights."""

from __future__ import annotations

from .engine import NOTICE, AsyncEmbeddedEngine, EmbeddedEngine, embedded_lm
from .options import SIZES

__all__ = ["NOTICE", "SIZES", "AsyncEmbeddedEngine", "EmbeddedEngine", "embedded_lm"]
