"""What changed between two artifacts, as values and as text."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from .. import canonical
from ..canonical import Json
from .description import estimate_text
from .document import Artifact
from .predictor import Predictor

__all__ = ["Change", "Diff", "PredictorDiff", "diff"]

Kind = Literal["same", "added", "removed"]


@dataclass(frozen=True, slots=True)
class Change:
    """One figure or name that differs: its path in the artifact, its value before and after."""

    name: str
    before: Json
    after: Json


@dataclass(frozen=True, slots=True)
class PredictorDiff:
    """What changed about one predictor. A side where it does not stand has empty instructions.

    `words()` is the instructions as runs of words, for a display of one text with marks.

    >>> change = PredictorDiff("draft", "changed", "Answer now.", "Answer briefly now.")
    >>> change.words()
    (('same', 'Answer '), ('added', 'briefly '), ('same', 'now.'))
    """

    path: str
    kind: Literal["added", "removed", "changed"]
    before: str
    after: str
    demos_added: tuple[dict[str, Any], ...] = ()
    demos_removed: tuple[dict[str, Any], ...] = ()
    demos_reordered: bool = False
    shape_changed: bool = False

    def words(self) -> tuple[tuple[Kind, str], ...]:
        """Runs of words that both have, that only the new has, and that only the old has."""
        old, new = _words(self.before), _words(self.after)
        runs: list[tuple[Kind, str]] = []
        matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
        for tag, i, j, k, m in matcher.get_opcodes():
            if tag == "equal":
                runs.append(("same", "".join(old[i:j])))
                continue
            runs += [("removed", "".join(old[i:j]))] * (i < j)
            runs += [("added", "".join(new[k:m]))] * (k < m)
        return tuple(runs)

    def lines(self) -> Iterator[str]:
        """This change as lines for a terminal."""
        yield f"predictor {self.path}" + ("" if self.kind == "changed" else f" ({self.kind})")
        if self.shape_changed:
            yield "  its fields changed"
        if self.before != self.after:
            yield "  instructions"
            pair = self.before.splitlines(), self.after.splitlines()
            yield from (f"  {line}" for line in difflib.ndiff(*pair) if line[:1] in "+-")
        if self.demos_reordered:
            yield "  its demos changed order"
        for sign, demos in (("-", self.demos_removed), ("+", self.demos_added)):
            yield from (f"  {sign} demo {canonical.dumps(demo)}" for demo in demos)


@dataclass(frozen=True, slots=True)
class Diff:
    """Everything that differs in the content of two artifacts; false if nothing does."""

    predictors: tuple[PredictorDiff, ...]
    changes: tuple[Change, ...]

    def __bool__(self) -> bool:
        return bool(self.predictors or self.changes)

    def text(self) -> str:
        """The difference for a terminal, one change a line."""
        lines = [line for each in self.predictors for line in each.lines()]
        lines += [f"{c.name}: {_shown(c.before)} -> {_shown(c.after)}" for c in self.changes]
        return "\n".join(lines) or "no difference"


def diff(before: Artifact, after: Artifact) -> Diff:
    """What `after` has that `before` has not, and the other way round.

    Provenance is left out: two artifacts with one digest do not differ.

    >>> import dspy, tempfile
    >>> from compilm import adopt
    >>> program = dspy.Predict("question -> answer")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     program.save(f"{folder}/state.json")
    ...     before = adopt(f"{folder}/state.json", program)
    ...     after = adopt(f"{folder}/state.json", program, reference="claims:Desk")
    >>> print(diff(before, after).text())
    program.reference:  -> claims:Desk
    """
    old = {each.path: each for each in before.predictors}
    new = {each.path: each for each in after.predictors}
    compared = (_compared(path, old.get(path), new.get(path)) for path in {**old, **new})
    pair = _leaves(before), _leaves(after)
    changes = tuple(
        Change(name, pair[0].get(name), pair[1].get(name))
        for name in {**pair[0], **pair[1]}
        if pair[0].get(name) != pair[1].get(name)
    )
    return Diff(tuple(each for each in compared if each is not None), changes)


def _compared(path: str, old: Predictor | None, new: Predictor | None) -> PredictorDiff | None:
    if old == new:
        return None
    added, removed = _demos(old, new)
    if old is None or new is None:
        before, after = (each.instructions if each is not None else "" for each in (old, new))
        return PredictorDiff(
            path, "added" if old is None else "removed", before, after, added, removed
        )
    return PredictorDiff(
        path,
        "changed",
        old.instructions,
        new.instructions,
        added,
        removed,
        demos_reordered=old.demos != new.demos and not added and not removed,
        shape_changed=(old.role, old.inputs, old.outputs) != (new.role, new.inputs, new.outputs),
    )


def _demos(
    old: Predictor | None, new: Predictor | None
) -> tuple[tuple[dict[str, Any], ...], tuple[dict[str, Any], ...]]:
    """Demos that only `new` and that only `old` has, each as often as it is there once more."""
    held, wanted = (
        Counter(canonical.dumps(demo) for demo in (each.demos if each is not None else ()))
        for each in (old, new)
    )
    added, removed = wanted - held, held - wanted
    return (
        tuple(canonical.loads(demo) for demo in added.elements()),
        tuple(canonical.loads(demo) for demo in removed.elements()),
    )


def _leaves(artifact: Artifact) -> dict[str, Json]:
    """The figures and names of the content by path, predictors and estimates' insides left out."""
    content = artifact.content
    del content["program"]["predictors"]
    return dict(_flat(content, ""))


def _flat(value: Json, at: str) -> Iterator[tuple[str, Json]]:
    if isinstance(value, dict) and "low" not in value:
        for key, item in value.items():
            yield from _flat(item, f"{at}.{key}" if at else key)
    else:
        yield at, value


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return estimate_text(value)
    return "none" if value is None else str(value)


def _words(text: str) -> list[str]:
    """The words with the space after each, so that joined they give the text."""
    return re.findall(r"\S+\s*|\s+", text)
