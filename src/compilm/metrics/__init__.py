"""What a prediction is worth, and what can be said of many such worths."""

from .combine import all_of, gated, weighted
from .fingerprint import fingerprint_of
from .labels import MacroF1, accuracy, macro_f1
from .metric import Metric
from .score import Score
from .spec import as_metric, from_spec
from .stats import (
    Estimate,
    Posterior,
    mcnemar,
    mean_interval,
    minimum_detectable,
    paired_gain,
    paired_permutation,
    posterior_gain,
    probability_better,
)
from .structure import agreement, fields
from .text import contains, exact, f1, normalize, normalized, token_f1

__all__ = [
    "Estimate",
    "MacroF1",
    "Metric",
    "Posterior",
    "Score",
    "accuracy",
    "agreement",
    "all_of",
    "as_metric",
    "contains",
    "exact",
    "f1",
    "fields",
    "fingerprint_of",
    "from_spec",
    "gated",
    "macro_f1",
    "mcnemar",
    "mean_interval",
    "minimum_detectable",
    "normalize",
    "normalized",
    "paired_gain",
    "paired_permutation",
    "posterior_gain",
    "probability_better",
    "token_f1",
    "weighted",
]
