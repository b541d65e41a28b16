"""What a trace says of a program's call: its predictors, their calls, and what became of each."""

from __future__ import annotations

import asyncio
from typing import Any

import dspy
import pytest
from dspy import lm15
from tests.runtime.tracing.desk import ANSWER, Desk, Kept, drawn, stacked

from compilm.clock import ManualClock
from compilm.errors import ConfigError, ProgramError
from compilm.runtime.tracing import live
from compilm.runtime.tracing.live import current
from compilm.testing.engines import chat_answer, scripted_lm


def call_of(kept: Kept, **inputs: Any) -> Any:
    return kept.runtime(**(inputs or {"question": "2+2?"}))


def acall_of(kept: Kept, **inputs: Any) -> Any:
    return asyncio.run(kept.runtime.acall(**(inputs or {"question": "2+2?"})))


both = pytest.mark.parametrize("how", [call_of, acall_of])


@both
def test_a_trace_is_the_program_its_predictors_and_their_calls(how: Any) -> None:
    kept = Kept()
    assert how(kept).verdict == "fine"
    trace = kept.trace()
    assert drawn(trace) == [
        ("program", "Desk", None, [
            ("predictor", "draft.predict", None, [("call", "scripted/model", None, [])]),
            ("predictor", "check", None, [("call", "scripted/model", None, [])]),
        ]),
    ]  # fmt: skip
    assert (trace.digest, trace.program) == (kept.runtime.artifact.digest, "Desk")
    assert trace.root.start == 1000.0


def test_texts_are_inputs_outputs_requests_and_responses() -> None:
    kept = Kept()
    call_of(kept)
    trace = kept.trace()
    root, draft, call, check, _ = trace.spans
    assert root.texts == {
        "inputs": {"question": "2+2?"},
        "outputs": {"answer": "4", "verdict": "fine"},
    }
    assert draft.texts["outputs"] == {"reasoning": "sums", "answer": "4"}
    assert check.texts == {"inputs": {"answer": "4"}, "outputs": {"verdict": "fine"}}
    assert "2+2?" in call.texts["request"]["messages"][-1]["parts"][0]["text"]
    assert call.texts["response"]["message"]["parts"][0]["text"] == chat_answer(ANSWER)


def test_times_are_those_of_the_clock() -> None:
    clock = ManualClock(start=50.0)

    def answer(_: Any) -> dict[str, str]:
        clock.advance(1.5)
        return ANSWER

    kept = Kept(lm=scripted_lm(answer), clock=clock)
    call_of(kept)
    trace = kept.trace()
    assert [(span.start, span.seconds) for span in trace.spans] == [
        (50.0, 3.0), (50.0, 1.5), (50.0, 1.5), (51.5, 1.5), (51.5, 1.5),
    ]  # fmt: skip


def test_a_call_tells_tokens_dollars_and_settings() -> None:
    lm = scripted_lm([ANSWER], model="openai/gpt-5-mini", temperature=1.0, max_tokens=16000)
    kept = Kept(lm=lm)
    call_of(kept)
    values = kept.trace().calls[0].values
    assert (values["temperature"], values["max_tokens"]) == (1.0, 16000)
    assert (values["finish"], values["answered_by"]) == ("stop", "openai/gpt-5-mini")
    dollars = (values["input_tokens"] * 0.25 + values["output_tokens"] * 2.0) / 1e6
    assert values["usd"] == pytest.approx(dollars)
    assert kept.trace().total("usd") == pytest.approx(
        sum(call.values["usd"] for call in kept.trace().calls)
    )


def test_the_price_is_that_of_the_model_that_answered() -> None:
    down = scripted_lm([lm15.ServerError("down")], model="openai/gpt-5")
    well = scripted_lm([ANSWER], model="openai/gpt-5-nano")
    from compilm.runtime.stack import Stacks

    kept = Kept(lm=Stacks(clock=ManualClock()).over(down, well).lm)
    call_of(kept)
    values = kept.trace().calls[0].values
    dollars = (values["input_tokens"] * 0.05 + values["output_tokens"] * 0.4) / 1e6
    assert (values["by"], values["usd"]) == ("openai/gpt-5-nano", pytest.approx(dollars))


def test_an_unknown_price_is_not_told() -> None:
    kept = Kept(lm=scripted_lm([ANSWER], model="odd/model"))
    call_of(kept)
    assert kept.trace().total("usd") is None


@both
def test_each_attempt_each_fallback_and_each_wait_is_seen(how: Any) -> None:
    clock = ManualClock()
    down = lm15.ServerError("down", status=503)
    lm = stacked([down, ANSWER], [lm15.RateLimitError("slow"), ANSWER], clock=clock)
    kept = Kept(lambda: dspy.Predict("question -> answer"), lm, clock=clock)
    how(kept)
    ((_, _, _, steps),) = drawn(kept.trace())
    ((_, path, _, (call,)),) = steps
    assert path == "self"
    assert call == ("call", "a/0", None, [
        ("attempt", "a/0", "LMServerError", []),
        ("attempt", "a/1", "LMRateLimitError", []),
        ("attempt", "a/0", None, []),
    ])  # fmt: skip
    (told,) = kept.trace().calls
    (event,) = told.events
    assert (event.name, event.values["error"]) == ("retry", "NoneAnswered")
    assert event.values["wait"] == pytest.approx(clock.slept[0])


def test_a_model_whose_circuit_is_open_is_not_asked_where_another_can_answer() -> None:
    lm = stacked([lm15.ServerError("down")], [ANSWER], breaker=1)
    kept = Kept(lambda: dspy.Predict("question -> answer"), lm)
    call_of(kept)
    call_of(kept, question="3+3?")
    first, second = kept.traces()
    attempts = [(span.name, span.error) for span in first.spans if span.kind == "attempt"]
    assert attempts == [("a/0", "LMServerError"), ("a/1", None)]
    assert [span.kind for span in second.spans] == ["program", "predictor", "call"]
    assert second.calls[0].values["answered_by"] == "a/1"


@both
def test_a_hit_of_the_cache_is_seen_and_asks_nobody(how: Any) -> None:
    kept = Kept(lambda: dspy.Predict("question -> answer"), stacked([ANSWER], cache="memory"))
    how(kept)
    how(kept)
    miss, hit = (trace.calls[0] for trace in kept.traces())
    assert ([e.name for e in miss.events], [e.name for e in hit.events]) == (
        ["cache.miss"], ["cache.hit"],
    )  # fmt: skip
    assert list(kept.traces()[1].under(hit.number)) == []
    assert (hit.values["input_tokens"], miss.values["input_tokens"] > 0) == (0, True)


def test_a_call_that_waited_for_an_equal_one_says_so() -> None:
    class Twice(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.ask = dspy.Predict("question -> answer")

        async def aforward(self, question: str) -> dspy.Prediction:
            calls = (self.ask.acall(question=question) for _ in range(2))
            first, second = await asyncio.gather(*calls)
            return dspy.Prediction(answer=first.answer + second.answer)

    lm = stacked([lm15.ServerError("down"), ANSWER])
    kept = Kept(Twice, lm)
    assert acall_of(kept).answer == "44"
    trace = kept.trace()
    told = [e.name for call in trace.calls for e in call.events]
    assert sorted(told) == ["coalesce.followed", "retry"]
    assert [span.kind for span in trace.spans].count("attempt") == 2
    # two calls of one predictor at one time are two steps
    assert [span.kind for span in trace.under(0)] == ["predictor", "predictor"]
    assert all(step.texts["outputs"] == {"answer": "4"} for step in trace.under(0))


@both
def test_a_failure_is_told_by_its_class_and_never_its_text(how: Any) -> None:
    kept = Kept(lm=stacked([lm15.AuthError("the key sk-123 is wrong", status=401)]))
    with pytest.raises(dspy.LMAuthError):
        how(kept)
    trace = kept.trace()
    assert trace.root.error == "LMAuthError"
    assert {call.error for call in trace.calls} == {"LMAuthError"}
    assert trace.calls[0].values["status"] == 401
    assert "sk-123" not in str(list(kept.journal.read()))
    assert next(trace.under(0)).values["unfinished"] is True
    assert "outputs" not in trace.root.texts


def test_an_answer_that_cannot_be_read_is_asked_for_anew_within_one_step() -> None:
    kept = Kept(
        lambda: dspy.Predict("question -> answer"), scripted_lm(["no fields", '{"answer": "4"}'])
    )
    assert call_of(kept).answer == "4"
    ((_, _, _, ((kind, _, _, calls),)),) = drawn(kept.trace())
    assert (kind, [name for _, name, _, _ in calls]) == ("predictor", ["scripted/model"] * 2)


def test_threads_of_dspy_are_part_of_the_trace() -> None:
    class Many(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.ask = dspy.Predict("question -> answer")

        def forward(self, question: str) -> dspy.Prediction:
            parallel = dspy.Parallel(num_threads=4, disable_progress_bar=True)
            rows = [dspy.Example(question=f"{question}{n}").with_inputs("question")
                    for n in range(8)]  # fmt: skip
            found = parallel([(self.ask, row) for row in rows])
            return dspy.Prediction(answer="".join(one.answer for one in found))

    kept = Kept(Many)
    assert call_of(kept).answer == "4" * 8
    steps = list(kept.trace().under(0))
    assert {step.texts["inputs"]["question"] for step in steps} == {f"2+2?{n}" for n in range(8)}
    assert all(len(list(kept.trace().under(step.number))) == 1 for step in steps)


def test_parts_that_keep_a_trace_of_their_own_are_seen() -> None:
    class Best(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.ask = dspy.Predict("question -> answer")
            self.best = dspy.BestOfN(
                module=self.ask, N=3, reward_fn=lambda _, found: float(found.answer), threshold=9.0
            )

        def forward(self, question: str) -> dspy.Prediction:
            found: dspy.Prediction = self.best(question=question)
            return found

    kept = Kept(Best, scripted_lm([{"answer": "1"}, {"answer": "3"}, {"answer": "2"}]))
    kept.runtime.program.set_lm(kept.runtime.roles["default"])
    assert call_of(kept).answer == "3"
    trace = kept.trace()
    assert len(trace.calls) == 3
    told = [step.texts.get("outputs") for step in trace.under(0)]
    assert told == [None, {"answer": "3"}, None]  # DSPy hands on what was best


def test_what_is_changed_later_is_told_as_it_was() -> None:
    class Spoils(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.ask = dspy.Predict("rows: list[str] -> answer")

        def forward(self, rows: list[str]) -> dspy.Prediction:
            found: dspy.Prediction = self.ask(rows=rows)
            rows.clear()
            return found

    kept = Kept(Spoils)
    kept.runtime(rows=["a", "b"])
    assert kept.trace().root.texts["inputs"] == {"rows": ["a", "b"]}


def test_a_predictor_whose_calls_are_not_heard_is_told_by_what_it_gave() -> None:
    class Plain(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.ask = dspy.Predict("question -> answer")
            self.own = scripted_lm([{"answer": "4"}])  # in no role: it is asked as it is

        def forward(self, question: str) -> dspy.Prediction:
            with dspy.context(lm=self.own):
                found: dspy.Prediction = self.ask(question=question)
            return found

    kept = Kept(Plain)
    call_of(kept)
    (_, step) = kept.trace().spans
    assert (step.kind, step.name, step.seconds) == ("predictor", "ask", 0.0)
    assert step.texts == {"inputs": {"question": "2+2?"}, "outputs": {"answer": "4"}}


def test_inputs_that_are_refused_make_no_trace() -> None:
    kept = Kept()
    with pytest.raises(ProgramError):
        kept.runtime(quest="2+2?")
    assert kept.traces() == []


def test_a_cancelled_call_is_told() -> None:
    class Slow(Desk):
        async def aforward(self, question: str) -> dspy.Prediction:
            await asyncio.Event().wait()
            raise AssertionError("never")

    async def cancelled(kept: Kept) -> None:
        task = asyncio.ensure_future(kept.runtime.acall(question="2+2?"))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    kept = Kept(Slow)
    asyncio.run(cancelled(kept))
    assert kept.trace().root.error == "CancelledError"


def test_a_share_of_the_calls_is_recorded() -> None:
    kept = Kept(sample=0.25)
    for _ in range(40):
        call_of(kept)
    assert 4 <= len(kept.traces()) <= 16
    none = Kept(sample=0.0)
    call_of(none)
    assert none.traces() == []


def test_calls_that_come_faster_than_they_are_recorded_are_skipped_and_counted() -> None:
    kept = Kept(rate=0.5)  # ten seconds' worth at once: five
    for _ in range(8):
        call_of(kept)
    assert (len(kept.traces()), kept.tracer.counts.skipped) == (5, 3)
    kept.clock.advance(4.0)
    for _ in range(3):
        call_of(kept)
    assert (len(kept.traces()), kept.tracer.counts.skipped) == (7, 4)


@pytest.mark.parametrize("rate", [0.0, -1.0, float("inf"), float("nan")])
def test_what_cannot_be_a_rate_is_refused(rate: float) -> None:
    with pytest.raises(ConfigError, match="traces a second above 0"):
        Kept(rate=rate)


def test_a_trace_holds_so_many_spans_and_counts_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "MOST_SPANS", 3)
    kept = Kept()
    assert call_of(kept).verdict == "fine"
    # the program and two calls, and what the writer adds: their predictors
    assert (len(kept.trace().spans), kept.trace().left_out) == (5, 0)
    monkeypatch.setattr(live, "MOST_SPANS", 2)
    few = Kept()
    assert call_of(few).verdict == "fine"
    assert ([span.kind for span in few.trace().spans], few.trace().left_out) == (
        ["program", "predictor", "call", "predictor"], 1,
    )  # fmt: skip


def test_nothing_is_recorded_outside_a_call() -> None:
    kept = Kept()
    call_of(kept)
    assert current() is None
    with dspy.context(lm=kept.runtime.roles["default"]):
        dspy.Predict("question -> answer")(question="2+2?")
    assert len(kept.traces()) == 1


def test_calls_of_many_tasks_stay_apart() -> None:
    async def many(kept: Kept) -> None:
        await asyncio.gather(*(kept.runtime.acall(question=f"q{n}") for n in range(50)))

    kept = Kept()
    asyncio.run(many(kept))
    traces = kept.traces()
    asked = {trace.root.texts["inputs"]["question"] for trace in traces}
    assert asked == {f"q{n}" for n in range(50)}
    for trace in traces:
        text = str(trace.calls[0].texts["request"])
        assert trace.root.texts["inputs"]["question"] + "\\n" in text
        assert len(trace.spans) == 5


@pytest.mark.parametrize("wrong", [{"keeps": "all"}, {"sample": 2.0}, {"most": 0}])
def test_wrong_settings_are_told(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Kept(**wrong)
