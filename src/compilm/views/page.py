"""The report: one page that tells a newcomer what came out, and an expert why to believe it."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from .. import canonical
from . import charts, sentences, tables
from .story import BASELINE, Story
from .style import PAGE, PARTS
from .textdiff import prompt_html

__all__ = ["changes", "page"]

_OPEN = 30  # examples up to which their table is unfolded on a screen; on paper it always is


def page(story: Story) -> str:
    """The whole report as one HTML file: no scripts, nothing loaded from elsewhere.

    >>> from .rows import Spending
    >>> page(Story("r1", name="desk")).startswith("<!doctype html>")
    True
    """
    title = story.name or "compile"
    body = "".join(
        [
            _head(story, title),
            _notes(story),
            _figures(story),
            _evidence(story),
            _search(story),
            _changed(story),
            _examples(story),
            _spent(story),
            _data(story),
            _made(story),
            f"<footer>Written by compilm {escape(story.versions.get('compilm', ''))} from the "
            "journal of the run.</footer>",
        ]
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}: {escape(sentences.headline(story))}</title>"
        f"<style>{PARTS}{PAGE}</style></head>"
        f'<body class="cm"><main>{body}</main></body></html>\n'
    )


def _section(title: str, why: str, parts: Iterable[str]) -> str:
    inner = "".join(parts)
    if not inner:
        return ""
    reason = f'<p class="why">{why}</p>' if why else ""
    return f"<section><h2>{escape(title)}</h2>{reason}{inner}</section>"


def _figure(svg: str) -> str:
    return f'<div class="figure">{svg}</div>' if svg else ""


def _head(story: Story, title: str) -> str:
    kind = story.verdict if story.finished else "unfinished"
    notice = f'<div class="cm-notice">Models: {escape(story.notice)}</div>' if story.notice else ""
    return (
        f'<div class="eyebrow">compile report · {sentences.moment(story.started)}</div>'
        f"<h1>{escape(title)}</h1>"
        f'<span class="cm-badge {escape(kind)}">{escape(sentences.headline(story))}</span>'
        f'<p class="lead">{escape(sentences.finding(story))}</p>'
        f"<p>{escape(sentences.shipped(story))}</p>{notice}"
    )


def _notes(story: Story) -> str:
    return "".join(
        f'<div class="cm-notice">{escape(note)}</div>'
        for note in story.notes
        if note not in (story.notice, story.split_note)
    )


def _figures(story: Story) -> str:
    seen, spent = story.confirmed, story.spent
    found = []
    if seen is not None and seen.baseline and seen.compiled and seen.gain:
        edges = sentences.interval(seen.gain, difference=True).partition(" ")[2]
        found = [
            (sentences.figure(seen.baseline.value), f"given program, {seen.split}"),
            (sentences.figure(seen.compiled.value), f"{charts.named(story)}, {seen.split}"),
            (sentences.signed(seen.gain.value), f"gain {edges}"),
        ]
    elif story.best_score is not None:
        found = [(sentences.figure(story.best_score.value), "best validation score")]
        held = story.baseline.get("test")
        if held is not None:
            found.append((sentences.figure(held.value), "given program, test"))
    used = [
        (f"{spent.rollouts:,}", "rollouts"),
        (f"{spent.calls:,}", "calls to a model"),
        ("unknown" if spent.usd is None else sentences.money(spent.usd), "price"),
        (sentences.span(spent.seconds), "time"),
    ]
    return _boxes(found, "figures first") + _boxes(used, "figures")


def _boxes(pairs: Iterable[tuple[str, str]], kind: str) -> str:
    cells = "".join(f"<div><b>{escape(a)}</b><span>{escape(b)}</span></div>" for a, b in pairs)
    return f'<div class="{kind}">{cells}</div>' if cells else ""


def _evidence(story: Story) -> str:
    why = (
        "Both programs answered the same examples, none of which the search had seen. The gain is "
        "measured on these alone, and drawn in by the chance, with what the search saw, that there "
        "is none. A 95 % interval covers the true score in 95 of 100 such measurements; a gain is "
        "proven when the whole of both intervals lies above 0."
    )
    title = "The proof" if story.verdict == "proven" else "The held-out comparison"
    return _section(title, why, [_figure(charts.evidence(story))])


def _search(story: Story) -> str:
    if not story.candidates and not story.decisions:
        return ""
    why = (
        "Each candidate raced the best one so far on the same validation examples. These scores "
        "chose the winner, so they flatter it: only the held-out figures are a proof."
    )
    matrix = charts.wins(story)
    tree = charts.tree(story)
    return _section(
        "The search",
        why,
        [
            _figure(charts.progress(story)),
            "<h3>Candidates</h3>" if story.candidates else "",
            tables.candidates(story) if story.candidates else "",
            f"<h3>Where they came from</h3>{_figure(tree)}" if tree else "",
            f"<h3>Validation examples, one by one</h3>{_figure(matrix)}" if matrix else "",
        ],
    )


def changes(story: Story, of: str) -> list[tuple[str, str]]:
    """Paths of the predictors whose prompt `of` changed, each with the change as HTML."""
    row = story.candidate(of)
    paths = [
        *story.prompts,
        *(p for p in (row.predictors if row else ()) if p not in story.prompts),
    ]
    found = [(p, prompt_html(story.prompt(BASELINE, p), story.prompt(of, p))) for p in paths]
    return [(path, shown) for path, shown in found if shown]


def _changed(story: Story) -> str:
    of = story.challenger
    found = changes(story, of)
    if of == BASELINE or not found:
        return ""
    rest = len(story.prompts) - len(found)
    why = f"The given prompts against those of {escape(of)}, word by word."
    if rest > 0:
        why += f" {sentences.count(rest, 'other predictor')} stayed as given."
    if story.finished and story.shipped != of:
        why += " This candidate was not shipped."
    parts = (f"<h3><code>{escape(path)}</code></h3>{shown}" for path, shown in found)
    return _section("What changed", why, parts)


def _examples(story: Story) -> str:
    split = story.confirmed.split if story.confirmed else "test"
    pairs = story.pairs(split)
    if not pairs or story.challenger == BASELINE:
        return ""
    better = sum((pair.difference or 0.0) > 0 for pair in pairs)
    worse = sum((pair.difference or 0.0) < 0 for pair in pairs)
    why = f"{story.challenger} is better on {better:,}, worse on {worse:,} of {len(pairs):,}."
    told = f"<summary>All of them, the worst first</summary>{tables.examples(story, split)}"
    opened = " open" if len(pairs) <= _OPEN else ""
    return _section("Held-out examples", why, [f"<details{opened}>{told}</details>"])


def _spent(story: Story) -> str:
    failed = ", ".join(f"{n:,} × {error}" for error, n in story.failures.items())
    missing = sum(row.value is None for row in story.rollouts)
    facts = [
        ("spent", sentences.spending(story.spent)),
        ("ceiling", sentences.budget_text(story.budget)),
        ("ended by", story.stop or ("" if story.finished else "still going, or was interrupted")),
        ("failed attempts", failed or "none"),
        ("rollouts without a score", f"{missing:,}" if missing else "none"),
        ("lost calls", _lost(story)),
    ]
    return _section("Spending and failures", "", [tables.facts(facts), tables.roles(story)])


def _lost(story: Story) -> str:
    if not story.lost_calls:
        return ""
    return f"{story.lost_calls:,} in flight when a process died; they count as spent"


def _data(story: Story) -> str:
    if not story.data:
        return ""
    return _section("Data", escape(story.split_note), [tables.data(story)])


def _made(story: Story) -> str:
    short = canonical.short
    optimizer = story.optimizer or ("" if story.level is None else f"-O{story.level}")
    facts = [
        ("run", story.run),
        ("program", str(story.program.get("reference") or "")),
        ("program fingerprint", short(str(story.program.get("fingerprint") or ""))),
        ("metric", str(story.metric.get("name") or "")),
        ("metric fingerprint", short(str(story.metric.get("fingerprint") or ""))),
        ("models", ", ".join(f"{role}: {model}" for role, model in sorted(story.models.items()))),
        ("optimizer", optimizer),
        ("seed", str(story.seed)),
        ("artifact", short(str(story.artifact.get("digest") or ""))),
        ("versions", ", ".join(f"{k} {v}" for k, v in sorted(story.versions.items()))),
        ("sessions", f"{story.sessions:,}" if story.sessions > 1 else ""),
    ]
    why = (
        "The same program, metric, data, seed and budget with this journal give the same result "
        f"and pay for nothing again. <code>compilm runs {escape(story.run)}</code> tells this run."
    )
    return _section("How to reproduce it", why, [tables.facts(facts)])
