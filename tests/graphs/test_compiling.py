"""Optimizers reach every predictor of a graph, and what they store reaches the prompts."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dspy
import pytest
from tests.graphs import world

import compilm
from compilm.graphs import END, Choice, Graph, Pause
from compilm.programs.predictors import predictors
from compilm.runtime.http.schema import answer_of
from compilm.testing.engines import scripted_lm

PATHS = [
    "nodes.kind",
    "nodes.tone.predict",
    "nodes.points.step",
    "nodes.reply.nodes.write",
    "nodes.check",
]
TRAIN, VAL, TEST = world.examples(24), world.examples(16, 100), world.examples(40, 200)


def bootstrap(lm: dspy.LM) -> Any:
    optimizer = dspy.BootstrapFewShot(metric=world.metric, max_bootstrapped_demos=3)
    with dspy.context(lm=lm):
        return optimizer.compile(world.build(), trainset=TRAIN)


def mipro(lm: dspy.LM) -> Any:
    optimizer = dspy.MIPROv2(
        metric=world.metric,
        prompt_model=lm,
        task_model=lm,
        auto=None,
        num_candidates=4,
        num_threads=1,
    )
    with dspy.context(lm=lm):
        return optimizer.compile(
            world.build(), trainset=TRAIN, valset=VAL, num_trials=6, minibatch=False
        )


def gepa(lm: dspy.LM) -> Any:
    reflection = scripted_lm([f"```\nAnswer {world.WORD}.\n```"])
    optimizer = dspy.GEPA(
        metric=world.feedback, max_metric_calls=200, reflection_lm=reflection, num_threads=1
    )
    with dspy.context(lm=lm):
        return optimizer.compile(world.build(), trainset=TRAIN, valset=VAL)


def level(number: int) -> Callable[[dspy.LM], Any]:
    def compiled(lm: dspy.LM) -> Any:
        result = compilm.compile(
            world.build(),
            world.metric,
            trainset=TRAIN,
            valset=VAL,
            testset=TEST,
            level=number,
            budget=compilm.Budget(rollouts=250),
            roles={"default": lm},
            concurrency=2,
        )
        return result.program

    return compiled


OPTIMIZERS = {"bootstrap": bootstrap, "mipro": mipro, "gepa": gepa}
OPTIMIZERS |= {f"level-{number}": level(number) for number in (1, 2, 3)}


def test_every_predictor_is_found_under_a_stable_path() -> None:
    assert list(predictors(world.build())) == PATHS
    assert len(world.build().named_predictors()) == len(PATHS)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_keeps_or_improves_the_score_and_all_its_demonstrations_arrive(
    name: str, tmp_path: Path
) -> None:
    before = world.score(world.build(), world.lm(), TEST)
    program = OPTIMIZERS[name](world.lm())
    after = world.score(program, world.lm(), TEST)
    assert after >= before
    if name in ("bootstrap", "mipro", "level-1"):
        assert after > before
        assert world.total(world.stored(program)) > 0

    program.save(tmp_path / "state.json")
    loaded = world.build()
    loaded.load(tmp_path / "state.json")
    for one in (program, program.deepcopy(), program.deepcopy().deepcopy(), loaded):
        assert world.arrived(one) == world.stored(program)


def test_demonstrations_set_by_hand_on_every_predictor_arrive_everywhere(tmp_path: Path) -> None:
    program = world.build()
    for number, one in enumerate(program.predictors(), start=1):
        names = [*one.signature.input_fields, *one.signature.output_fields]
        one.demos = [dspy.Example(dict.fromkeys(names, f"demo {n}")) for n in range(number)]
    expected = {"kind": 1, "tone": 2, "point": 3, "answer": 4, "verdict": 5}
    program.save(tmp_path / "state.json")
    loaded = world.build()
    loaded.load(tmp_path / "state.json")
    for one in (program, program.deepcopy(), loaded, loaded.deepcopy()):
        assert world.arrived(one) == world.stored(one) == expected


def test_an_artifact_of_a_graph_is_saved_loaded_and_called(tmp_path: Path) -> None:
    result = compilm.compile(
        world.build(),
        world.metric,
        trainset=TRAIN,
        valset=VAL,
        testset=TEST,
        level=1,
        budget=compilm.Budget(rollouts=200),
        roles={"default": world.lm()},
    )
    result.save(tmp_path / "built")
    runtime = compilm.load(tmp_path / "built", world.build(), roles={"default": world.lm()})
    assert runtime.inputs == ("message",)
    example = TEST[0]
    found = runtime(message=example.message)
    with dspy.context(lm=world.lm()):
        assert found.toDict() == result.program(message=example.message).toDict()
    assert world.arrived(runtime.program) == world.stored(result.program)


class Asks(Graph):
    """Asks a person where the model says so, and has no way on from some answers."""

    def __init__(self) -> None:
        def person(verdict: str, reply: str | None = None) -> dict[str, Any]:
            if reply is None:
                raise Pause("What is the answer?")
            return {"answer": reply}

        super().__init__(
            nodes={"judge": dspy.Predict("message, note -> verdict"), "person": person},
            edges={"judge": Choice("verdict", {"ask": "person", "fine": END}), "person": END},
            start="judge",
            inputs=["message", "note"],
            outputs=["verdict", "answer"],
        )


def test_a_compile_goes_on_where_a_run_pauses_or_is_stuck() -> None:
    def reply(request: Any) -> dict[str, Any]:
        number = int(world.fields_of(request)["message"].split()[1])
        return {"verdict": ("ask", "fine", "hm")[number % 3]}

    data = [
        dspy.Example(message=f"message {n}", note="", verdict="fine").with_inputs("message", "note")
        for n in range(12)
    ]
    found = compilm.evaluate(
        Asks(),
        lambda example, pred, *_: float(pred.answer is None and pred.verdict == example.verdict),
        data,
        roles={"default": scripted_lm(reply)},
    )
    assert found.score.value == pytest.approx(4 / 12)
    assert {rollout.error.partition(":")[0] for rollout in found.rollouts} == {"", "GraphStuck"}


def test_a_served_graph_that_pauses_tells_the_question_and_nothing_of_its_state() -> None:
    runtime = compilm.load(
        adopted(Asks()), Asks(), roles={"default": scripted_lm([{"verdict": "ask"}])}
    )
    assert (runtime.inputs, runtime.optional) == (("message", "note"), frozenset())
    paused = runtime(message="a", note="b")
    assert answer_of(paused) == {
        "verdict": None,
        "answer": None,
        "paused": {
            "question": "What is the answer?",
            "details": {},
            "node": "person",
            "run": paused.run,
        },
    }
    assert Asks().resume(paused, reply="yes").answer == "yes"


def adopted(program: dspy.Module) -> compilm.Artifact:
    with tempfile.TemporaryDirectory() as folder:
        program.save(f"{folder}/state.json")
        return compilm.adopt(f"{folder}/state.json", program)
