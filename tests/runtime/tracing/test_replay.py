"""A trace is enough: the same program gives the same again, asking nobody."""

from __future__ import annotations

import json
from typing import Any, Literal

import dspy
import pydantic
import pytest
from dspy import lm15
from hypothesis import given
from hypothesis import strategies as st
from tests.runtime.tracing.desk import ANSWER, Desk, Kept, stacked

from compilm.errors import UsageError
from compilm.journal import Record
from compilm.programs.models import request_digest
from compilm.programs.requests import request_to_json
from compilm.runtime.load import load
from compilm.runtime.tracing import Trace, body
from compilm.runtime.tracing.replay import Replay
from compilm.testing.engines import scripted_lm


def replayed(kept: Kept, trace: Trace | None = None) -> tuple[Any, Replay]:
    """What the program gives from its trace alone, as it comes back from a file."""
    found = trace or kept.trace()
    replay = Replay(found)
    runtime = load(kept.runtime.artifact, kept.runtime.program, roles=replay.roles)
    return runtime(**replay.inputs), replay


def test_the_same_outputs_come_from_the_trace_alone() -> None:
    kept = Kept(Desk, stacked([ANSWER]))
    first = kept.runtime(question="2+2?")
    again, replay = replayed(kept)
    assert again.toDict() == first.toDict() == replay.outputs
    assert replay.missing == 0


def shown() -> Desk:
    """A program with demonstrations, which are the same bytes in each of its prompts."""
    program = Desk()
    for n in range(4):
        demo = dspy.Example(question=f"{n}+{n}?", reasoning="sums", answer=f"“{2 * n}”\n\\")
        program.draft.predict.demos.append(demo.with_inputs("question"))
    return program


def test_demonstrations_that_are_written_once_are_in_each_trace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written: list[Any] = []
    own = body.message_as_text
    monkeypatch.setattr(body, "message_as_text", lambda one: written.append(one) or own(one))
    kept = Kept(shown, stacked([ANSWER]))
    kept.runtime(question="2+2?")
    kept.runtime(question="3+3?")
    first, second = kept.traces()
    for trace, question in ((first, "2+2?"), (second, "3+3?")):
        messages = trace.calls[0].texts["request"]["messages"]
        assert len(messages) == 9
        assert "“6”\n\\" in messages[-2]["parts"][0]["text"]
        assert question in messages[-1]["parts"][0]["text"]
        again, replay = replayed(kept, trace)
        assert (again.toDict(), replay.missing) == (replay.outputs, 0)
    assert len(written) == 8


def test_what_was_answered_by_a_fallback_is_answered_so_again() -> None:
    kept = Kept(Desk, stacked([lm15.ServerError("down")], [ANSWER]))
    kept.runtime(question="2+2?")
    again, _ = replayed(kept)
    assert again.verdict == "fine"


def test_samples_come_in_their_order() -> None:
    class Three(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.ask = dspy.Predict("question -> answer", n=3, temperature=1.0)

        def forward(self, question: str) -> dspy.Prediction:
            return dspy.Prediction(answer=self.ask(question=question).completions.answer)

    kept = Kept(Three, scripted_lm([{"answer": "a"}, {"answer": "b"}, {"answer": "c"}]))
    kept.runtime(question="2+2?")
    again, _ = replayed(kept)
    assert again.answer == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (lm15.RateLimitError("slow"), dspy.LMRateLimitError),
        (lm15.ContextLengthError("long"), dspy.ContextWindowExceededError),
        (lm15.AuthError("key"), dspy.LMAuthError),
    ],
)
def test_a_call_that_failed_fails_again_in_the_same_way(error: Exception, kind: Any) -> None:
    class Tries(Desk):
        def forward(self, question: str) -> dspy.Prediction:
            try:
                return super().forward(question)
            except dspy.LMError as raised:
                return dspy.Prediction(answer=type(raised).__name__)

    kept = Kept(Tries, scripted_lm([error]))
    first = kept.runtime(question="2+2?")
    again, _ = replayed(kept)
    assert again.answer == first.answer == kind.__name__


def test_a_request_that_is_not_in_the_trace_is_refused_and_counted() -> None:
    kept = Kept()
    kept.runtime(question="2+2?")
    trace = kept.trace()
    replay = Replay(trace)
    runtime = load(kept.runtime.artifact, kept.runtime.program, roles=replay.roles)
    with pytest.raises(dspy.LMInvalidRequestError, match=f"trace {trace.id[:12]} holds no answer"):
        runtime(question="another")
    assert replay.missing > 0


def test_settings_and_capabilities_are_those_of_then() -> None:
    lm = scripted_lm([ANSWER], temperature=0.3, max_tokens=77)
    kept = Kept(Desk, lm)
    kept.runtime(question="2+2?")
    found = Replay(kept.trace()).roles["default"]
    assert (found.model, found.kwargs["temperature"], found.kwargs["max_tokens"]) == (
        "scripted/model", 0.3, 77,
    )  # fmt: skip
    again, _ = replayed(kept)
    assert again.answer == "4"


class Claim(pydantic.BaseModel):
    number: int
    kind: Literal["car", "home"]


def test_typed_inputs_and_outputs_come_back_as_json() -> None:
    class Typed(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            signature = dspy.Signature(
                {"claim": (Claim, dspy.InputField()), "found": (Claim, dspy.OutputField())}
            )
            self.ask = dspy.Predict(signature)

        def forward(self, claim: Claim) -> dspy.Prediction:
            found: dspy.Prediction = self.ask(claim=claim)
            return found

    kept = Kept(Typed, scripted_lm([{"found": {"number": 2, "kind": "home"}}]))
    kept.runtime(claim=Claim(number=1, kind="car"))
    replay = Replay(kept.trace())
    assert replay.inputs == {"claim": {"number": 1, "kind": "car"}}
    assert replay.outputs == {"found": {"number": 2, "kind": "home"}}
    runtime = load(kept.runtime.artifact, kept.runtime.program, roles=replay.roles)
    assert runtime(claim=Claim(**replay.inputs["claim"])).found == Claim(number=2, kind="home")


def test_a_program_that_gives_a_text_is_told_by_a_field() -> None:
    class Text(Desk):
        def forward(self, question: str) -> Any:
            return super().forward(question).answer

    kept = Kept(Text)
    kept.runtime(question="2+2?")
    assert Replay(kept.trace()).outputs == {"answer": "4"}


def test_numbers_alone_cannot_be_replayed() -> None:
    kept = Kept(keeps="numbers")
    kept.runtime(question="2+2?")
    with pytest.raises(UsageError, match="keeps numbers alone"):
        Replay(kept.trace())


def test_an_input_without_a_json_form_is_named() -> None:
    class Odd(Desk):
        def forward(self, question: Any) -> dspy.Prediction:
            return super().forward("2+2?")

    kept = Kept(Odd)
    kept.runtime(question={"deep": [object()]})
    with pytest.raises(UsageError, match="input 'question' held a value of type object"):
        Replay(kept.trace())


def test_a_trace_is_the_same_after_a_file() -> None:
    kept = Kept()
    kept.runtime(question="2+2?")
    kept.trace()
    (record,) = kept.journal.read()
    body = json.loads(json.dumps(record.body))
    again, _ = replayed(kept, Trace.of(Record(record.kind, record.at, record.run, body)))
    assert again.answer == "4"


parts = st.one_of(
    st.builds(lm15.TextPart, st.text(max_size=5)),
    st.builds(lm15.ImagePart, media_type=st.just("image/png"), url=st.just("https://x.test/a.png")),
)
messages = st.lists(
    st.builds(
        lm15.Message, role=st.just("user"), parts=st.lists(parts, min_size=1, max_size=3).map(tuple)
    ),
    min_size=1,
    max_size=3,
)
tool = lm15.FunctionTool(name="look", parameters={"type": "object", "properties": {}})


@given(
    messages, st.none() | st.text(min_size=1, max_size=5), st.none() | st.just(0.5), st.booleans()
)
def test_a_request_as_json_is_what_its_digest_is_of(
    said: list[lm15.Message], system: str | None, temperature: float | None, tools: bool
) -> None:
    from dspy._vendor.lm15.serde import request_from_dict

    request = lm15.Request(
        model="m",
        messages=tuple(said),
        system=system,
        tools=(tool,) if tools else (),
        config=lm15.Config(temperature=temperature),
    )
    body = json.loads(json.dumps(request_to_json(request)))
    assert request_digest(request_from_dict(body)) == request_digest(request)
