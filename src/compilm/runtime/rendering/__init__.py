"""Ahead-of-time rendering: what is the same in every prompt of a predictor is written once."""

from __future__ import annotations

from .adapter import rendered

__all__ = ["rendered"]
