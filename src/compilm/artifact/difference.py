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
from .predictor import Nearest, Predictor

__all__ = ["Change", "Diff", "NearestDiff", "PredictorDiff", "diff"]

Kind = Literal["same", "added", "removed"]
Demos = tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Change:
    """One figure or name that differs: its path in the artifact, its value before and after."""

    name: str
    before: Json
    after: Json


@dataclass(frozen=True, slots=True)
class NearestDiff:
    """What changed about the demos chosen per call: the choice as text, and the pool's demos.

    >>> list(NearestDiff("none", "8 nearest of a pool of 1 (words-v1)", ({"q": 1},)).lines())[1]
    '  their pool: 1 more, 0 fewer'
    """

    before: str
    after: str
    added: Demos = ()
    removed: Demos = ()

    def lines(self) -> Iterator[str]:
        """This change as lines for a terminal: a pool is counted, not listed."""
        if self.before != self.after:
            yield f"  demos per call: {self.before} -> {self.after}"
        if self.added or self.removed:
            yield f"  their pool: {len(self.added)} more, {len(self.removed)} fewer"
        elif self.before == self.after:
            yield "  their pool changed order"


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
    demos_added: Demos = ()
    demos_removed: Demos = ()
    demos_reordered: bool = False
    shape_changed: bool = False
    nearest: NearestDiff | None = None

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
        if self.nearest is not None:
            yield from self.nearest.lines()


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
    sides = [each.demos if each is not None else () for each in (old, new)]
    added, removed = _only_one_has(*sides)
    chosen = _nearest(*(each.nearest if each is not None else None for each in (old, new)))
    if old is None or new is None:
        before, after = (each.instructions if each is not None else "" for each in (old, new))
        kind: Literal["added", "removed"] = "added" if old is None else "removed"
        return PredictorDiff(path, kind, before, after, added, removed, nearest=chosen)
    return PredictorDiff(
        path,
        "changed",
        old.instructions,
        new.instructions,
        added,
        removed,
        demos_reordered=old.demos != new.demos and not added and not removed,
        shape_changed=(old.role, old.inputs, old.outputs) != (new.role, new.inputs, new.outputs),
        nearest=chosen,
    )


def _nearest(old: Nearest | None, new: Nearest | None) -> NearestDiff | None:
    if old == new:
        return None
    before, after = ("none" if each is None else str(each) for each in (old, new))
    pools = [each.pool if each is not None else () for each in (old, new)]
    return NearestDiff(before, after, *_only_one_has(*pools))


def _only_one_has(old: Demos, new: Demos) -> tuple[Demos, Demos]:
    """Demos that only `new` and that only `old` has, each as often as it is there once more."""
    held, wanted = (Counter(canonical.dumps(demo) for demo in each) for each in (old, new))
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
