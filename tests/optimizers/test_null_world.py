"""A world in which no prompt matters: nothing is proven in it, and nothing much is claimed."""

from __future__ import annotations

from statistics import fmean

import pytest
from dspy import lm15

from compilm.optimizers.budget import Budget
from compilm.optimizers.compile import compile_job
from compilm.optimizers.result import CompileResult
from compilm.testing.engines import chat_answer, scripted_lm

from . import worlds
from .relay import drawn

SEEDS = 60


def coin(request: lm15.Request) -> str:
    """Right for half of all prompts, whatever they say; the proposer writes something new."""
    asked = f"{request.system}{request.messages}"
    if "proposed_instruction" in asked or "proposed_rules" in asked:
        words = f"Sort it as in case {drawn(asked, 'case', 10**6)}."
        return chat_answer({"proposed_instruction": words, "proposed_rules": words})
    text = (request.messages[-1].text or "").split("[[ ## text ## ]]")[1].split("\n\n")[0].strip()
    truth = worlds.label_of(text)
    wrong = worlds.LABELS[(worlds.LABELS.index(truth) + 1) % len(worlds.LABELS)]
    return chat_answer({"label": truth if drawn(asked, "coin", 2) else wrong})


def compiled(seed: int) -> CompileResult:
    return compile_job(
        worlds.job(
            lm=scripted_lm(coin), level=1 + seed % 3, budget=Budget(rollouts=130), seed=seed,
            sizes=(12, 24, 24),
        )
    )  # fmt: skip


@pytest.mark.slow
def test_where_no_prompt_matters_nothing_is_proven_and_little_is_shipped() -> None:
    results = [compiled(seed) for seed in range(SEEDS)]
    verdicts = [result.verdict for result in results]
    assert verdicts.count("proven") <= 0.05 * SEEDS
    assert verdicts.count("proven") + verdicts.count("likely") <= 0.2 * SEEDS
    assert fmean(result.gain.value for result in results) <= 0.03
    assert sum(result.gain.low <= 0 for result in results) >= 0.95 * SEEDS
    assert sum(result.candidate != "c0" or result.held_out is not None for result in results) > 10
