"""Indexes on disk: data in a folder, each file with its digest, beside the artifact that uses it.

`index.json` is the one file with a fixed name. The others carry their digest in their names and
are written first, so that a reader sees the old index or the new one.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from .. import canonical
from ..errors import (
    ArtifactError,
    ArtifactMismatch,
    ArtifactTampered,
    ArtifactTooNew,
    ArtifactUnreadable,
)
from .passages import Passage

__all__ = ["Saved", "read_index", "write_index"]

FORM: Final = 1
FILE: Final = "index.json"
_PASSAGES: Final = "passages"
_MARK = re.compile(r"sha256:[0-9a-f]{64}")
_KEYS = {"digest", "files", "form", "kind", "settings", "size"}


@dataclass(frozen=True, slots=True)
class Saved:
    """An index as data: its kind, its settings, its passages by place, other files by name."""

    kind: str
    settings: Mapping[str, Any]
    passages: Mapping[int, Passage]
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)


def write_index(folder: str | Path, saved: Saved) -> str:
    """Write an index into a folder, over the one that is there; the digest over all of it."""
    place = Path(folder)
    contents = {_PASSAGES: _lines(saved.passages), **saved.files}
    body: dict[str, Any] = {
        "form": FORM,
        "kind": saved.kind,
        "settings": canonical.plain(dict(saved.settings)),
        "size": len(saved.passages),
        "files": {name: _digest(data) for name, data in contents.items()},
    }
    digest = canonical.digest(body)
    try:
        place.mkdir(parents=True, exist_ok=True)
        for name, data in contents.items():
            _write(place / _named(name, body["files"][name]), data)
        _write(place / FILE, canonical.dumps({**body, "digest": digest}).encode() + b"\n")
        _clear(place, body["files"])
    except OSError as error:
        raise ArtifactError(f"{place}: the index cannot be written: {error}") from error
    return digest


def read_index(folder: str | Path, kinds: Iterable[str], *, digest: str | None = None) -> Saved:
    """The index in a folder, every byte of it checked before it is used.

    `digest` is what `write_index` gave, if only that one will do: then nobody can exchange index
    and digests together.

    Raises:
        ArtifactUnreadable: missing, or not an index.
        ArtifactTampered: a file was changed.
        ArtifactTooNew: a later form, or a kind that this version does not know.
        ArtifactMismatch: another index than the one with `digest`, or of another kind.
    """
    place = Path(folder)
    body = _head(place / FILE)
    if digest is not None and body["digest"] != digest:
        raise ArtifactMismatch(
            f"{place} holds the index {canonical.short(body['digest'])}, not "
            f"{canonical.short(digest)}: build it again, or give the digest of this one"
        )
    if body["kind"] not in kinds:
        raise ArtifactMismatch(
            f"{place} holds an index of kind {body['kind']!r}, and {' or '.join(kinds)} was asked "
            "for: load it with the class that wrote it"
        )
    contents = {name: _checked(place, name, mark) for name, mark in body["files"].items()}
    passages = _passages(contents.pop(_PASSAGES))
    if len(passages) != body["size"]:
        raise _unreadable(place, f"{len(passages)} passages instead of {body['size']}")
    return Saved(body["kind"], body["settings"], passages, contents)


def _head(file: Path) -> dict[str, Any]:
    try:
        body = canonical.loads(_bytes(file))
    except (ValueError, RecursionError) as error:
        raise _unreadable(file, f"not JSON ({error})") from None
    if not isinstance(body, dict) or not isinstance(body.get("form"), int):
        raise _unreadable(file, "no `form`")
    if body["form"] > FORM:
        raise ArtifactTooNew(
            f"{file}: form {body['form']} was written by a later compilm; this one reads up to "
            f"{FORM}. Upgrade compilm, or build the index again"
        )
    if body.keys() != _KEYS or not _are_files(body["files"]):
        raise _unreadable(file, "keys are missing or unknown")
    rest = {key: value for key, value in body.items() if key != "digest"}
    if canonical.digest(rest) != body["digest"]:
        raise _tampered(file)
    return body


def _are_files(files: Any) -> bool:
    return (
        isinstance(files, dict)
        and _PASSAGES in files
        and all(name.isidentifier() and _MARK.fullmatch(str(files[name])) for name in files)
    )


def _checked(place: Path, name: str, digest: str) -> bytes:
    file = place / _named(name, digest)
    data = _bytes(file)
    if _digest(data) != digest:
        raise _tampered(file)
    return data


def _lines(passages: Mapping[int, Passage]) -> bytes:
    return b"".join(
        canonical.dumps(
            {
                "place": place,
                "id": each.id,
                "text": each.text,
                "metadata": canonical.plain(dict(each.metadata)),
                "document": each.document,
                "start": each.start,
                "end": each.end,
            }
        ).encode("utf-8", "surrogatepass")
        + b"\n"
        for place, each in passages.items()
    )


def _passages(data: bytes) -> dict[int, Passage]:
    found: dict[int, Passage] = {}
    for line in data.decode("utf-8", "surrogatepass").split("\n"):
        if line:
            row = canonical.loads(line)
            at = row.pop("place")
            found[at] = Passage(**row)
    return found


def _named(name: str, digest: str) -> str:
    return (
        f"{name}-{canonical.short(digest)}.bin"
        if name != _PASSAGES
        else (f"{name}-{canonical.short(digest)}.jsonl")
    )


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _write(file: Path, data: bytes) -> None:
    draft = file.with_name(f".{file.name}.{os.getpid()}.draft")
    try:
        with draft.open("wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        os.replace(draft, file)
    finally:
        draft.unlink(missing_ok=True)


def _clear(place: Path, files: Mapping[str, str]) -> None:
    """Remove the files of an index that was here before."""
    kept = {_named(name, digest) for name, digest in files.items()}
    for pattern in ("*-????????????.bin", "*-????????????.jsonl"):
        for old in place.glob(pattern):
            if old.name not in kept:
                old.unlink(missing_ok=True)


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise _unreadable(file, error.strerror or type(error).__name__) from error


def _unreadable(place: Path, what: str) -> ArtifactUnreadable:
    return ArtifactUnreadable(
        f"{place}: {what}; this is not an index that compilm wrote. Restore it, or build it again"
    )


def _tampered(file: Path) -> ArtifactTampered:
    return ArtifactTampered(
        f"{file}: the digest does not match: the file was changed or damaged after it was "
        "written. Restore the original, or build the index again"
    )
