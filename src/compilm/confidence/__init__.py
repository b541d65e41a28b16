"""How sure an answer is, and who answers instead where it is not sure enough."""

from .accepting import Accept, averdict_of, verdict_of
from .alike import Alike
from .calibration import Curve, Isotonic, Platt, isotonic, platt
from .case import Attempt, Case, Verdict
from .confidence import Confidence, Outcome
from .escalate import Escalate, Person
from .file import read_confidence, write_confidence
from .judge import Judge
from .quality import brier_score, calibration_error, ranking
from .samples import Samples
from .signals import Agreement, LogProbability, Signal, Stated
from .threshold import Threshold, for_accuracy, for_share

__all__ = [
    "Accept",
    "Agreement",
    "Alike",
    "Attempt",
    "Case",
    "Confidence",
    "Curve",
    "Escalate",
    "Isotonic",
    "Judge",
    "LogProbability",
    "Outcome",
    "Person",
    "Platt",
    "Samples",
    "Signal",
    "Stated",
    "Threshold",
    "Verdict",
    "averdict_of",
    "brier_score",
    "calibration_error",
    "for_accuracy",
    "for_share",
    "isotonic",
    "platt",
    "ranking",
    "read_confidence",
    "verdict_of",
    "write_confidence",
]
