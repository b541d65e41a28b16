"""The form of an artifact, field by field: what schema 2 allows and nothing else.

Schema 1 had no `nearest` in a predictor; its files are read as they stand.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from ..canonical import Json
from .form import (
    Departure,
    anything,
    count,
    integer,
    list_of,
    mapping_of,
    name,
    number,
    or_null,
    record,
    text,
)

__all__ = ["FORM", "MIGRATIONS", "NEAREST", "SCHEMA"]

SCHEMA = 2

# What turns a body of an older schema into one of the next: {schema it reads: function}.
MIGRATIONS: Mapping[int, Callable[[dict[str, Json]], dict[str, Json]]] = {1: lambda body: body}

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def _digest(value: Json, at: str) -> None:
    text(value, at)
    if not _DIGEST.fullmatch(str(value)):
        raise Departure(f"{at}: {value!r} is not a digest")


def _digest_or_empty(value: Json, at: str) -> None:
    if value != "":
        _digest(value, at)


def _moment(value: Json, at: str) -> None:
    text(value, at)
    try:
        utc = datetime.fromisoformat(str(value)).utcoffset() == timedelta(0)
    except ValueError:
        utc = False
    if not utc:
        raise Departure(f"{at}: {value!r} is not an ISO date and time in UTC")


def _predictors(value: Json, at: str) -> None:
    list_of(_PREDICTOR)(value, at)
    bodies: Any = value
    _distinct([body["path"] for body in bodies], at)
    for index, body in enumerate(bodies):
        _distinct([each["name"] for each in body["inputs"] + body["outputs"]], f"{at}[{index}]")


def _distinct(names: list[str], at: str) -> None:
    twice = [each for each in names if names.count(each) > 1]
    if twice:
        raise Departure(f"{at}: {twice[0]!r} stands twice")


def _at_least_one(value: Json, at: str) -> None:
    count(value, at)
    if value == 0:
        raise Departure(f"{at}: expected 1 or more, found 0")


NEAREST = record(k=_at_least_one, embedder=name, pool=list_of(mapping_of(anything)))
_FIELD = record(name=name, type=text, desc=text)
_PREDICTOR = record(
    optional="nearest",
    path=name,
    role=name,
    inputs=list_of(_FIELD),
    outputs=list_of(_FIELD),
    instructions=text,
    demos=list_of(mapping_of(anything)),
    nearest=NEAREST,
)
_LIMITS = record(
    optional="rollouts calls tokens usd seconds",
    rollouts=or_null(count),
    calls=or_null(count),
    tokens=or_null(count),
    usd=or_null(number),
    seconds=or_null(number),
)
_ESTIMATE = or_null(record(value=number, low=number, high=number, n=count))
_SPLITS = record(optional="train val test", train=_ESTIMATE, val=_ESTIMATE, test=_ESTIMATE)
FORM = record(
    content=record(
        program=record(
            reference=text,
            fingerprint=_digest,
            inputs=list_of(name),
            outputs=list_of(name),
            predictors=_predictors,
        ),
        adapter=name,
        models=mapping_of(name),
        metric=record(name=text, fingerprint=_digest_or_empty),
        data=mapping_of(or_null(record(name=text, size=count, fingerprint=_digest_or_empty))),
        scores=record(baseline=_SPLITS, compiled=_SPLITS, gain=_ESTIMATE),
        verdict=name,
        search=record(
            level=or_null(integer), optimizer=or_null(text), budget=_LIMITS, seed=integer
        ),
        parent=or_null(_digest),
    ),
    provenance=record(
        run=text,
        created=_moment,
        spent=_LIMITS,
        versions=mapping_of(text),
        notes=list_of(anything),
    ),
)
