"""Programs of the shapes that people write go all the way: compiled, saved, loaded and served."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import dspy
import pytest
from fastapi.testclient import TestClient

import compilm
from compilm.artifact import Predictor
from compilm.clock import ManualClock
from compilm.programs.predictors import predictors
from compilm.runtime.http.app import create_app
from compilm.runtime.http.schema import answer_of
from compilm.runtime.load import Runtime
from compilm.testing.engines import ScriptedEngine, scripted_lm

from .apprentice import Apprentice, demonstrations
from .cases import CASES, Case
from .programs import judged

TRAIN, VAL, TEST = slice(0, 20), slice(20, 36), slice(36, 58)
BUDGET = compilm.Budget(rollouts=180)


@dataclass(frozen=True)
class Compiled:
    """One case after its compile; `before` is what the user's program was made of until then."""

    case: Case
    program: dspy.Module
    before: Any
    models: Mapping[str, dspy.LM]
    result: compilm.CompileResult

    @property
    def held_out(self) -> Sequence[dspy.Example]:
        return self.case.examples[TEST]

    def loaded(self, folder: Path) -> Runtime:
        """The saved artifact with a program that was made anew."""
        path = self.result.save(folder)
        return compilm.load(path, self.case.build(self.models), roles=self.models)

    def predicted(self, example: dspy.Example) -> dspy.Prediction:
        with dspy.context(lm=self.models["default"]):
            return self.result.program(**example.inputs())


def engine(lm: dspy.LM) -> ScriptedEngine:
    assert isinstance(lm.engine, ScriptedEngine)
    return lm.engine


def made_of(program: dspy.Module) -> Any:
    """Everything of a program that a compile may be tempted to change."""
    parts = {
        path: (one.signature, one.signature.instructions, [*one.demos], one.lm, {**one.config})
        for path, one in predictors(program).items()
    }
    held = {
        name: (id(value), [*value] if isinstance(value, list | dict) else None)
        for name, value in vars(program).items()
    }
    return parts, held


@cache
def compiled(name: str) -> Compiled:
    case = CASES[name]
    script = Apprentice(case.answer)
    models = {role: scripted_lm(script, model=f"scripted/{role}") for role in case.roles}
    program = case.build(models)
    before = made_of(program)
    result = compilm.compile(
        program, case.metric, trainset=case.examples[TRAIN], valset=case.examples[VAL],
        testset=case.examples[TEST], level=1, budget=BUDGET, roles=models, concurrency=4,
        progress="none", clock=ManualClock(),
    )  # fmt: skip
    return Compiled(case, program, before, models, result)


@pytest.fixture(autouse=True)
def judge(monkeypatch: pytest.MonkeyPatch) -> dspy.LM:
    """The model that one metric holds as a global of its module."""
    lm = _judge()
    monkeypatch.setattr(judged, "JUDGE", lm)
    return lm


@cache
def _judge() -> dspy.LM:
    return scripted_lm(Apprentice(CASES["judged"].answer), model="scripted/judge")


@pytest.fixture(params=list(CASES))
def done(request: pytest.FixtureRequest, judge: dspy.LM) -> Compiled:
    """Every case, compiled once; its metric may need the judge."""
    return compiled(request.param)


def test_it_gets_better_within_its_budget(done: Compiled) -> None:
    assert done.result.verdict in ("proven", "likely")
    assert done.result.gain.value > 0
    assert done.result.spent.rollouts <= (BUDGET.rollouts or 0)


def test_the_given_program_is_as_it_was(done: Compiled) -> None:
    assert made_of(done.program) == done.before
    assert done.result.program is not done.program


def test_the_models_of_the_compiled_program_are_the_users(done: Compiled) -> None:
    """No metered twin is left behind in what the user is given."""
    for path, one in predictors(done.result.program).items():
        assert one.lm is predictors(done.program)[path].lm
    for name, value in vars(done.program).items():
        if isinstance(value, dspy.LM):
            assert vars(done.result.program)[name] is value


def test_saved_and_loaded_it_answers_the_same(done: Compiled, tmp_path: Path) -> None:
    runtime = done.loaded(tmp_path)
    here = [dict(done.predicted(example)) for example in done.held_out]
    there = [dict(runtime(**example.inputs())) for example in done.held_out]
    assert there == here
    assert runtime.artifact.digest == done.result.artifact.digest


def test_loaded_it_shows_its_demonstrations_to_the_model(done: Compiled, tmp_path: Path) -> None:
    runtime = done.loaded(tmp_path)
    kept = sorted(shown(one) for one in done.result.artifact.predictors)
    asked = [len(engine(lm).requests) for lm in done.models.values()]
    for example in done.held_out:
        runtime(**example.inputs())
    fresh = [
        demonstrations(request)
        for lm, start in zip(done.models.values(), asked)
        for request in engine(lm).requests[start:]
    ]
    assert max(kept) > 0
    assert max(fresh) == max(kept)
    assert set(fresh) <= set(kept)


def shown(predictor: Predictor) -> int:
    """How many demonstrations a predictor shows to each call: those that stay, and the nearest."""
    near = predictor.nearest
    return len(predictor.demos) + (min(near.k, len(near.pool)) if near else 0)


def test_it_is_served(done: Compiled, tmp_path: Path) -> None:
    runtime = done.loaded(tmp_path)
    example = done.held_out[0]
    with TestClient(create_app(runtime, name="it")) as client:
        answer = client.post("/v1/programs/it", json=dict(done.case.sent(example.inputs())))
        document = client.get("/openapi.json")
    assert (answer.status_code, document.status_code) == (200, 200)
    assert answer.json() == answer_of(done.predicted(example))
    assert answer.headers["x-program-digest"] == done.result.artifact.digest


def test_a_judge_on_the_default_model_is_paid_for_once_and_counted() -> None:
    done = compiled("judged")
    records = list(done.result.journal.read(kinds=["call"]))  # type: ignore[union-attr]
    judgements = [r for r in records if "fits" in str(r.body["response"])]
    assert judgements
    assert done.result.spent.calls == len(records)


@pytest.mark.parametrize("calls", [31, 90])
def test_a_judge_in_a_global_is_counted_under_the_budget(judge: dspy.LM, calls: int) -> None:
    case = CASES["judged by a global"]
    lm = scripted_lm(Apprentice(case.answer))
    before = engine(judge).calls
    result = compilm.compile(
        judged.Titler(), case.metric, trainset=case.examples[TRAIN], valset=case.examples[VAL],
        testset=case.examples[TEST], level=1, budget=compilm.Budget(calls=calls),
        roles={"default": lm}, progress="none",
    )  # fmt: skip
    judgements = engine(judge).calls - before
    assert judgements > calls / 4
    assert engine(lm).calls + judgements == result.spent.calls <= calls
    rollouts = result.journal.read(kinds=["rollout"])  # type: ignore[union-attr]
    assert all(record.body["unmanaged"] == 1 for record in rollouts)


def test_the_feedback_of_a_judge_is_in_the_journal() -> None:
    rollouts = compiled("judged").result.journal.read(kinds=["rollout"])  # type: ignore[union-attr]
    told = {record.body["score"]["feedback"] for record in rollouts}
    assert told == {"it fits", "not the word I wanted"}


def test_the_models_a_program_holds_are_each_asked_for_their_own_part() -> None:
    done = compiled("two_models")
    asked = {role: [r.system for r in engine(lm).requests] for role, lm in done.models.items()}
    assert all("Guess the number" in str(system) for system in asked["default"])
    assert all("Correct the guess" in str(system) for system in asked["big"])
    assert len(asked["default"]) > 100 < len(asked["big"])


def test_an_outage_behind_a_swallowed_exception_is_no_score() -> None:
    rollouts = [r.body for r in compiled("careful").result.journal.read(kinds=["rollout"])]  # type: ignore[union-attr]
    failed = [one for one in rollouts if one["outputs"]["failed"]]
    missing = [one for one in failed if one["score"]["missing"]]
    garbled = [one for one in failed if not one["score"]["missing"]]
    assert all("ServerError" in one["score"]["missing"] for one in missing)
    assert all(one["score"]["value"] == 0.0 for one in garbled)
    assert min(len(missing), len(garbled)) >= 5


def test_what_a_program_notes_on_itself_stays_in_the_copies() -> None:
    done = compiled("lookup")
    assert (vars(done.program)["asked"], vars(done.program)["last"]) == (0, None)
    assert vars(done.result.program)["shelf"].passages == vars(done.program)["shelf"].passages


def test_a_program_that_can_be_awaited_answers_the_same_awaited(tmp_path: Path) -> None:
    done = compiled("twofold")
    runtime = done.loaded(tmp_path)

    async def awaited() -> list[dict[str, Any]]:
        found = await asyncio.gather(*(runtime.acall(**e.inputs()) for e in done.held_out))
        return [dict(one) for one in found]

    assert asyncio.run(awaited()) == [dict(done.predicted(example)) for example in done.held_out]


def test_typed_outputs_come_back_as_their_types(tmp_path: Path) -> None:
    done = compiled("typed")
    found = done.loaded(tmp_path)(**done.held_out[0].inputs())
    kinds = [type(found[name]).__name__ for name in ("ticket", "teams", "hours", "urgent")]
    assert kinds == ["Ticket", "list", "int", "bool"]
    assert type(found.ticket.place).__name__ == "Place"


def test_a_picture_in_a_demonstration_is_a_picture_in_the_prompt(tmp_path: Path) -> None:
    done = compiled("pictures")
    done.loaded(tmp_path)(**done.held_out[0].inputs())
    request = engine(done.models["default"]).requests[-1]
    pictures = [
        part.data
        for m in request.messages
        for part in m.parts
        if type(part).__name__ == "ImagePart"
    ]
    assert len(pictures) == len(set(pictures)) == 1 + demonstrations(request) > 1


def test_the_tool_of_an_agent_is_the_programs_own(tmp_path: Path) -> None:
    done = compiled("agent")
    answers = [done.loaded(tmp_path)(**example.inputs()) for example in done.held_out]
    used = [answer for answer in answers if answer.used == "in_stock"]
    assert len(used) > len(answers) / 2
    assert all(a.pieces == e.pieces for a, e in zip(answers, done.held_out) if a in used)
