"""An artifact as a page of text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .. import canonical
from .document import Artifact
from .predictor import Predictor

__all__ = ["describe", "estimate_text"]


def describe(artifact: Artifact) -> str:
    """What the artifact is, what it scored, what it cost and what it says to the models.

    >>> import dspy, tempfile
    >>> from compilm import adopt
    >>> program = dspy.Predict("question -> answer")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     program.save(f"{folder}/state.json")
    ...     print(describe(adopt(f"{folder}/state.json", program)).splitlines()[-3])
    self (default)  question: str -> answer: str
    """
    return "\n".join(_lines(artifact))


def _lines(artifact: Artifact) -> Iterator[str]:
    content, provenance = artifact.content, artifact.provenance
    program = content["program"]["reference"] or "(a program without a reference)"
    yield f"{program}  {canonical.short(artifact.digest)}  {artifact.verdict}"
    yield f"compiled {provenance['created']}, run {provenance['run'] or 'unknown'}"
    yield ""
    yield from _row("metric", content["metric"]["name"] or "none")
    yield from _scores(content["scores"])
    yield from _row("models", ", ".join(f"{k}: {v}" for k, v in content["models"].items()))
    yield from _row("adapter", content["adapter"])
    sizes = [f"{name} {split['size']}" for name, split in content["data"].items() if split]
    yield from _row("data", ", ".join(sizes))
    yield from _row("spent", _spent(provenance["spent"]))
    yield from _row("versions", ", ".join(f"{k} {v}" for k, v in provenance["versions"].items()))
    for note in provenance["notes"]:
        yield from _row("note", note if isinstance(note, str) else canonical.dumps(note))
    for predictor in artifact.predictors:
        yield ""
        yield from _predictor(predictor)


def _row(label: str, value: str) -> Iterator[str]:
    if value:
        yield f"  {label:<10}{value}"


def _scores(scores: dict[str, Any]) -> Iterator[str]:
    for side in ("baseline", "compiled"):
        for split, estimate in scores[side].items():
            yield from _row(side, f"{split} {estimate_text(estimate)}" if estimate else "")
    yield from _row("gain", estimate_text(scores["gain"]) if scores["gain"] else "")


def estimate_text(estimate: dict[str, Any]) -> str:
    """An estimate in one line.

    >>> estimate_text({"value": 0.5, "low": 0.25, "high": 0.75, "n": 8})
    '0.5 [0.25, 0.75] n=8'
    """
    return "{value:.4g} [{low:.4g}, {high:.4g}] n={n}".format(**estimate)


def _spent(spent: dict[str, Any]) -> str:
    known = {key: value for key, value in spent.items() if value is not None}
    price = ["price unknown"] if spent.get("usd", 0) is None else []
    return ", ".join([f"{value:g} {key}" for key, value in known.items()] + price)


def _predictor(predictor: Predictor) -> Iterator[str]:
    inputs, outputs = (
        ", ".join(f"{field.name}: {field.type}" for field in fields)
        for fields in (predictor.inputs, predictor.outputs)
    )
    yield f"{predictor.path} ({predictor.role})  {inputs} -> {outputs}"
    yield from (f"  | {line}" for line in predictor.instructions.splitlines())
    yield f"  {len(predictor.demos)} demo{'' if len(predictor.demos) == 1 else 's'}"
    if predictor.nearest is not None:
        yield f"  for each call the {predictor.nearest}"
