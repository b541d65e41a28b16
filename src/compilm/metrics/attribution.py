"""Which parts candidates share explains what they gain: a ridge regression over parts.

A part is anything a candidate has or has not: a demonstration, an instruction of one predictor.
With tens of candidates and more parts than candidates nothing is certain; the ridge keeps what is
not known near 0.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

import numpy as np

__all__ = ["Part", "attributed"]

_RIDGES: Final = (0.3, 1.0, 3.0, 10.0, 30.0)


class Part(NamedTuple):
    """What a part is believed to add to a candidate's gain, and how unsure that is (1 sd)."""

    value: float
    sd: float


def attributed(gains: Sequence[float], parts: Sequence[Collection[str]]) -> dict[str, Part]:
    """The contribution of every part, from candidates' `gains` and which `parts` each has.

    Ridge regression of the centered gains on the centered 0/1 design, beta = X'(XX' + k)^-1 y, as
    in datamodels (Ilyas et al. 2022, arXiv 2202.00622); k is the one with the least leave-one-out
    error, (y - Hy)/(1 - diag H). The sd is that of the posterior in which k is the ratio of the
    noise's variance to the parts'.

    >>> found = attributed([0.0, 0.1, 0.1, 0.0], [{"a"}, {"b"}, {"a", "b"}, set()])
    >>> found["b"].value > found["a"].value
    True
    """
    names = sorted({part for own in parts for part in own})
    if len(gains) < 2 or not names:
        return {name: Part(0.0, 0.0) for name in names}
    design = np.array([[float(name in own) for name in names] for own in parts])
    x, y = design - design.mean(axis=0), np.array(gains, dtype=float) - float(np.mean(gains))
    kernel = x @ x.T
    errors = {}
    for ridge in _RIDGES:
        hat = kernel @ np.linalg.inv(kernel + ridge * np.eye(len(y)))
        left_out = (y - hat @ y) / np.maximum(1e-6, 1 - np.diag(hat))
        errors[ridge] = float(left_out @ left_out)
    ridge = min(errors, key=lambda k: errors[k])
    inverse = np.linalg.inv(kernel + ridge * np.eye(len(y)))
    values = x.T @ inverse @ y
    noise = errors[ridge] / len(y)
    known = np.einsum("np,nm,mp->p", x, inverse, x)
    doubts = np.sqrt(np.maximum(0.0, noise / ridge * (1 - known)))
    return {n: Part(float(v), float(d)) for n, v, d in zip(names, values, doubts, strict=True)}
