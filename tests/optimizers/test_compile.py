"""A compile: never worse, never paid twice, never over budget, the same whatever the timing."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

import dspy
import pytest
from dspy import lm15
from hypothesis import given, settings
from hypothesis import strategies as st

from compilm.errors import MetricError, ProgramError
from compilm.journal import MemoryJournal, Record, SqliteJournal
from compilm.metrics import Metric
from compilm.optimizers.budget import Budget
from compilm.optimizers.compile import compile_job, measure
from compilm.optimizers.job import Job
from compilm.optimizers.ledger import Ask
from compilm.optimizers.result import CompileResult
from compilm.prices import Price, Prices, Tokens
from compilm.runtime.layers.retry import Retry

from . import worlds

SIZES = (16, 20, 20)
SMALL: dict[str, Any] = {"sizes": SIZES, "budget": Budget(rollouts=200)}


@dataclass(frozen=True)
class Whole:
    """An undisturbed run: its job, its records and its result."""

    job: Job = field(repr=False)
    records: list[Record] = field(repr=False)
    result: CompileResult = field(repr=False)

    @property
    def digest(self) -> str:
        return self.result.artifact.digest


def completed(**how: Any) -> Whole:
    job = worlds.job(**how)
    result = compile_job(job)
    return Whole(job, list(job.journal.read()), result)


@pytest.fixture(scope="module")
def usual() -> Whole:
    """The world's usual compile, run once for all tests that only look at it."""
    return completed()


@pytest.fixture(scope="module")
def whole() -> Whole:
    return completed(level=2, **SMALL)


def bodies(job: Job, kind: str) -> list[dict[str, Any]]:
    return [record.body for record in job.journal.read(kinds=[kind])]


def test_demonstrations_make_the_program_better_and_it_is_proven(usual: Whole) -> None:
    job, result = usual.job, usual.result
    assert result.verdict == "proven"
    assert result.gain.low > 0
    assert result.gain.n == 60
    assert result.compiled["test"].value > result.baseline["test"].value  # type: ignore[union-attr]
    assert len(result.program.sort.demos) >= 4
    assert job.program.sort.demos == []


def test_instructions_are_proposed_and_win_at_level_2() -> None:
    result = compile_job(worlds.job(level=2, budget=Budget(rollouts=1200)))
    assert worlds.WORD in result.program.sort.signature.instructions
    assert worlds.WORD not in worlds.Sorter().sort.signature.instructions


def test_the_compiled_program_gives_what_was_measured(usual: Whole) -> None:
    job, result = usual.job, usual.result
    with dspy.context(lm=worlds.world_lm()):
        right = [result.program(text=e.text).label == e.label for e in job.test]
    assert sum(right) / len(right) == pytest.approx(result.compiled["test"].value)  # type: ignore[union-attr]


def test_level_0_measures_and_ships_the_given_program() -> None:
    job = worlds.job(level=0)
    result = compile_job(job)
    assert (result.verdict, result.candidate) == ("unproven", "c0")
    assert result.program is job.program
    assert result.baseline["val"].n == 40  # type: ignore[union-attr]
    assert result.baseline["test"].n == 60  # type: ignore[union-attr]
    assert result.spent.rollouts == 100


def test_nothing_to_gain_is_said_and_ends_early() -> None:
    perfect = worlds.scripted_lm(lambda r: worlds.reply(r, base=1.0))
    result = compile_job(worlds.job(lm=perfect))
    assert result.verdict == "no-headroom"
    assert result.spent.rollouts == 100


def test_a_useless_search_ships_the_given_program() -> None:
    flat = worlds.scripted_lm(lambda r: worlds.reply(r, base=0.5, a_demo=0.0))
    job = worlds.job(lm=flat)
    result = compile_job(job)
    assert (result.verdict, result.candidate) == ("no-headroom", "c0")
    assert result.stop == "no headroom: a gain above 0.02 is unlikely by what was tried"
    assert result.program is job.program
    assert result.gain.value == 0.0
    assert result.spent.rollouts < 500


def test_harmful_demonstrations_are_never_shipped() -> None:
    harmed = worlds.scripted_lm(lambda r: worlds.reply(r, base=0.6, a_demo=-0.05))
    result = compile_job(worlds.job(lm=harmed))
    assert result.candidate == "c0"


def test_the_outcome_does_not_depend_on_the_number_of_workers() -> None:
    results = [compile_job(worlds.job(level=2, concurrency=n, **SMALL)) for n in (1, 3, 16)]
    assert len({result.artifact.digest for result in results}) == 1
    assert len({result.spent.calls for result in results}) == 1


def test_another_seed_is_another_search() -> None:
    one, two = (compile_job(worlds.job(seed=seed, **SMALL)) for seed in (0, 1))
    assert one.run != two.run


def test_a_finished_run_is_given_back_without_a_call(usual: Whole) -> None:
    journal, first = MemoryJournal(), usual.result
    for record in usual.records:
        journal.append(record)
    lm = worlds.world_lm()
    again = compile_job(worlds.job(journal=journal, lm=lm))
    assert worlds.engine_of(lm).calls == 0
    assert again.artifact == first.artifact
    assert again.spent == first.spent


@settings(max_examples=6, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True))
def test_a_run_cut_at_any_record_goes_on_to_the_same_end_and_pays_nothing_twice(
    whole: Whole, place: float
) -> None:
    records = whole.records
    cut = int(place * len(records))
    journal = MemoryJournal()
    for record in records[:cut]:
        journal.append(record)
    lm = worlds.world_lm()
    result = compile_job(worlds.job(level=2, journal=journal, lm=lm, **SMALL))
    paid = sum(record.kind == "call" for record in records[:cut])
    everything = sum(record.kind == "call" for record in records)
    assert result.artifact.digest == whole.digest
    assert worlds.engine_of(lm).calls == everything - paid


def test_sessions_and_lost_calls_are_told() -> None:
    journal = MemoryJournal()
    job = worlds.job(journal=journal, **SMALL)
    run = job.run
    journal.append(Record("run.started", 0.0, run, job.header()))
    journal.append(Record("session.opened", 0.0, run, {"concurrency": 4}))
    sent = {"role": "default", "request": "x"}
    journal.append(Record("call.sent", 5.0, run, {**sent, **Ask(9, 0.0).to_json()}))
    result = compile_job(job)
    assert bodies(job, "run.finished")[0]["lost_calls"] == 1
    assert any("1 calls were in flight" in note for note in result.notes)


@settings(max_examples=12, deadline=None)
@given(limit=st.integers(0, 200), level=st.sampled_from([0, 1, 2, 3]))
def test_a_budget_of_calls_is_never_exceeded(limit: int, level: int) -> None:
    lm = worlds.world_lm()
    result = compile_job(
        worlds.job(level=level, lm=lm, budget=Budget(calls=limit), sizes=SIZES, concurrency=8)
    )
    assert worlds.engine_of(lm).calls <= limit
    assert result.spent.calls == worlds.engine_of(lm).calls
    assert result.verdict in {"proven", "likely", "unproven"}


@settings(max_examples=5, deadline=None)
@given(limit=st.integers(0, 200))
def test_a_budget_of_rollouts_is_never_exceeded(limit: int) -> None:
    job = worlds.job(budget=Budget(rollouts=limit))
    result = compile_job(job)
    assert len(bodies(job, "rollout")) == result.spent.rollouts <= limit


@settings(max_examples=12, deadline=None)
@given(limit=st.floats(0, 0.4), level=st.sampled_from([1, 2]), workers=st.sampled_from([1, 8]))
def test_a_budget_of_money_is_never_exceeded_by_what_was_billed(
    limit: float, level: int, workers: int
) -> None:
    price, billed = Price(input=2.0, output=10.0), []

    def reply(request: lm15.Request) -> str:
        said = worlds.reply(request)
        asked = sum(len(part.text) for message in request.messages for part in message.parts)
        billed.append(price.usd(Tokens(asked // 4, len(said) // 4)))  # as the engine counts
        return said

    result = compile_job(
        worlds.job(
            level=level,
            lm=worlds.scripted_lm(reply, model="scripted/world"),
            budget=Budget(usd=limit),
            prices=Prices({"scripted/world": price}),
            sizes=SIZES,
            concurrency=workers,
        )
    )
    assert sum(billed) <= limit
    assert result.spent.usd == pytest.approx(sum(billed), abs=1e-9)


def test_one_dear_proposal_does_not_cost_the_proof() -> None:
    dear = worlds.scripted_lm(worlds.reply, model="scripted/dear", max_tokens=8000)
    prices = {"scripted/world": Price(0.2, 0.8), "scripted/dear": Price(3.0, 15.0)}
    lm = worlds.world_lm()
    job = worlds.job(lm=lm, level=2, budget=Budget(usd=0.14), prices=Prices(prices))
    results = [
        compile_job(
            replace(
                job,
                roles={"default": lm, "proposer": dear},
                concurrency=workers,
                journal=MemoryJournal(),
            )
        )
        for workers in (1, 32)
    ]
    assert {result.verdict for result in results} == {"proven"}
    assert len({result.artifact.digest for result in results}) == 1


@pytest.mark.parametrize("budget", [Budget(usd=0.25), Budget(tokens=60_000)])
def test_large_max_tokens_cost_neither_the_proof_nor_the_same_outcome(budget: Budget) -> None:
    results = [
        compile_job(
            worlds.job(
                level=1,
                lm=worlds.world_lm(max_tokens=8000),
                budget=budget,
                prices=Prices({"scripted/world": Price(input=2.0, output=10.0)}),
                concurrency=workers,
            )
        )
        for workers in (1, 8)
    ]
    assert len({result.artifact.digest for result in results}) == 1
    assert {result.verdict for result in results} == {"proven"}


@pytest.mark.parametrize("error", [lm15.TimeoutError("late"), lm15.ServerError("down")])
def test_what_may_have_been_billed_counts_when_the_run_goes_on_too(error: Exception) -> None:
    journal, answers = MemoryJournal(), iter([error])
    lm = worlds.scripted_lm(lambda request: next(answers, None) or worlds.reply(request))
    prices = Prices({"scripted/model": Price(input=2.0, output=10.0)})
    job = worlds.job(
        lm=lm, journal=journal, budget=Budget(calls=5), retry=Retry(attempts=1), prices=prices
    )
    spent = compile_job(job).spent
    (failed,) = bodies(job, "call.failed")
    (sent,) = (r for r in bodies(job, "call.sent") if r["request"] == failed["request"])
    assert failed["tokens"] == (sent["tokens"] if isinstance(error, lm15.TimeoutError) else 0)
    unfinished = MemoryJournal()
    for record in journal.read():
        if record.kind != "run.finished":
            unfinished.append(record)
    again = compile_job(replace(job, journal=unfinished)).spent
    assert (again.calls, again.tokens, again.usd) == (5, spent.tokens, spent.usd)
    assert spent.usd is not None


def test_failed_attempts_count_against_the_budget() -> None:
    attempts: list[int] = []

    def flaky(request: lm15.Request) -> Any:
        attempts.append(1)
        return lm15.ServerError("down") if len(attempts) % 3 == 0 else worlds.reply(request)

    clock = worlds.ManualClock()
    job = worlds.job(
        lm=worlds.scripted_lm(flaky),
        budget=Budget(calls=150),
        retry=Retry(clock=clock),
        clock=clock,
        concurrency=1,
    )
    compile_job(job)
    assert len(attempts) <= 150
    assert bodies(job, "call.failed")
    assert all(row["score"]["missing"] == "" for row in bodies(job, "rollout"))


def test_an_outage_leaves_cells_missing_and_never_scores_zero() -> None:
    def half(request: lm15.Request) -> Any:
        return lm15.RateLimitError("slow") if "7" in (request.messages[-1].text or "") else (
            worlds.reply(request)
        )  # fmt: skip

    job = worlds.job(lm=worlds.scripted_lm(half), level=0)
    result = compile_job(job)
    scores = [row["score"] for row in bodies(job, "rollout")]
    missing = [score for score in scores if score["missing"]]
    assert missing
    assert all(score["value"] is None for score in missing)
    assert "RateLimit" in missing[0]["missing"]
    assert result.baseline["val"].n < 40  # type: ignore[union-attr]


def test_a_failure_that_the_program_swallows_is_still_missing() -> None:
    class Swallower(worlds.Sorter):
        def forward(self, text: str) -> dspy.Prediction:
            try:
                return super().forward(text)
            except Exception:
                return dspy.Prediction(label="red")

    outage = worlds.scripted_lm(worlds.Bomb(20, lm15.ServerError("down")))
    job = worlds.job(lm=outage, program=Swallower(), level=0, concurrency=1)
    compile_job(job)
    missing = [row for row in bodies(job, "rollout") if row["score"]["missing"]]
    assert len(missing) == 80


@pytest.mark.parametrize("error", [lm15.AuthError("bad key sk-123"), lm15.BillingError("empty")])
def test_a_refused_account_ends_the_run_at_once_and_keeps_what_is_there(error: Exception) -> None:
    lm = worlds.scripted_lm(worlds.Bomb(30, error))
    job = worlds.job(lm=lm, concurrency=2)
    result = compile_job(job)
    assert worlds.engine_of(lm).calls <= 30 + 2
    assert result.stop.startswith("rejected: default: scripted/model refuses this account")
    assert not result.finished
    assert len(bodies(job, "rollout")) >= 29
    assert "sk-123" not in json.dumps([r.body for r in job.journal.read()])
    healed = compile_job(worlds.job(lm=worlds.scripted_lm(worlds.reply), journal=job.journal))
    assert healed.finished
    assert healed.verdict == "proven"


def test_an_interrupt_ends_with_a_result_and_the_same_call_goes_on(usual: Whole) -> None:
    journal = MemoryJournal()
    stopper = worlds.scripted_lm(worlds.Bomb(60, KeyboardInterrupt()), model="scripted/world")
    result = compile_job(worlds.job(lm=stopper, journal=journal))
    assert result.stop == "interrupted"
    assert (result.candidate, result.finished) == ("c0", False)
    again = compile_job(worlds.job(journal=journal, lm=worlds.world_lm()))
    assert again.artifact.digest == usual.digest


def test_a_program_that_always_raises_is_told_not_scored() -> None:
    class Broken(worlds.Sorter):
        def forward(self, text: str) -> dspy.Prediction:
            raise KeyError("policies")

    with pytest.raises(ProgramError, match=r"every one of .* examples.*KeyError"):
        compile_job(worlds.job(program=Broken(), level=0))


def test_a_program_that_sometimes_raises_scores_zero_there_with_the_reason() -> None:
    class Shaky(worlds.Sorter):
        def forward(self, text: str) -> dspy.Prediction:
            if text.endswith("3"):
                raise RuntimeError("no threes")
            return super().forward(text)

    job = worlds.job(program=Shaky(), level=0)
    compile_job(job)
    failed = [row for row in bodies(job, "rollout") if row["error"]]
    assert len(failed) == 10
    assert failed[0]["score"]["value"] == 0.0
    assert "RuntimeError: no threes" in failed[0]["score"]["feedback"]


def test_a_metric_without_a_score_is_an_error_with_the_examples_id() -> None:
    job = worlds.job(metric=Metric(lambda example, prediction: None, name="nothing"), level=0)
    with pytest.raises(MetricError) as caught:
        compile_job(job)
    assert caught.value.example_id in {*job.val.ids}


def test_frozen_predictors_stay_as_they_are() -> None:
    result = compile_job(worlds.job(frozen=("sort",)))
    assert result.candidate == "c0"
    assert result.stop.startswith("nothing may change")


def test_a_judge_in_a_global_is_counted_under_the_budget() -> None:
    judge = worlds.scripted_lm([{"verdict": "yes"}], model="scripted/judge")

    def judged(example: dspy.Example, prediction: dspy.Prediction) -> bool:
        with dspy.context(lm=judge):
            return bool(dspy.Predict("label -> verdict")(label=prediction.label).verdict == "yes")

    job = worlds.job(metric=Metric(judged), level=0, budget=Budget(calls=50))
    result = compile_job(job)
    total = worlds.engine_of(judge).calls + worlds.engine_of(job.roles["default"]).calls
    assert total == result.spent.calls <= 50


def test_an_lm_that_the_program_carries_is_metered_and_replayed() -> None:
    class Own(dspy.Module):
        def __init__(self, lm: dspy.LM) -> None:
            super().__init__()
            self.sort = dspy.Predict(worlds.Sort)
            self.lm = lm

        def forward(self, text: str) -> dspy.Prediction:
            with dspy.context(lm=self.lm):
                return self.sort(text=text)

    journal, own, other = MemoryJournal(), worlds.world_lm(), worlds.scripted_lm(worlds.reply)
    compile_job(worlds.job(program=Own(own), lm=other, journal=journal, **SMALL))
    used = worlds.engine_of(own).calls
    assert used == sum(r.kind == "call" for r in journal.read())
    assert worlds.engine_of(other).calls == 0


def test_a_predictors_own_model_answers_for_it() -> None:
    program, other = worlds.Sorter(), worlds.scripted_lm(worlds.reply)
    program.sort.lm = own = worlds.world_lm()
    result = compile_job(worlds.job(program=program, lm=other, level=0))
    assert worlds.engine_of(own).calls == result.spent.calls
    assert worlds.engine_of(other).calls == 0


def test_an_async_program_compiles() -> None:
    class Async(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.sort = dspy.Predict(worlds.Sort)

        async def aforward(self, text: str) -> dspy.Prediction:
            return await self.sort.acall(text=text)

    result = compile_job(worlds.job(program=Async(), **SMALL))
    assert result.verdict in ("proven", "likely")


def test_measuring_gives_rollouts_in_the_examples_order() -> None:
    job = worlds.job(level=0)
    rollouts, spent, stop = measure(job)
    assert [r.example for r in rollouts] == list(job.test.ids)
    assert (spent.rollouts, stop) == (60, "")


def test_measuring_under_a_budget_keeps_what_was_scored() -> None:
    rollouts, spent, stop = measure(worlds.job(level=0, budget=Budget(calls=45), concurrency=1))
    assert (len(rollouts), spent.calls, stop) == (45, 45, "budget: 45 calls")


def test_freezing_an_unknown_predictor_is_told() -> None:
    with pytest.raises(ProgramError, match=r"freeze names 'sord'.*\['sort'\]"):
        compile_job(worlds.job(frozen=("sord",)))


def test_a_journal_on_disk_holds_the_same_run(usual: Whole, tmp_path: Any) -> None:
    journal = SqliteJournal(tmp_path / "run.db")
    result = compile_job(worlds.job(journal=journal))
    assert result.artifact.digest == usual.digest
    folder = result.save(tmp_path / "out")
    assert (folder / "artifact.json").exists()
    assert str(result).startswith("proven: better")
    assert "proven" in result._repr_html_()
    assert result.to_json()["digest"] == result.artifact.digest
