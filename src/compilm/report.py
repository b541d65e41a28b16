"""The report of a run as one HTML file that needs nothing else."""

from __future__ import annotations

from pathlib import Path

from .views.page import page
from .views.story import Story

__all__ = ["render", "write"]


def render(story: Story) -> str:
    """The whole page: verdict, proof, search, changed prompts, examples, spending, provenance.

    It holds no script and loads nothing, follows the reader's light or dark theme, and prints.
    The same story gives the same bytes.

    >>> render(Story("r1", name="desk")).count("<h1>desk</h1>")
    1
    """
    return page(story)


def write(story: Story, path: str | Path) -> Path:
    """Write the page to `path` and give the path back; folders on the way are made."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(render(story), encoding="utf-8")
    return target
