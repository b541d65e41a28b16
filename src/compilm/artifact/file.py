"""Artifacts on disk: read whole, written whole."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import ArtifactError, ArtifactUnreadable
from .document import Artifact, parse

__all__ = ["FILE", "file_bytes", "read", "write"]

FILE = "artifact.json"
MAX_BYTES = 64 * 1024 * 1024


def read(path: str | Path) -> Artifact:
    """The artifact in this directory or file; an `ArtifactError` says what is wrong with it.

    >>> read("nowhere.json")
    Traceback (most recent call last):
    compilm.errors.ArtifactUnreadable: nowhere.json: cannot be read (No such file or directory); ...
    """
    place = Path(path)
    file = place / FILE if place.is_dir() else place
    return parse(file_bytes(file), str(file))


def write(artifact: Artifact, path: str | Path) -> Path:
    """The file written: `artifact.json` in the directory `path`, or `path` itself if it is .json.

    Readers see the old file or the new one, never a part: it is renamed into place when complete.

    >>> import dspy, tempfile
    >>> from compilm import adopt
    >>> program = dspy.Predict("question -> answer")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     program.save(f"{folder}/state.json")
    ...     artifact = adopt(f"{folder}/state.json", program)
    ...     path = write(artifact, f"{folder}/build")
    ...     (path.name, read(path) == artifact)
    ('artifact.json', True)
    """
    place = Path(path)
    file = place if place.suffix == ".json" else place / FILE
    draft = file.with_name(f".{file.name}.{os.getpid()}.draft")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            with draft.open("wb") as out:
                out.write(artifact.document.encode() + b"\n")
                out.flush()
                os.fsync(out.fileno())
            os.replace(draft, file)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise ArtifactError(f"{file}: the artifact cannot be written: {error}") from error
    return file


def file_bytes(file: Path) -> bytes:
    """The bytes of a file of at most 64 MB; else `ArtifactUnreadable`."""
    try:
        with file.open("rb") as source:
            data = source.read(MAX_BYTES + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ArtifactUnreadable(
            f"{file}: cannot be read ({reason}); give the directory or the .json file that was "
            "written"
        ) from error
    if len(data) > MAX_BYTES:
        raise ArtifactUnreadable(
            f"{file}: larger than {MAX_BYTES // 1024**2} MB, which no compile writes; is it the "
            "right file?"
        )
    return data
