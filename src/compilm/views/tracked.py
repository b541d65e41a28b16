"""What a tracking server is told of a story: parameters, tags, metrics, a note, tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from .. import canonical
from . import sentences
from .rows import DecisionRow, Interval, Prompt, Spending
from .story import Story

__all__ = [
    "Measured",
    "candidate_metrics",
    "candidate_tags",
    "key",
    "metrics",
    "note",
    "params",
    "prompt_text",
    "table",
    "tags",
]


class Measured(NamedTuple):
    """One figure: its name, its value, when it was known (seconds since 1970), and the step.

    The step is the number of calls made by then, so that every chart has spending for its x axis.
    """

    key: str
    value: float
    at: float
    step: int


def key(name: str) -> str:
    """`name` with what trackers refuse in names replaced.

    >>> key("nodes['draft'].predict")
    'nodes__draft__.predict'
    """
    return re.sub(r"[^a-zA-Z0-9_.-]", "_", name)[:200] or "_"


def params(story: Story) -> dict[str, str]:
    """What went into the run. It stands when the run starts and never changes.

    >>> params(Story("r1", seed=3))["seed"]
    '3'
    """
    found: dict[str, Any] = {
        "level": story.level,
        "optimizer": story.optimizer,
        "seed": story.seed,
        "program": story.program.get("reference"),
        "program.fingerprint": story.program.get("fingerprint"),
        "metric": story.metric.get("name"),
        "metric.fingerprint": story.metric.get("fingerprint"),
        "split": story.split_note,
    }
    found.update({f"budget.{unit}": limit for unit, limit in story.budget.items()})
    found.update({f"model.{key(role)}": model for role, model in story.models.items()})
    found.update({f"version.{key(name)}": version for name, version in story.versions.items()})
    for row in story.data:
        found[f"data.{key(row.split)}.size"] = row.size
        found[f"data.{key(row.split)}.fingerprint"] = row.fingerprint
    return {name: str(value) for name, value in found.items() if value not in (None, "")}


def tags(story: Story) -> dict[str, str]:
    """How the run stands; told again whenever the story goes on."""
    found = {
        "compilm.run": story.run,
        "compilm.kind": "compile",
        "compilm.status": "finished" if story.finished else "unfinished",
        "compilm.verdict": story.verdict,
        "compilm.stop": story.stop,
        "compilm.notice": story.notice,
        "compilm.shipped": story.shipped,
        "compilm.digest": str(story.artifact.get("digest") or ""),
        "mlflow.source.name": "compilm",
        "mlflow.source.type": "LOCAL",
    }
    return {name: value for name, value in found.items() if value}


def metrics(story: Story) -> list[Measured]:
    """The figures of the run as it went, and those of its end."""
    found = [each for row in story.decisions for each in _decided(row)]
    end = story.spent.calls
    named: dict[str, Interval | None] = {}
    if story.confirmed is not None:
        seen = story.confirmed
        named = {"baseline": seen.baseline, "compiled": seen.compiled, "gain": seen.gain}
        named = {f"{seen.split}.{name}": each for name, each in named.items()}
        found.append(Measured(f"{seen.split}.p_better", seen.p_better, story.last, end))
    for name, interval in named.items():
        found += _edges(name, interval, story.last, end)
    return [*found, *_spent(story.spent, story.last)]


def _decided(row: DecisionRow) -> Iterator[Measured]:
    yield from _edges("best", row.best_score, row.at, row.spent.calls, value="best.val")
    if row.score is not None:
        yield Measured("candidate.val", row.score.value, row.at, row.spent.calls)
    yield from _spent(row.spent, row.at)


def _edges(
    name: str, found: Interval | None, at: float, step: int, *, value: str = ""
) -> Iterator[Measured]:
    if found is not None:
        yield Measured(value or name, found.value, at, step)
        yield Measured(f"{name}.low", found.low, at, step)
        yield Measured(f"{name}.high", found.high, at, step)


def _spent(spent: Spending, at: float) -> Iterator[Measured]:
    yield Measured("spent.rollouts", float(spent.rollouts), at, spent.calls)
    yield Measured("spent.tokens", float(spent.tokens), at, spent.calls)
    yield Measured("spent.seconds", spent.seconds, at, spent.calls)
    if spent.usd is not None:
        yield Measured("spent.usd", spent.usd, at, spent.calls)


def candidate_tags(story: Story, id: str) -> dict[str, str]:
    """Where a candidate came from and what became of it."""
    row = story.candidate(id)
    assert row is not None
    found = {
        "compilm.run": story.run,
        "compilm.kind": "candidate",
        "compilm.candidate": id,
        "compilm.parent": row.parent or "",
        "compilm.move": row.move,
        "compilm.note": row.note,
        "compilm.outcome": story.standing(id),
        "compilm.shipped": "yes" if story.finished and story.shipped == id else "",
        "mlflow.source.name": "compilm",
        "mlflow.source.type": "LOCAL",
    }
    return {name: value for name, value in found.items() if value}


def candidate_metrics(story: Story, id: str) -> list[Measured]:
    """What the search measured of a candidate; nothing before its decision."""
    row = story.outcome(id)
    if row is None:
        return []
    step = row.spent.calls
    found = list(_edges("val", row.score, row.at, step, value="val.score"))
    found.append(Measured("val.n", float(row.n), row.at, step))
    if row.candidate != row.incumbent:
        found.append(Measured("val.difference", row.difference, row.at, step))
        found.append(Measured("val.p_better", row.p_better, row.at, step))
    return found


def table(story: Story, id: str, split: str) -> dict[str, Any]:
    """A candidate's rollouts on a split as columns and rows, in the order of the examples' ids."""
    cells = story.cells(id, split)
    rows = [
        [each.example, each.value, each.feedback, each.missing or each.error, each.seconds]
        for _, each in sorted(cells.items())
    ]
    return {"columns": ["example", "score", "feedback", "failure", "seconds"], "data": rows}


def prompt_text(prompt: Prompt) -> str:
    """A prompt as a template without variables: braces that would make one are set apart.

    >>> prompt_text(Prompt("Write a {{kind}} reply.", ({"q": 1},)))
    'Write a { {kind} } reply.\\n\\nDemonstrations:\\n{"q":1}'
    """
    text = prompt.instructions
    if prompt.demos:
        shown = "\n".join(canonical.dumps(dict(demo)) for demo in prompt.demos)
        text = f"{text}\n\nDemonstrations:\n{shown}"
    if prompt.nearest:
        text = f"{text}\n\nDemonstrations for each call: {prompt.nearest}"
    text = re.sub(r"\{(?=[{%#])", "{ ", text)
    return re.sub(r"(?<=[}%#])\}", " }", text)


def note(story: Story) -> str:
    """The run's description in Markdown."""
    lines = [
        f"**{sentences.headline(story)}.** {sentences.finding(story)}",
        "",
        sentences.shipped(story),
        "",
    ]
    if story.notice:
        lines += [f"Models: {story.notice}", ""]
    seen = story.confirmed
    lines += ["| | validation | held out |", "|---|---|---|"]
    tested = (seen.baseline, seen.compiled) if seen is not None else (None, None)
    starts, ends = story.baseline_score, story.best_score
    for name, chosen, held in (("given", starts, tested[0]), ("best", ends, tested[1])):
        lines.append(f"| {name} | {sentences.interval(chosen)} | {sentences.interval(held)} |")
    if seen is not None:
        lines.append(f"| gain | | {sentences.interval(seen.gain, difference=True)} |")
    lines += ["", f"Spent {sentences.spending(story.spent)}."]
    lines += [f"Ended by: {story.stop}."] if story.stop else []
    lines += [f"\n> {text}" for text in story.notes]
    return "\n".join(lines)
