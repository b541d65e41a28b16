"""The engine of a world: deterministic, countable, and an answer to whoever asks."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dspy
import pytest
from benchmarks.optimizers.proposer import steps_meant
from benchmarks.optimizers.response import Responses
from benchmarks.optimizers.world_engine import WorldEngine, world_lm
from benchmarks.optimizers.worlds import WORLDS, World, named
from dspy.lm15 import Config, Message, Request
from dspy.propose.dataset_summary_generator import DatasetDescriptor, ObservationSummarizer
from dspy.propose.grounded_proposer import generate_instruction_class
from dspy.teleprompt.gepa.instruction_proposal import ProposeInstruction as GepaProposal
from dspy.teleprompt.simba_utils import OfferFeedback

from compilm.optimizers.propose.instructions import ProposeInstruction

BLAMED = "Wrong. Expected L1. This case is governed by RULE_A03, RULE_B05."
OURS = {
    "task": "The step `extract`. Inputs: `ticket` (str). Outputs: `facts` (str).",
    "current_instruction": "Use RULE_A01.",
    "examples": f'[{{"inputs": {{}}, "predicted": {{"label": "L2"}}, "feedback": "{BLAMED}"}}]',
    "tip": "",
}
TRAJECTORIES = {
    name: "-"
    for name in OfferFeedback.input_fields
    if name not in {"modules_defn", "worse_reward_info", "module_names"}
}
OTHERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "ours": (ProposeInstruction, OURS),
    "gepa": (
        GepaProposal,
        {
            "current_instruction": "Use RULE_A01.",
            "examples_with_feedback": [
                {"Inputs": {}, "Generated Outputs": {"facts": "FACTS_BAD"}, "Feedback": BLAMED}
            ],
        },
    ),
    "simba": (
        OfferFeedback,
        {
            **TRAJECTORIES,
            "modules_defn": "Module extract\nModule answer",
            "worse_reward_info": BLAMED,
            "module_names": ["extract", "answer"],
        },
    ),
    "mipro data": (DatasetDescriptor, {"examples": "Case C00001, Case C00002"}),
    "mipro summary": (ObservationSummarizer, {"observations": "RULE_A01 matters."}),
    "mipro instruction": (generate_instruction_class().signature, {}),
}


@pytest.fixture
def world() -> World:
    return World(WORLDS["credit"], seed=0)


def asked(world: World, signature: Any, fields: dict[str, Any], **settings: Any) -> Any:
    given = {**dict.fromkeys(signature.input_fields, "-"), **fields}
    with dspy.context(lm=world_lm(WorldEngine(world)).copy(temperature=1.0, **settings)):
        return dspy.Predict(signature)(**given)


def request(text: str, **config: Any) -> Request:
    return Request(model="world", messages=(Message.user(text),), config=Config(**config))


@pytest.mark.parametrize("who", OTHERS)
def test_every_proposer_gets_the_fields_it_asks_for(world: World, who: str) -> None:
    signature, fields = OTHERS[who]
    answer = asked(world, signature, fields)
    assert all(getattr(answer, name) for name in signature.output_fields)


@pytest.mark.parametrize("who", ["ours", "gepa"])
def test_a_proposal_is_for_the_step_that_is_asked_about(world: World, who: str) -> None:
    signature, fields = OTHERS[who]
    answers = [asked(world, signature, fields, seed=seed) for seed in range(20)]
    texts = [str(next(iter(answer.toDict().values()))) for answer in answers]
    rules = [rule for text in texts for rule in re.findall(r"RULE_\w\d\d", text)]
    assert set(rules) == {"RULE_A01", "RULE_A03"}


def test_advice_is_given_to_each_module_of_its_own_rules(world: World) -> None:
    signature, fields = OTHERS["simba"]
    answers = [asked(world, signature, fields, seed=seed).module_advice for seed in range(20)]
    assert any("RULE_A03" in advice["extract"] for advice in answers)
    assert any("RULE_B05" in advice["answer"] for advice in answers)
    assert not any("RULE_B" in advice["extract"] for advice in answers)


def test_what_is_not_shown_is_not_known(world: World) -> None:
    told = [asked(world, ProposeInstruction, {"task": OURS["task"]}, seed=s) for s in range(40)]
    assert not any("RULE" in answer.proposed_instruction for answer in told)


def test_who_attends_to_little_learns_little_from_a_long_request() -> None:
    rows = " ".join(f"C{number:05d}" for number in range(100))
    texts = []
    for name in ("credit", "credit/2"):
        world = World(named(name), seed=0)
        answer = asked(world, ProposeInstruction, {"task": OURS["task"], "examples": rows})
        texts.append(answer.proposed_instruction)
    wide, narrow = (set(re.findall(r"RULE_A\d\d", text)) for text in texts)
    assert len(narrow) <= 2 < len(wide)


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("[[ ## module ## ]]\nPredict(ticket, facts) -> label", [1]),
        ('"Generated Outputs": {"facts": "FACTS_OK of C00001"}', [0]),
        ("Think step by step.", range(2)),
    ],
)
def test_who_is_meant_is_read_from_the_request(world: World, text: str, steps: list[int]) -> None:
    assert list(steps_meant(world, text)) == list(steps)


def test_at_temperature_0_the_same_request_has_the_same_answer(world: World) -> None:
    program = world.program()
    answers = []
    for _ in range(2):
        with dspy.context(lm=world_lm(WorldEngine(world))):
            answers.append([program(ticket=case.ticket).label for case in world.cases[:30]])
    assert answers[0] == answers[1]


def test_at_temperature_1_a_request_is_drawn_anew_and_others_do_not_matter(world: World) -> None:
    def drawn(engine: WorldEngine, text: str) -> list[str | None]:
        return [engine.complete(asking(text)).text for _ in range(20)]

    def asking(text: str) -> Request:
        told = "Your input fields are:\n1. `a` (str)\nYour output fields are:\n1. `b` (str)\n"
        return Request(
            model="world",
            system=told,
            messages=(Message.user(text),),
            config=Config(temperature=1.0),
        )

    alone, together = WorldEngine(world), WorldEngine(world)
    expected = drawn(alone, "one")
    with ThreadPoolExecutor(4) as pool:
        mixed = list(pool.map(lambda text: drawn(together, text), ["one", "two", "three"]))
    assert mixed[0] == expected
    assert len(set(expected)) > 1


def test_a_seed_fixes_the_draw(world: World) -> None:
    fields = {**OURS, "examples": "Case C00001, Case C00002, Case C00003, Case C00004"}
    one, same, other = (asked(world, ProposeInstruction, fields, seed=s) for s in (1, 1, 2))
    assert one.proposed_instruction == same.proposed_instruction != other.proposed_instruction


def test_calls_of_the_program_and_of_proposers_are_counted_apart(world: World) -> None:
    engine = WorldEngine(world)
    with dspy.context(lm=world_lm(engine)):
        world.program()(ticket=world.cases[0].ticket)
        dspy.Predict(ProposeInstruction)(**OURS)
    assert (engine.counts.task_calls, engine.counts.proposer_calls) == (2, 1)
    assert engine.counts.task_tokens > 100
    assert engine.counts.proposer_tokens > 100


def test_a_stream_says_what_the_whole_answer_says(world: World) -> None:
    from dspy.lm15 import materialize_response

    engine = WorldEngine(world)
    asking = request("Case C00001")
    told = materialize_response(engine.stream(asking), asking)
    assert told.text == engine.complete(asking).text


def test_a_second_step_without_right_facts_is_rarely_right(world: World) -> None:
    engine = WorldEngine(world)
    answer = dspy.Predict("ticket, facts -> label")
    right = {"FACTS_OK": 0, "FACTS_BAD": 0}
    with dspy.context(lm=world_lm(engine)):
        for case in world.cases[:300]:
            for facts in right:
                found = answer(ticket=case.ticket, facts=f"{facts} of C{case.number:05d}")
                right[facts] += found.label == case.label
    assert right["FACTS_BAD"] < 0.3 * right["FACTS_OK"]
    assert Responses(world).true_score(world.program()) < right["FACTS_OK"] / 300
