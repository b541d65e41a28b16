"""Hypothesis strategies: any artifact, and the parts that artifacts are made of."""

from __future__ import annotations

import string
from typing import Any

from hypothesis import strategies as st

from ..artifact import Artifact, Field, Nearest, Predictor
from ..canonical import text_digest

__all__ = ["artifacts", "contents", "estimates", "fields", "json_values", "predictors", "texts"]


def texts(max_size: int = 30) -> st.SearchStrategy[str]:
    """Any text that UTF-8 can hold: no lone surrogates."""
    return st.text(st.characters(exclude_categories=["Cs"]), max_size=max_size)


def names() -> st.SearchStrategy[str]:
    """Names as programs use them: lower-case identifiers."""
    first, rest = string.ascii_lowercase, string.ascii_lowercase + string.digits + "_"
    return st.builds(str.__add__, st.sampled_from(first), st.text(rest, max_size=7))


def json_values() -> st.SearchStrategy[Any]:
    """Any JSON value of moderate size."""
    numbers = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
    return st.recursive(
        st.none() | st.booleans() | numbers | texts(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts(8), inner, max_size=3),
        max_leaves=5,
    )


def fields() -> st.SearchStrategy[Field]:
    """One field of a predictor."""
    types = st.sampled_from(["str", "int", "list[str]", "Literal['a', 'b']"])
    return st.builds(Field, names(), types, texts(12))


@st.composite
def predictors(draw: st.DrawFn, path: str | None = None) -> Predictor:
    """A predictor with one to four fields, up to three demos, and perhaps a pool of more."""
    declared = draw(st.lists(fields(), min_size=1, max_size=4, unique_by=lambda each: each.name))
    cut = draw(st.integers(0, len(declared)))
    demo = st.dictionaries(st.sampled_from([each.name for each in declared]), json_values())
    return Predictor(
        path=path if path is not None else draw(names()),
        role=draw(st.sampled_from(["default", "judge"])),
        inputs=tuple(declared[:cut]),
        outputs=tuple(declared[cut:]),
        instructions=draw(texts(60)),
        demos=tuple(draw(st.lists(demo, max_size=3))),
        nearest=draw(
            st.none()
            | st.builds(
                Nearest,
                st.integers(1, 16),
                st.just("words-v1"),
                st.lists(demo, max_size=3).map(tuple),
            )
        ),
    )


def estimates() -> st.SearchStrategy[dict[str, Any] | None]:
    """An estimate as it stands in the file, or none."""
    share = st.floats(0, 1)
    shape = {"value": share, "low": share, "high": share, "n": st.integers(0, 10_000)}
    return st.none() | st.fixed_dictionaries(shape)


@st.composite
def contents(draw: st.DrawFn) -> dict[str, Any]:
    """The content of an artifact: everything its digest covers."""
    paths = draw(st.lists(names(), min_size=1, max_size=3, unique=True))
    digests = texts(4).map(text_digest)
    splits = st.fixed_dictionaries({"val": estimates(), "test": estimates()})
    split = st.fixed_dictionaries(
        {"name": names(), "size": st.integers(0, 999), "fingerprint": digests}
    )
    limits = {"rollouts": st.none() | st.integers(0, 9999), "usd": st.none() | st.floats(0, 99)}
    return {
        "program": {
            "reference": draw(st.sampled_from(["", "claims.program:ClaimsDesk"])),
            "fingerprint": draw(digests),
            "inputs": draw(st.lists(names(), max_size=2)),
            "outputs": draw(st.lists(names(), max_size=2)),
            "predictors": [draw(predictors(path)).to_json() for path in paths],
        },
        "adapter": draw(st.sampled_from(["ChatAdapter", "JSONAdapter", "XMLAdapter"])),
        "models": draw(st.dictionaries(names(), names(), max_size=2)),
        "metric": {"name": draw(names()), "fingerprint": draw(digests)},
        "data": draw(st.dictionaries(st.sampled_from(["train", "val", "test"]), split)),
        "scores": {
            "baseline": draw(splits),
            "compiled": draw(splits),
            "gain": draw(estimates()),
        },
        "verdict": draw(st.sampled_from(["proven", "likely", "unproven", "no-headroom"])),
        "search": {
            "level": draw(st.none() | st.integers(0, 3)),
            "optimizer": draw(st.none() | names()),
            "budget": draw(st.fixed_dictionaries({}, optional=limits)),
            "seed": draw(st.integers(0, 99)),
        },
        "parent": draw(st.none() | digests),
    }


@st.composite
def artifacts(draw: st.DrawFn) -> Artifact:
    """Any artifact."""
    spent = {"rollouts": st.integers(0, 9999), "calls": st.integers(0, 9999)}
    price = {"usd": st.none() | st.floats(0, 99), "seconds": st.floats(0, 9999)}
    provenance = {
        "run": draw(names()),
        "created": draw(st.datetimes()).isoformat() + "+00:00",
        "spent": draw(st.fixed_dictionaries({**spent, **price})),
        "versions": draw(st.dictionaries(names(), names(), max_size=3)),
        "notes": draw(st.lists(json_values(), max_size=2)),
    }
    return Artifact.build(draw(contents()), provenance)
