"""A story in a screenful: HTML for a notebook, text for a terminal, and the display as it goes."""

from __future__ import annotations

from html import escape

from . import charts, sentences
from .page import changes
from .story import BASELINE, Story
from .style import PARTS
from .textdiff import prompt_text

__all__ = ["live_html", "summary_html", "summary_text"]


def summary_html(story: Story) -> str:
    """Verdict, proof, curve and changed prompts as a snippet for a notebook.

    >>> "No proven gain" in summary_html(Story("r1", finished=True, verdict="unproven"))
    True
    """
    kind = story.verdict if story.finished else "unfinished"
    notice = f'<div class="cm-notice">Models: {escape(story.notice)}</div>' if story.notice else ""
    curve = charts.progress(story) if story.decisions else ""
    proof = charts.evidence(story)
    parts = [
        f'<p><span class="cm-badge {escape(kind)}">{escape(sentences.headline(story))}</span> '
        f"<b>{escape(story.name)}</b></p>",
        f"<p>{escape(sentences.finding(story))} {escape(sentences.shipped(story))}</p>",
        notice,
        proof,
        curve,
        _folded("What changed", _changed(story)),
        f'<p class="mute">spent {escape(sentences.spending(story.spent))}</p>',
    ]
    return _snippet("".join(parts))


def _snippet(inner: str) -> str:
    return f'<div class="cm" style="max-width:760px"><style>{PARTS}</style>{inner}</div>'


def _folded(title: str, inner: str) -> str:
    return f"<details><summary>{title}</summary>{inner}</details>" if inner else ""


def _changed(story: Story) -> str:
    found = [] if story.challenger == BASELINE else changes(story, story.challenger)
    return "".join(f"<p><code>{escape(path)}</code></p>{shown}" for path, shown in found)


def summary_text(story: Story, *, color: bool = False) -> str:
    """The same for a terminal, without charts.

    >>> print(summary_text(Story("r1", finished=True, verdict="unproven", shipped="c0")))
    No proven gain: Nothing but the given program was tried.
    The artifact holds the given program, unchanged.
    spent  0 rollouts, 0 calls, 0 tokens, $0.00, 0.0 s
    """
    lines = [f"{sentences.headline(story)}: {sentences.finding(story)}", sentences.shipped(story)]
    if story.notice:
        lines.append(f"models {story.notice}")
    lines += [f"note   {note}" for note in story.notes if note != story.notice]
    for path in story.prompts:
        old, new = story.prompt(BASELINE, path), story.prompt(story.challenger, path)
        changed = prompt_text(old, new, color=color)
        if changed:
            lines += ["", path, *(f"  {line}" for line in changed.splitlines()), ""]
    lines.append(f"spent  {sentences.spending(story.spent)}")
    if story.stop:
        lines.append(f"stop   {story.stop}")
    return "\n".join(lines)


def live_html(story: Story) -> str:
    """What a notebook shows while a run goes on.

    >>> "measuring the given program" in live_html(Story("r1"))
    True
    """
    gone = sentences.tightest(story.budget, story.spent)
    bar = told = ""
    if gone is not None:
        unit, share = gone
        bar = f'<div class="cm-bar"><i style="width:{share:.0%}"></i></div>'
        told = f", {share:.0%} of the budget in {unit}"
    won = [row for row in story.decisions if row.outcome == "won"]
    lines = [
        f"best: {story.challenger}, validation {sentences.interval(story.best_score)}",
        f"{sentences.count(max(0, len(story.candidates) - 1), 'candidate')}, "
        f"{sentences.spending(story.spent)}{told}",
        f"last accepted: {sentences.accepted(story, won[-1])}" if won else "",
    ]
    shown = "".join(f"<div>{escape(line)}</div>" for line in lines if line)
    curve = charts.progress(story) if len(story.decisions) > 1 else ""
    title = f"<b>{escape(story.name)}</b> {escape(sentences.phase(story))}"
    return _snippet(f"<p>{title}</p>{bar}{shown}{curve}")
