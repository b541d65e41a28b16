"""How long to wait before trying again: exponential backoff with full jitter.

The wait after k failures is uniform in 0 … min(cap, base·2^(k-1)) (Brooker, "Exponential Backoff
And Jitter", AWS Architecture Blog 2015).
"""

from __future__ import annotations

import random

__all__ = ["full_jitter"]


def full_jitter(rng: random.Random, failures: float, *, base: float, cap: float) -> float:
    """Seconds to wait after this many failures.

    >>> 0.0 <= full_jitter(random.Random(0), 3, base=1.0, cap=30.0) <= 4.0
    True
    """
    return rng.uniform(0.0, min(cap, base * 2.0 ** (failures - 1)))
