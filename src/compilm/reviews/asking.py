"""How a program asks: a pause that carries why, a draft, and what an answer consists of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..confidence import Case
from ..errors import UsageError
from ..graphs import Pause

__all__ = ["AskPerson", "asking"]


def asking(
    question: str,
    *,
    fields: Sequence[str],
    reason: str = "",
    draft: Mapping[str, Any] | None = None,
    fallback: Mapping[str, Any] | None = None,
    within: float | None = None,
    **details: Any,
) -> Pause:
    """The pause to raise in a node of a graph: it becomes a review, as `Review` tells its parts.

    `fields` are the names of the arguments with which the node is called again; a `fallback` gives
    each of them. Raises `UsageError` where it does not.

    >>> def approve(draft, approved=None):
    ...     if approved is None:
    ...         raise asking("May this be sent?", fields=["approved"], reason="a refund")
    ...     return {"sent": approved}
    """
    if isinstance(fields, str):
        raise UsageError(f"fields is a list of names: fields=[{fields!r}]")
    if fallback is not None and set(fallback) != set(fields):
        raise UsageError(
            f"the fallback gives {', '.join(fallback) or 'nothing'}, and an answer consists of "
            f"{', '.join(fields)}"
        )
    told = {"reason": reason, "draft": dict(draft or {}), "fields": list(fields)}
    return Pause(question, **told, fallback=fallback, within=within, **details)


@dataclass(frozen=True, slots=True)
class AskPerson:
    """A person as the last step of an `Escalate` that is a node of a graph.

    The reason is why each step was refused: a low confidence, a check that said no, an answer that
    could not be read. The draft is what the last of them said for these `fields`, unless `show`
    chooses what a person sees. Give the `Escalate` the same names as `answers`.

    >>> AskPerson("What is right?", fields=("answer",)).fields
    ('answer',)
    """

    question: str
    fields: tuple[str, ...]
    fallback: Mapping[str, Any] | None = None
    within: float | None = None
    show: Callable[[Case], Mapping[str, Any]] | None = None

    def __call__(self, case: Case) -> Any:
        raise asking(
            self.question,
            fields=self.fields,
            reason="; ".join(f"{one.step}: {one.verdict.reason}" for one in case.tried),
            draft=self.show(case) if self.show is not None else self._draft(case),
            fallback=self.fallback,
            within=self.within,
        )

    def _draft(self, case: Case) -> dict[str, Any]:
        said = [one.prediction for one in case.tried if one.prediction is not None]
        return {name: said[-1].get(name) for name in self.fields} if said else {}
