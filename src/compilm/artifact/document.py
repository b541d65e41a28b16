"""One artifact as a checked value that cannot be changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from .. import canonical
from ..canonical import Json
from ..errors import ArtifactError, ArtifactTampered, ArtifactTooNew, ArtifactUnreadable
from .form import Departure, checked
from .predictor import Predictor
from .schema import FORM, MIGRATIONS, SCHEMA
from .secrets import secret_in

__all__ = ["Artifact", "parse"]

_SECRET = "looks like a key or password; artifacts are shared, so take it out of the text or data"


@dataclass(frozen=True, slots=True)
class Artifact:
    """One checked artifact. It cannot be changed: what its properties give are fresh copies.

    Made by `Artifact.build`, `parse` and `read`; two artifacts are equal if their files are.
    """

    digest: str
    document: str = field(repr=False)

    @classmethod
    def build(cls, content: Mapping[str, Any], provenance: Mapping[str, Any]) -> Artifact:
        """The artifact of this content: checked, free of secrets, sealed; else `ArtifactError`.

        >>> Artifact.build({}, {})
        Traceback (most recent call last):
        compilm.errors.ArtifactError: this cannot become an artifact: content.adapter: missing
        """
        body = {"content": content, "provenance": provenance}
        try:
            body = checked(body)
            found = secret_in(body)
            if found is not None:
                raise Departure(f"{found}: {_SECRET}")
            FORM(body, "")
        except Departure as departure:
            raise ArtifactError(f"this cannot become an artifact: {departure}") from None
        return _sealed(body)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Artifact:
        """The artifact in a decoded `artifact.json`, checked as `parse` checks a file."""
        try:
            return _verified(checked(document), "artifact")
        except Departure as departure:
            _unreadable("artifact", str(departure))

    def to_json(self) -> dict[str, Any]:
        """The whole document."""
        whole: dict[str, Any] = canonical.loads(self.document)
        return whole

    @property
    def content(self) -> dict[str, Any]:
        """What the artifact is: everything its digest covers."""
        content: dict[str, Any] = self.to_json()["content"]
        return content

    @property
    def provenance(self) -> dict[str, Any]:
        """How it came to be: run, created, spent, versions, notes."""
        provenance: dict[str, Any] = self.to_json()["provenance"]
        return provenance

    @property
    def predictors(self) -> tuple[Predictor, ...]:
        """The predictors with their instructions and demos, in the program's order."""
        return tuple(map(Predictor.from_json, self.content["program"]["predictors"]))

    @property
    def program_reference(self) -> str:
        """`module:attr` of the program it was compiled from, or an empty text."""
        return str(self.content["program"]["reference"])

    @property
    def models(self) -> dict[str, str]:
        """The model each role had during the compile."""
        return dict(self.content["models"])

    @property
    def verdict(self) -> str:
        """What the held-out examples say about the gain."""
        return str(self.content["verdict"])

    @property
    def scores(self) -> dict[str, Any]:
        """`baseline` and `compiled` by split, and `gain`: estimates or `None`."""
        return dict(self.content["scores"])


def parse(data: bytes, where: str = "artifact") -> Artifact:
    """The artifact in these bytes; `where` names them in the message if they are not one.

    >>> parse(b"{}", "a.json")
    Traceback (most recent call last):
    compilm.errors.ArtifactUnreadable: a.json: schema: missing; ...
    """
    try:
        document = checked(canonical.loads(data.decode("utf-8")))
    except (ValueError, RecursionError) as error:
        _unreadable(where, f"not JSON as this program writes it ({error})")
    return _verified(document, where)


def _verified(document: Any, where: str) -> Artifact:
    """The artifact in `document` if schema, seal, digest and form hold, asked in this order."""
    if not isinstance(document, dict):
        _unreadable(where, f"holds a {type(document).__name__}, not an object")
    schema = document.get("schema")
    if type(schema) is not int:
        _unreadable(where, "schema: missing" if schema is None else f"schema: {schema!r}")
    if schema > SCHEMA:
        raise ArtifactTooNew(
            f"{where}: schema {schema} was written by a later compilm; this one reads up to schema "
            f"{SCHEMA}. Upgrade compilm, or compile again with this version"
        )
    _untouched(document, where)
    body = {key: item for key, item in document.items() if key not in ("schema", "digest", "seal")}
    for step in range(schema, SCHEMA):
        if step not in MIGRATIONS:
            _unreadable(where, f"schema {step} is not one that compilm ever wrote")
        body = MIGRATIONS[step](body)
    try:
        FORM(body, "")
    except Departure as departure:
        _unreadable(where, str(departure))
    return _sealed(body)


def _untouched(document: dict[str, Json], where: str) -> None:
    rest = {key: item for key, item in document.items() if key != "seal"}
    if document.get("seal") != canonical.digest(rest):
        raise ArtifactTampered(
            f"{where}: the seal does not match: the file was changed or damaged after it was "
            "written. Restore the original, or compile again"
        )
    if document.get("digest") != canonical.digest(document.get("content")):
        raise ArtifactTampered(
            f"{where}: the digest does not match the content, though the seal does: the file was "
            "put together by hand. Restore the original, or compile again"
        )


def _sealed(body: dict[str, Json]) -> Artifact:
    digest = canonical.digest(body["content"])
    document = {"schema": SCHEMA, "digest": digest, **body}
    return Artifact(digest, canonical.dumps({**document, "seal": canonical.digest(document)}))


def _unreadable(where: str, what: str) -> NoReturn:
    raise ArtifactUnreadable(
        f"{where}: {what}; this is not an artifact that compilm wrote. Restore the original, or "
        "compile again"
    ) from None
