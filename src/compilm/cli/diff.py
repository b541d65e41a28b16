"""Show what changed between two artifacts: instructions, demos, scores, models, data."""

from __future__ import annotations

import argparse
import html
from pathlib import Path

from .. import artifact as artifacts
from ..artifact import Diff, PredictorDiff
from .out import Out
from .place import artifact_path

__all__ = ["arguments", "run"]

EXAMPLES = """examples:
  compilm diff build/desk-old build/desk
  compilm diff build/desk-old build/desk --html changes.html"""

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>body{{font:1rem/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;
color-scheme:light dark}}ins{{background:#3fb95044}}del{{background:#f8514944}}
pre{{white-space:pre-wrap}}td{{padding-right:2rem}}</style>
<h1>{title}</h1>
{body}
</html>
"""
_TAGS = {"same": "{}", "added": "<ins>{}</ins>", "removed": "<del>{}</del>"}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    parser.add_argument("before", metavar="A")
    parser.add_argument("after", metavar="B")
    parser.add_argument("--html", metavar="FILE", help="write the difference as one page")


def run(args: argparse.Namespace, out: Out) -> int:
    """Compare the two and tell."""
    before, after = (artifacts.read(artifact_path(text)) for text in (args.before, args.after))
    found = artifacts.diff(before, after)
    if args.html is not None:
        Path(args.html).write_text(_page(found, f"{args.before} → {args.after}"), encoding="utf-8")
        out.note(f"wrote {args.html}")
    out.emit({"before": before.digest, "after": after.digest, "same": not found, "diff": found})
    out.say(found.text())
    return 0


def _page(found: Diff, title: str) -> str:
    """The difference as one page that loads nothing from elsewhere."""
    parts = [_predictor(each) for each in found.predictors]
    rows = "".join(
        f"<tr><td>{html.escape(c.name)}<td>{html.escape(str(c.before))}"
        f"<td>{html.escape(str(c.after))}"
        for c in found.changes
    )
    if rows:
        parts.append(f"<h2>Figures and names</h2><table>{rows}</table>")
    body = "\n".join(parts) or "<p>No difference.</p>"
    return _PAGE.format(title=html.escape(title), body=body)


def _predictor(one: PredictorDiff) -> str:
    words = "".join(_TAGS[kind].format(html.escape(text)) for kind, text in one.words())
    demos = [_TAGS["removed"].format(html.escape(str(demo))) for demo in one.demos_removed]
    demos += [_TAGS["added"].format(html.escape(str(demo))) for demo in one.demos_added]
    demos += [html.escape(line.strip()) for line in (one.nearest.lines() if one.nearest else ())]
    listed = "".join(f"<li>{demo}" for demo in demos)
    return (
        f"<h2>{html.escape(one.path)} ({one.kind})</h2><pre>{words}</pre>"
        + f"<p>Demos</p><ul>{listed}</ul>" * bool(listed)
    )
