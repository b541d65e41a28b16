"""The tables of a report: candidates, held-out examples, spending by role, data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from .. import canonical
from .rows import Pair, RolloutRow
from .sentences import figure, interval, money, signed
from .story import BASELINE, Story

__all__ = ["candidates", "data", "examples", "facts", "roles", "table"]

_MOST = 200
_FEEDBACK = 240


def table(head: Sequence[str], rows: Iterable[tuple[str, Sequence[str]]]) -> str:
    """A table from cells that are HTML already; a name that starts with `#` heads a numeric column.

    >>> table(["id", "#n"], [("best", ["c1", "3"])]).count('class="num"')
    2
    """
    kinds = [' class="num"' if name.startswith("#") else "" for name in head]
    names = zip(kinds, head, strict=True)
    top = "".join(f"<th{kind}>{escape(name.lstrip('#'))}</th>" for kind, name in names)
    body = "".join(
        (f'<tr class="{marked}">' if marked else "<tr>")
        + "".join(f"<td{kind}>{cell}</td>" for kind, cell in zip(kinds, cells, strict=True))
        + "</tr>"
        for marked, cells in rows
    )
    return f'<div class="cm-wide"><table><thead><tr>{top}</tr></thead>{body}</table></div>'


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Names with what is known of them, as a list; both are text and get escaped.

    >>> facts([("seed", "0"), ("note", "")])
    '<dl><dt>seed</dt><dd>0</dd></dl>'
    """
    shown = (f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in pairs if v)
    return f"<dl>{''.join(shown)}</dl>"


def candidates(story: Story) -> str:
    """Every candidate: its move, its parent, its score, and what the search made of it."""
    head = ["", "move", "from", "#n", "#validation score", "#difference", "#chance", "outcome"]
    return table(head, (_candidate(story, row.id) for row in story.candidates))


def _candidate(story: Story, id: str) -> tuple[str, list[str]]:
    row, decided = story.candidate(id), story.outcome(id)
    assert row is not None
    best = id == (story.shipped or story.challenger)
    note = f'<br><span class="mute">{escape(row.note)}</span>' if row.note else ""
    named = [escape(row.id), escape(row.move) + note, escape(row.parent or "")]
    if decided is None:
        word = "shipped" if best and story.finished else story.standing(id)
        state = f'<span class="mute">{word}</span>'
        return "best" if best else "", [*named, "", "", "", "", state]
    held = decided.candidate != decided.incumbent and decided.n > 0
    score = story.baseline_score if id == BASELINE else decided.score
    outcome = escape(decided.outcome) + (", shipped" if best and story.finished else "")
    return "best" if best else "", [
        *named,
        f"{score.n if score else decided.n:,}",
        interval(score),
        _tinted(decided.difference) if held else "",
        f"{decided.p_better:.2f}" if held else "",
        f'<span class="good">{outcome}</span>' if decided.outcome == "won" else outcome,
    ]


def _tinted(difference: float | None) -> str:
    if difference is None:
        return ""
    kind = "good" if difference > 0 else "bad" if difference < 0 else "mute"
    return f'<span class="{kind}">{signed(difference)}</span>'


def examples(story: Story, split: str) -> str:
    """The examples both programs were held against, the worst for the compiled one first."""
    pairs = sorted(story.pairs(split), key=_badness)
    with_inputs = any(_inputs(pair) for pair in pairs)
    head = ["example", *(["inputs"] if with_inputs else []), "#given", "#compiled", "#difference",
            "feedback on the compiled answer"]  # fmt: skip
    shown = table(head, (("", _example(pair, with_inputs)) for pair in pairs[:_MOST]))
    left = len(pairs) - _MOST
    more = f'<p class="mute">{left:,} more, all with higher scores, are in the journal.</p>'
    return shown + (more if left > 0 else "")


def _badness(pair: Pair) -> tuple[float, float, str]:
    value = pair.after.value if pair.after else None
    return (-1e9 if value is None else value, pair.difference or 0.0, pair.example)


def _inputs(pair: Pair) -> str:
    return next((side.inputs for side in (pair.after, pair.before) if side and side.inputs), "")


def _example(pair: Pair, with_inputs: bool) -> list[str]:
    inputs = [escape(_cut(_inputs(pair)))] if with_inputs else []
    said = (pair.after.error or pair.after.missing or pair.after.feedback) if pair.after else ""
    return [
        f"<code>{escape(_cut(pair.example, 40))}</code>",
        *inputs,
        _score(pair.before),
        _score(pair.after),
        _tinted(pair.difference),
        escape(_cut(said)),
    ]


def _score(row: RolloutRow | None) -> str:
    if row is None or row.value is None:
        return '<span class="mute">none</span>'
    return figure(row.value)


def _cut(text: str, most: int = _FEEDBACK) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def roles(story: Story) -> str:
    """What each role asked of its model; empty where no call was answered."""
    if not story.usage:
        return ""
    head = ["role", "model", "#calls", "#tokens in", "#tokens out", "#price"]
    return table(
        head,
        (
            (
                "",
                [
                    escape(each.role),
                    escape(each.model or story.models.get(each.role, "")),
                    f"{each.calls:,}",
                    f"{each.input_tokens:,}",
                    f"{each.output_tokens:,}",
                    money(each.usd),
                ],
            )
            for each in story.usage
        ),
    )


def data(story: Story) -> str:
    """The splits: what each was for, its size and the start of its fingerprint."""
    uses = {"train": "to learn from", "val": "to choose by", "test": "held out, for the proof"}
    rows = (
        (
            "",
            [
                escape(row.split),
                uses.get(row.split, ""),
                escape(row.name),
                f"{row.size:,}",
                f"<code>{escape(canonical.short(row.fingerprint))}</code>",
            ],
        )
        for row in story.data
    )
    return table(["split", "used", "data set", "#examples", "fingerprint"], rows)
