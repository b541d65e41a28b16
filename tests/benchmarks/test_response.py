"""The response model: what helps, what hurts, and that the true score is what happens."""

from __future__ import annotations

import math
from dataclasses import replace

import dspy
import numpy as np
import pytest
from benchmarks.optimizers.response import Demo, Prompt, Responses
from benchmarks.optimizers.world_engine import WorldEngine, world_lm
from benchmarks.optimizers.worlds import WORLDS, World


@pytest.fixture
def rules() -> Responses:
    return Responses(World(WORLDS["rules"], seed=3))


def mean(responses: Responses, prompt: Prompt) -> float:
    return float(responses.probabilities(prompt).mean())


def logit(chance: float) -> float:
    return math.log(chance / (1 - chance))


def taught(world: World, text: str, demos: list[dspy.Example] | None = None) -> dspy.Module:
    program = world.program()
    for _, predictor in program.named_predictors():
        predictor.signature = predictor.signature.with_instructions(text)
        predictor.demos = demos or []
    return program


def test_each_further_rule_helps(rules: Responses) -> None:
    means = [mean(rules, Prompt(0, frozenset(range(count)))) for count in range(13)]
    assert means == sorted(means)
    assert means[-1] > means[0] + 0.3


def test_a_right_demo_helps_a_wrong_one_hurts(rules: Responses) -> None:
    plain = mean(rules, Prompt(0))
    assert mean(rules, Prompt(0, demos=(Demo(4, right=True),))) > plain
    assert mean(rules, Prompt(0, demos=(Demo(4, right=False),))) < plain


def test_of_demos_of_the_same_rule_only_the_best_counts(rules: Responses) -> None:
    only = [case.number for case in rules.world.cases[:200] if case.rules[0] == frozenset({0})]
    one, two = (Demo(number, right=True) for number in only[:2])
    alone = [rules.probabilities(Prompt(0, demos=(demo,)))[200:] for demo in (one, two)]
    both = rules.probabilities(Prompt(0, demos=(one, two)))[200:]
    assert (both == np.maximum(*alone)).all()
    assert (alone[0] != alone[1]).any()


def test_demos_of_different_rules_add_up_to_less_than_their_sum(rules: Responses) -> None:
    cases = [case for case in rules.world.cases[:200] if case.rules[0] == frozenset({0, 1})]
    one, two = (
        next(case for case in rules.world.cases if case.rules[0] == frozenset({rule}))
        for rule in (0, 1)
    )
    shown = [(), (one,), (two,), (one, two)]
    prompts = [Prompt(0, demos=tuple(Demo(c.number, right=True) for c in each)) for each in shown]
    logits = [logit(rules.probabilities(prompt)[cases[0].number]) for prompt in prompts]
    none, first, second, both = logits
    assert max(first, second) < both < first + second - none


def test_a_demo_does_not_help_its_own_case(rules: Responses) -> None:
    without = rules.probabilities(Prompt(0))
    shown = rules.probabilities(Prompt(0, demos=(Demo(4, right=True),)))
    assert shown[4] == without[4]
    assert (shown > without).sum() > 100


def test_myths_hurt_and_so_do_words_beyond_the_free_ones(rules: Responses) -> None:
    plain = mean(rules, Prompt(0))
    assert mean(rules, Prompt(0, myths=2)) < mean(rules, Prompt(0, myths=1)) < plain
    assert mean(rules, Prompt(0, words=120)) == plain > mean(rules, Prompt(0, words=121))


@pytest.mark.parametrize("step", [0, 1])
def test_a_prompt_is_read_for_its_own_step_only(step: int) -> None:
    world = World(WORLDS["credit"], seed=0)
    told = "Fields. your objective is: RULE_A01 RULE_B02 RULE_B03 MYTH_A07 MYTH_A07 six"
    prompt = Responses(world).read(step, told, [])
    expected = [Prompt(0, frozenset({1}), 1, 6), Prompt(1, frozenset({2, 3}), 0, 6)]
    assert prompt == expected[step]


def test_nothing_changes_a_score_in_the_null_world() -> None:
    world = World(WORLDS["null"], seed=1)
    responses = Responses(world)
    wrong = [dspy.Example(ticket=world.cases[2].ticket, label="L99")]
    edited = taught(world, "RULE_A01 MYTH_A03 " + "word " * 900, wrong)
    assert responses.true_score(edited) == responses.true_score(world.program())


def test_a_demo_that_is_not_shown_does_not_count() -> None:
    world = World(WORLDS["credit"], seed=0)
    program, responses = world.program(), Responses(world)
    before = responses.true_score(program)
    program.extract.demos = world.train[:4]  # no facts: DSPy leaves them out of that prompt
    assert responses.true_score(program) == before


@pytest.mark.parametrize("name", ["rules", "credit"])
def test_the_true_score_is_how_often_the_answer_is_right(name: str) -> None:
    world = World(replace(WORLDS[name], shared=0.0), seed=5)
    named = [f"RULE_{letter}0{rule}" for letter in "AB" for rule in range(4)]
    program = taught(world, f"Use {' '.join(named)}", world.train[:2])
    right = 0.0
    with dspy.context(lm=world_lm(WorldEngine(world))):
        for number in world.unseen[:800]:
            case = world.cases[number]
            answer = program(ticket=case.ticket)
            right += world.metric(dspy.Example(label=case.label), answer)
    assert right / 800 == pytest.approx(Responses(world).true_score(program), abs=0.05)
