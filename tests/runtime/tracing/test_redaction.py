"""A trace that is told to keep numbers holds no text of any call, wherever the text came from."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import dspy
import pytest
from dspy import lm15
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.runtime.tracing.desk import Desk, Kept, artifact_of, stacked

from compilm.journal import MemoryJournal, Record
from compilm.runtime.tracing.origin import origin
from compilm.testing.engines import scripted_lm

# Marked, so that a text that is in the trace by chance is not taken for one that leaked.
texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20).map(
    lambda text: f"QZX{text.strip()}"
)


class Watched(MemoryJournal):
    """A journal that sees what is written before it is JSON."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Record] = []

    def extend(self, records: Any) -> None:
        self.seen += records
        super().extend(records)


def kept_of(script: Any, **settings: Any) -> Kept:
    lm = stacked(script, [lm15.ServerError("QZX down")], **settings)
    return Kept(Desk, lm, keeps="numbers", journal=Watched())


def written(kept: Kept) -> str:
    """All that is in the journal, as text."""
    traces = kept.traces()
    assert traces
    assert all(span.texts == {} for trace in traces for span in trace.spans)
    seen = [repr(record) for record in kept.journal.seen]  # type: ignore[attr-defined]
    return json.dumps([record.body for record in kept.journal.read()]) + str(seen)


@settings(max_examples=25)
@given(
    question=texts, answer=texts, error=st.none() | texts, cache=st.sampled_from(["none", "memory"])
)
def test_no_text_of_a_call_is_anywhere_in_a_trace(
    question: str, answer: str, error: str | None, cache: str
) -> None:
    script: list[Any] = [{"reasoning": answer, "answer": answer, "verdict": answer}]
    if error is not None:
        script.insert(0, lm15.ServerError(error, status=500, provider_code=error))
    kept = kept_of(script, cache=cache)
    for _ in range(2):
        kept.runtime(question=question)
    asyncio.run(kept.runtime.acall(question=question))
    assert "QZX" not in written(kept)


@pytest.mark.parametrize(
    "script",
    [
        ["QZX no fields at all"],
        [lm15.AuthError("QZX key", status=401)],
        [RuntimeError("QZX bug")],
        [lm15.ContextLengthError("QZX long")],
    ],
    ids=["unreadable", "refused", "bug", "long"],
)
def test_no_text_of_a_failure_is_either(script: list[Any]) -> None:
    kept = kept_of(script)
    with pytest.raises(Exception, match="QZX"):
        kept.runtime(question="QZX?")
    assert "QZX" not in written(kept)


def test_neither_tools_nor_stop_words_nor_schemas_are() -> None:
    def qzx_tool(qzx_name: str) -> str:
        """QZX looks something up."""
        return f"QZX {qzx_name}"

    class Calls(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.ask = dspy.Predict("question -> answer", stop=["QZX"])

        def forward(self, question: str) -> dspy.Prediction:
            found: dspy.Prediction = self.ask(question=question + qzx_tool("QZX"))
            return found

    kept = Kept(Calls, stacked([{"answer": "QZX"}]), keeps="numbers", journal=Watched())
    kept.runtime(question="QZX?")
    assert "QZX" not in written(kept)


def test_with_texts_the_same_call_is_all_there() -> None:
    kept = Kept(Desk, stacked([{"reasoning": "QZXr", "answer": "QZXa", "verdict": "QZXv"}]))
    kept.runtime(question="QZXq")
    told = json.dumps([record.body for record in kept.journal.read()]) if kept.traces() else ""
    assert all(told.count(text) >= 2 for text in ("QZXq", "QZXr", "QZXa", "QZXv"))


def test_keys_are_in_no_trace_at_all() -> None:
    secret = "sk-" + "a1" * 12
    roles = {
        "default": scripted_lm(["yes"], user=secret, temperature=0.5),
        "judge": dspy.LM("openai/gpt-5-mini", api_key=secret, extra_headers={"x-own": secret}),
    }
    told = origin("Desk", artifact_of(Desk()), roles)
    assert secret not in json.dumps(told)
    assert told["roles"].keys() == {"default"}
    assert told["roles"]["default"]["kwargs"]["temperature"] == 0.5
