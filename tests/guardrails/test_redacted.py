"""A redacted program: nothing real reaches models, caches, traces or journals."""

from __future__ import annotations

import asyncio
import copy
from contextlib import closing
from pathlib import Path
from typing import Any

import dspy
import pytest

import compilm
from compilm.clock import ManualClock
from compilm.errors import ProgramError, UsageError
from compilm.graphs import END, Graph, Pause
from compilm.guardrails import Redacted, Rules, hidden_examples, with_real_values
from compilm.journal import SqliteJournal
from compilm.metrics import exact
from compilm.runtime.load import load
from compilm.runtime.tracing import Tracer
from compilm.runtime.tracing.reading import find_trace
from compilm.runtime.tracing.replay import Replay
from compilm.testing.engines import scripted_lm

SECRETS = ("Pratt", "3/4/2026", "HP-678901", "ana@example.org")
MESSAGE = "I am Ana Pratt, member id HP-678901, seen 3/4/2026; mail ana@example.org"


def echo(request: Any) -> dict[str, str]:
    """Says to whom it speaks, by placeholder."""
    return {"reasoning": "for [NAME_1]", "answer": "Dear [NAME_1], on [DATE_1]."}


def made(**settings: Any) -> Redacted:
    return Redacted(dspy.ChainOfThought("message -> answer"), **settings)


def clean(blob: str | bytes) -> bool:
    text = blob if isinstance(blob, str) else blob.decode("utf-8", "replace")
    return not any(secret in text for secret in SECRETS)


def test_the_model_sees_placeholders_and_the_caller_real_values() -> None:
    lm = scripted_lm(echo)
    with dspy.context(lm=lm):
        found = made()(message=MESSAGE)
    assert found.answer == "Dear Ana Pratt, on 3/4/2026."
    assert "[MEMBER_NUMBER_1]" in str(lm.engine.requests)
    assert clean(str(lm.engine.requests))


def test_real_values_come_back_only_where_they_are_allowed() -> None:
    with dspy.context(lm=scripted_lm(echo)):
        found = made(restore=["answer"])(message=MESSAGE)
        none = made(restore=False)(message=MESSAGE)
    assert found.reasoning == "for [NAME_1]"
    assert found.answer == "Dear Ana Pratt, on 3/4/2026."
    assert none.answer == "Dear [NAME_1], on [DATE_1]."


def test_tasks_and_threads_do_the_same() -> None:
    class Plain(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.predict = dspy.Predict("message -> answer")

        def forward(self, message: str) -> Any:
            return self.predict(message=message)

    async def both() -> list[str]:
        with dspy.context(lm=scripted_lm(echo)):
            first = await made().acall(message=MESSAGE)
            second = await Redacted(Plain()).acall(message=MESSAGE)
        return [first.answer, second.answer]

    assert asyncio.run(both()) == ["Dear Ana Pratt, on 3/4/2026."] * 2


def test_calls_share_nothing() -> None:
    program, lm = made(), scripted_lm(echo)
    with dspy.context(lm=lm):
        answers = [program(message=f"I am {name}").answer for name in ("Ana Pratt", "Leo Quist")]
    assert [answer.partition(",")[0] for answer in answers] == ["Dear Ana Pratt", "Dear Leo Quist"]


def test_a_trace_with_texts_holds_placeholders_and_can_be_replayed(tmp_path: Path) -> None:
    program = made()
    program.save(str(tmp_path / "state.json"))
    artifact = compilm.adopt(str(tmp_path / "state.json"), program)
    with Tracer.at(tmp_path / "traces.db", keeps="texts") as tracer:
        runtime = load(artifact, program, roles={"default": scripted_lm(echo)}, tracer=tracer)
        assert runtime(message=MESSAGE).answer == "Dear Ana Pratt, on 3/4/2026."
        assert asyncio.run(runtime.acall(message=MESSAGE)).answer.startswith("Dear Ana Pratt")
        tracer.flush()
    files = [file.read_bytes() for file in tmp_path.iterdir()]
    assert all(map(clean, files))
    assert any(b"[MEMBER_NUMBER_1]" in blob for blob in files)
    trace = find_trace(SqliteJournal(tmp_path / "traces.db"), "last")
    assert [event.name for event in trace.root.events] == ["redaction"]
    replay = Replay(trace)
    again = load(artifact, made(), roles=replay.roles)
    assert (
        again(**replay.inputs).answer == replay.outputs["answer"] == "Dear [NAME_1], on [DATE_1]."
    )


def test_a_failed_call_leaves_nothing_real_in_its_trace(tmp_path: Path) -> None:
    program = made()
    program.save(str(tmp_path / "state.json"))
    artifact = compilm.adopt(str(tmp_path / "state.json"), program)
    with Tracer.at(tmp_path / "traces.db", keeps="texts") as tracer:
        lm = scripted_lm([RuntimeError("down")])
        runtime = load(artifact, program, roles={"default": lm}, tracer=tracer)
        with pytest.raises(Exception, match="down"):
            runtime(message=MESSAGE)
        tracer.flush()
    assert all(clean(file.read_bytes()) for file in tmp_path.iterdir())


def rows(count: int) -> list[dspy.Example]:
    made = (
        dspy.Example(
            message=f"I am Ana Pratt, member id HP-678901, question {n}", answer="Dear Ana Pratt"
        )
        for n in range(count)
    )
    return [each.with_inputs("message") for each in made]


@pytest.mark.parametrize("hide", [False, True])
def test_the_journal_of_a_compile_holds_nothing_real(tmp_path: Path, hide: bool) -> None:
    data = hidden_examples(rows(12)) if hide else rows(12)
    answer = {"reasoning": "so", "answer": "Dear [NAME_1]"}
    journal = tmp_path / "run.db"
    with closing(SqliteJournal(journal)) as opened:
        result = compilm.compile(
            made(),
            exact("answer"),
            trainset=data[:4],
            valset=data[4:8],
            testset=data[8:],
            level=0 if not hide else 1,
            budget=compilm.Budget(rollouts=40),
            roles={"default": scripted_lm(lambda request: answer)},
            journal=opened,
            clock=ManualClock(),
        )
    assert result.verdict
    blobs = [file.read_bytes() for file in tmp_path.iterdir()]
    assert all(map(clean, blobs))
    assert any(b"Dear [NAME_1]" in blob for blob in blobs)


def demonstrated(program: Redacted) -> Redacted:
    demo = dspy.Example(message="the marked demonstration", reasoning="r", answer="a")
    program.program.predict.demos = [demo.with_inputs("message")]
    return program


def test_demonstrations_reach_the_model_after_copy_and_after_save_and_load(tmp_path: Path) -> None:
    program = demonstrated(made())
    program.save(str(tmp_path / "state.json"))
    loaded = made()
    loaded.load(str(tmp_path / "state.json"))
    for each in (program, copy.deepcopy(program), loaded):
        lm = scripted_lm(echo)
        with dspy.context(lm=lm):
            each(message=MESSAGE)
        assert "the marked demonstration" in str(lm.engine.requests)
    assert [name for name, _ in program.named_predictors()] == ["program.predict"]


def test_a_tool_gets_real_values_and_its_result_is_hidden() -> None:
    seen: list[str] = []

    def claims(member: str, note: str) -> str:
        """The claims of a member."""
        seen.append(member)
        return f"{note}: {member} saw Dr. Okonkwo"

    async def aclaims(member: str, note: str) -> str:
        return claims(member, note)

    class Desk(dspy.Module):
        def __init__(self, tool: Any) -> None:
            super().__init__()
            self.tool = tool

        async def aforward(self, message: str) -> Any:
            found = self.tool("[MEMBER_NUMBER_1]", note="[NAME_1]")
            told = await found if asyncio.iscoroutine(found) else found
            return dspy.Prediction(hidden=told)

    for tool in (claims, aclaims):
        desk = Redacted(Desk(with_real_values(tool, ["member"])), restore=False)
        told = asyncio.run(desk.acall(message=MESSAGE)).hidden
        assert "HP-678901" not in told
        assert "Okonkwo" not in told
        assert "[MEMBER_NUMBER_1]" in told
    assert seen == ["HP-678901", "HP-678901"]
    assert dspy.Tool(with_real_values(claims, ["member"])).args.keys() == {"member", "note"}
    with pytest.raises(UsageError, match="no argument 'memberr'"):
        with_real_values(claims, ["memberr"])


def test_inside_of_another_nothing_is_restored_early() -> None:
    lm = scripted_lm(echo)
    with dspy.context(lm=lm):
        found = Redacted(made())(message=MESSAGE)
    assert found.answer == "Dear Ana Pratt, on 3/4/2026."
    assert clean(str(lm.engine.requests))


def test_inputs_may_be_left_as_they_are_and_wrong_use_is_refused() -> None:
    lm = scripted_lm([{"answer": "x"}])
    program = Redacted(dspy.Predict("name, message -> answer"), leave=["name"], detector=Rules())
    with dspy.context(lm=lm):
        program(name="Ana Pratt", message="I am Leo Quist")
    assert "Ana Pratt" in str(lm.engine.requests)
    assert "Leo Quist" not in str(lm.engine.requests)
    with pytest.raises(UsageError, match="restore takes names"):
        made(restore="answer")
    with pytest.raises(ProgramError, match="goes around a dspy"):
        Redacted(len)  # type: ignore[arg-type]


def test_a_question_inside_of_it_is_refused_for_its_answer_could_not_be_told_apart() -> None:
    """Gone on with, the run would send what says [NAME_1] for the name."""

    def approve(answer: str, ok: bool | None = None) -> dict[str, Any]:
        if ok is None:
            raise Pause("May this be sent?")
        return {"sent": answer}

    nodes = {"draft": dspy.Predict("question -> answer"), "ask": approve}
    program = Redacted(Graph(nodes, {"draft": "ask", "ask": END}, "draft"))
    with (
        dspy.context(lm=scripted_lm([{"answer": "Dear [NAME_1]"}])),
        pytest.raises(ProgramError, match="'ask' asks a person inside of a Redacted"),
    ):
        program(question="I am Ana Pratt.")
