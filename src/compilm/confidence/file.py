"""A fitted confidence on disk: curve and threshold as JSON; the signal is named, and yours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .. import canonical
from ..artifact.form import Departure, count, list_of, name, number, or_null, record
from ..errors import ArtifactMismatch, ArtifactTooNew, ArtifactUnreadable
from .calibration import curve_from_json
from .confidence import Confidence, describe
from .signals import Signal
from .threshold import Threshold

__all__ = ["read_confidence", "write_confidence"]

_SCHEMA = 1


def _boolean(value: Any, at: str) -> None:
    if not isinstance(value, bool):
        raise Departure(f"{at}: expected true or false, found {value!r}")


_THRESHOLD = record(
    signal=or_null(number),
    n=count,
    accepted=count,
    accuracy=or_null(number),
    low=number,
    high=number,
    level=number,
    target=or_null(number),
    proven=_boolean,
)
_CURVE = record(
    optional="signals shares slope offset",
    form=name,
    signals=list_of(number),
    shares=list_of(number),
    slope=number,
    offset=number,
)


def _least(value: Any, at: str) -> None:
    (_THRESHOLD if isinstance(value, dict) else number)(value, at)


_DOCUMENT = record(schema=count, signal=name, curve=or_null(_CURVE), at_least=_least)


def write_confidence(confidence: Confidence, path: str | Path) -> Path:
    """Write curve and threshold as one line of JSON; gives the file's path.

    >>> import tempfile
    >>> from compilm.confidence import Stated
    >>> sure = Confidence(Stated("confidence"), at_least=0.8)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = write_confidence(sure, f"{folder}/sure.json")
    ...     read_confidence(path, Stated("confidence")).at_least
    0.8
    """
    least = confidence.at_least
    body = {
        "schema": _SCHEMA,
        "signal": describe(confidence.signal),
        "curve": None if confidence.curve is None else confidence.curve.to_json(),
        "at_least": least.to_json() if isinstance(least, Threshold) else least,
    }
    place = Path(path)
    place.write_text(canonical.dumps(body) + "\n", encoding="utf-8")
    return place


def read_confidence(path: str | Path, signal: Signal) -> Confidence:
    """The confidence that was written, in `signal`: the one that it was fitted on.

    Raises:
        ArtifactUnreadable: the file is missing or holds something else.
        ArtifactTooNew: it was written by a later version.
        ArtifactMismatch: it was fitted on another signal.
    """
    place = Path(path)
    try:
        body = canonical.loads(place.read_text(encoding="utf-8"))
        schema = body.get("schema") if isinstance(body, dict) else None
        if isinstance(schema, int) and schema > _SCHEMA:
            raise ArtifactTooNew(f"{place}: written by a later version; upgrade compilm")
        _DOCUMENT(body, "confidence")
        curve = None if body["curve"] is None else curve_from_json(body["curve"])
    except (OSError, ValueError, KeyError) as error:
        raise ArtifactUnreadable(
            f"{place}: no confidence can be read from it ({error}); name a file that "
            "write_confidence wrote"
        ) from error
    if body["signal"] != describe(signal):
        raise ArtifactMismatch(
            f"{place}: fitted on {body['signal']}, and {describe(signal)} is given: a curve is "
            "worth something for its own signal only. Give that one, or fit anew"
        )
    least = body["at_least"]
    return Confidence(
        signal, curve=curve, at_least=Threshold(**least) if isinstance(least, dict) else least
    )
