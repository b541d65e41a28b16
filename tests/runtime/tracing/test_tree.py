"""A trace as people see it."""

from __future__ import annotations

from dataclasses import replace

from dspy import lm15
from tests.runtime.tracing.desk import ANSWER, Desk, Kept, stacked

from compilm.clock import ManualClock
from compilm.runtime.tracing.tree import line_of, tree_of


def one(keeps: str = "numbers") -> Kept:
    clock = ManualClock(start=1000.0)
    lm = stacked([lm15.ServerError("down", status=500)], [ANSWER], clock=clock)
    kept = Kept(Desk, lm, keeps=keeps, clock=clock)
    kept.runtime(question="2+2?\nPlease")
    return kept


def test_the_tree_tells_who_was_asked_and_what_came_of_it() -> None:
    trace = one().trace()
    calls = [call.values["input_tokens"] for call in trace.calls]
    assert tree_of(trace) == [
        "Desk  0.000 s",
        "├─ draft.predict  0.000 s",
        f"│  └─ call a/0 → a/1  0.000 s  {calls[0]} in, 24 out",
        "│     ├─ attempt a/0  0.000 s  LMServerError 500",
        "│     └─ attempt a/1  0.000 s",
        "└─ check  0.000 s",
        f"   └─ call a/0 → a/1  0.000 s  {calls[1]} in, 24 out",
        "      ├─ attempt a/0  0.000 s  LMServerError 500",
        "      └─ attempt a/1  0.000 s",
    ]


def test_texts_are_shown_short_or_whole() -> None:
    trace = one("texts").trace()
    short, whole = tree_of(trace), "\n".join(tree_of(trace, whole=True))
    assert "├─ inputs  question: 2+2?⏎Please" in short
    assert "├─ outputs  answer: 4, verdict: fine" in short
    assert "[[ ## question ## ]]" not in "\n".join(short)
    assert max(map(len, short)) < 120
    assert "[system]" in whole
    assert "[[ ## question ## ]]" in whole


def test_the_line_tells_what_it_took() -> None:
    trace = one().trace()
    told = line_of(trace)
    assert told.startswith(f"{trace.id[:12]}  ")
    assert f"2 calls  {trace.total('input_tokens')} in, 48 out  ok" in told
    failed = replace(trace, spans=(replace(trace.root, error="LMAuthError"), *trace.spans[1:]))
    assert line_of(failed).endswith("LMAuthError")


def test_spans_that_were_not_kept_are_counted() -> None:
    assert tree_of(replace(one().trace(), left_out=3))[-1] == "(3 more spans were not kept)"
