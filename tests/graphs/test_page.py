"""The drawing beside the page on graphs is the one that the page's own lines draw, as PNG too."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.docs.pages import ROOT, blocks_of, python_of, run_python

from compilm.views.png import png_of


def test_the_drawing_is_what_the_page_draws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = ROOT / "docs" / "graphs.md"
    monkeypatch.chdir(tmp_path)
    file, namespace = python_of(page, tmp_path), {"__name__": "page"}
    for block in blocks_of(page.read_text("utf-8")):
        if block.language == "python":
            run_python(block, file, namespace)
    drawn = (tmp_path / "desk.svg").read_text("utf-8")
    assert drawn == (ROOT / "docs" / "graphs.svg").read_text("utf-8")
    assert (tmp_path / "desk.png").read_bytes() == png_of(drawn)
