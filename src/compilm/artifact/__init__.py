"""The compiled program as data: one JSON file that is written, checked and read, never executed.

    {"schema": 2, "digest": ..., "seal": ..., "content": {...}, "provenance": {...}}

`digest` is over the content alone and says what the artifact *is*: two compiles with one outcome
share it. `seal` is over everything else in the file and says that nobody touched it. The file is
canonical JSON and one newline; any layout of the same value is read. Nothing here needs dspy.
"""

from .description import describe
from .difference import Change, Diff, NearestDiff, PredictorDiff, diff
from .document import Artifact, parse
from .file import FILE, file_bytes, read, write
from .predictor import Field, Nearest, Predictor
from .schema import SCHEMA
from .secrets import secret_in

__all__ = [
    "FILE",
    "SCHEMA",
    "Artifact",
    "Change",
    "Diff",
    "Field",
    "Nearest",
    "NearestDiff",
    "Predictor",
    "PredictorDiff",
    "describe",
    "diff",
    "file_bytes",
    "parse",
    "read",
    "secret_in",
    "write",
]
