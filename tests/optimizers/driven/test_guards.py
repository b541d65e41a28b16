"""What DSPy's optimizers get wrong by themselves, and do not when they are driven."""

from __future__ import annotations

import logging
import sys
from typing import Any

import dspy
import pytest
from dspy import lm15
from tests.optimizers import worlds

from compilm.errors import MetricError, ProgramError, UsageError
from compilm.journal import MemoryJournal
from compilm.metrics import Metric
from compilm.optimizers.budget import Budget
from compilm.optimizers.compile import compile_job
from compilm.testing.engines import chat_answer, scripted_lm

from . import minds
from .driving import (
    EVERY,
    NAMES,
    SHORT,
    bodies,
    driven,
    needs_optuna,
    reply_for,
    undisturbed,
)

ON_VAL = ("BootstrapFewShotWithRandomSearch", "COPRO", "GEPA", "InferRules")


class Couple(dspy.Module):
    """Two predictors, of which the second decides."""

    def __init__(self) -> None:
        super().__init__()
        self.read = dspy.Predict("text -> note")
        self.sort = dspy.Predict(worlds.Sort)

    def forward(self, text: str) -> dspy.Prediction:
        self.read(text=text)
        return self.sort(text=text)


def couple_mind(request: lm15.Request) -> Any:
    system = minds.system_of(request)
    if "`note`" in system and minds.TASK in (request.messages[-1].text or ""):
        return chat_answer({"note": "read"})
    return minds.mind()(request)


class TestNeverWorse:
    @pytest.mark.parametrize("name", EVERY)
    def test_where_nothing_can_be_gained_the_given_program_is_shipped(self, name: str) -> None:
        flat = minds.mind(lambda r: worlds.reply(r, base=0.5, a_demo=0.0), advice="Sort it.")
        job = driven(name, lm=minds.lm(flat), **SHORT)
        result = compile_job(job)
        assert (result.verdict, result.candidate) == ("unproven", "c0")
        assert result.program is job.program

    @pytest.mark.parametrize("name", EVERY)
    def test_harm_is_never_shipped(self, name: str) -> None:
        harmed = minds.mind(lambda r: worlds.reply(r, base=0.8, a_demo=-0.08), advice="Sort it.")
        assert compile_job(driven(name, lm=minds.lm(harmed), **SHORT)).candidate == "c0"

    def test_a_program_without_headroom_is_not_searched(self) -> None:
        perfect = minds.lm(minds.mind(lambda r: worlds.reply(r, base=1.0)))
        result = compile_job(driven("GEPA", lm=perfect, sizes=(20, 30, 20)))
        assert (result.verdict, result.spent.rollouts) == ("no-headroom", 50)

    @pytest.mark.parametrize("name", EVERY)
    def test_the_given_program_and_its_signature_are_untouched(self, name: str) -> None:
        job = undisturbed(name).job
        assert worlds.Sort.instructions == "Sort the text."
        assert job.program.sort.signature is worlds.Sort
        assert job.program.sort.demos == []


class TestOutages:
    @pytest.mark.parametrize("name", EVERY)
    def test_a_few_calls_without_an_answer_are_missing_and_never_zero(self, name: str) -> None:
        def patchy(request: lm15.Request) -> Any:
            if "number 1007" in (request.messages[-1].text or ""):
                return lm15.ServerError("down")
            return reply_for(name)(request)

        job = driven(name, lm=minds.lm(patchy), **SHORT)
        result = compile_job(job)
        scores = [row["score"] for row in bodies(job, "rollout") if row["example"] == _id(job, 7)]
        assert scores
        assert all(score["value"] is None for score in scores)
        assert result.finished

    @pytest.mark.parametrize("name", ON_VAL)
    def test_an_outage_stops_the_run_and_the_same_call_goes_on(self, name: str) -> None:
        journal = MemoryJournal()
        fuse = worlds.Bomb(26, lm15.RateLimitError("slow"))
        down = minds.lm(lambda r: e if isinstance(e := fuse(r), Exception) else reply_for(name)(r))
        result = compile_job(driven(name, lm=down, journal=journal, concurrency=2))
        assert result.stop.startswith("rejected: ")
        assert "the same call goes on" in result.stop or "proposer's model" in result.stop
        assert not result.finished
        assert all(
            row["score"]["value"] != 0.0 or row["score"]["feedback"]
            for row in bodies(driven(name, journal=journal), "rollout")
        )
        again = compile_job(driven(name, journal=journal))
        assert again.artifact.digest == undisturbed(name).result.artifact.digest

    @pytest.mark.parametrize("name", EVERY)
    def test_a_refused_account_ends_the_run_at_once(self, name: str) -> None:
        bomb = worlds.Bomb(22, lm15.AuthError("no"))
        lm = minds.lm(lambda r: e if isinstance(e := bomb(r), Exception) else reply_for(name)(r))
        result = compile_job(driven(name, lm=lm, concurrency=2))
        assert "refuses this account" in result.stop
        assert worlds.engine_of(lm).calls <= 22 + 2

    @pytest.mark.parametrize("name", NAMES[1:])
    def test_an_interrupt_ends_with_a_result_and_the_same_call_goes_on(self, name: str) -> None:
        journal = MemoryJournal()
        bomb = worlds.Bomb(22, KeyboardInterrupt())
        lm = minds.lm(
            lambda r: e if isinstance(e := bomb(r), BaseException) else reply_for(name)(r)
        )
        result = compile_job(driven(name, lm=lm, journal=journal))
        assert (result.stop, result.candidate) == ("interrupted", "c0")
        again = compile_job(driven(name, journal=journal))
        assert again.artifact.digest == undisturbed(name).result.artifact.digest


def _id(job: Any, place: int) -> str:
    return str(job.val.ids[place])


class TestPrograms:
    @pytest.mark.parametrize("name", ON_VAL)
    def test_one_that_sometimes_raises_scores_zero_there_and_goes_on(self, name: str) -> None:
        class Shaky(worlds.Sorter):
            def forward(self, text: str) -> dspy.Prediction:
                if text.endswith("3"):
                    raise RuntimeError("no threes")
                return super().forward(text)

        job = driven(name, program=Shaky(), concurrency=2)
        assert compile_job(job).finished
        failed = [row for row in bodies(job, "rollout") if row["error"]]
        assert len(failed) > 12  # more than DSPy's ten errors
        assert {row["score"]["value"] for row in failed} == {0.0}

    @pytest.mark.parametrize("name", EVERY)
    def test_an_asynchronous_one_is_driven(self, name: str) -> None:
        class Async(dspy.Module):
            def __init__(self) -> None:
                super().__init__()
                self.sort = dspy.Predict(worlds.Sort)

            async def aforward(self, text: str) -> dspy.Prediction:
                return await self.sort.acall(text=text)

        assert compile_job(driven(name, program=Async(), **SHORT)).stop.endswith("came to its end")

    @pytest.mark.parametrize("name", EVERY)
    def test_a_bare_predictor_is_driven(self, name: str) -> None:
        result = compile_job(driven(name, program=dspy.Predict(worlds.Sort), **SHORT))
        assert result.stop.endswith("came to its end")
        assert [p.path for p in result.artifact.predictors] == ["self"]

    @pytest.mark.parametrize("name", EVERY)
    def test_a_frozen_predictor_stays_and_the_other_is_optimized(self, name: str) -> None:
        lm = scripted_lm(couple_mind, model="scripted/world")
        job = driven(name, program=Couple(), lm=lm, frozen=("read",), **SHORT)
        result = compile_job(job)
        assert result.stop.endswith("came to its end")
        tried = [body["predictors"] for body in bodies(job, "candidate")]
        assert {row["read"]["instructions"] for row in tried} == {tried[0]["read"]["instructions"]}
        assert all(row["read"]["demos"] == [] for row in tried)
        if name != "SIMBA":  # a steady engine gives it nothing to learn from
            assert len(tried) > 1

    def test_where_all_is_frozen_nothing_runs(self) -> None:
        result = compile_job(driven("COPRO", frozen=("sort",)))
        assert result.stop == "nothing may change: every predictor is frozen"

    def test_the_models_a_program_brings_along_stay_and_are_metered(self) -> None:
        own, other = minds.lm(), scripted_lm(minds.mind(), model="scripted/other")
        program = worlds.Sorter()
        program.sort.lm = own
        job = driven("BootstrapFewShotWithRandomSearch", program=program, lm=other)
        result = compile_job(job)
        assert worlds.engine_of(own).calls == result.spent.calls
        assert worlds.engine_of(other).calls == 0

    def test_one_of_another_shape_is_refused_in_the_end(self) -> None:
        from compilm.optimizers.driven.states import States
        from compilm.programs.predictors import shape

        states = States(shape(worlds.Sorter()), {}, None)
        with pytest.raises(ProgramError, match=r"gave back a program.*'sort' of the given one"):
            states.predictors_of(dspy.Predict("text -> label"))


class TestMetrics:
    @pytest.mark.parametrize("name", EVERY)
    def test_one_that_breaks_its_contract_ends_the_compile(self, name: str) -> None:
        asked: list[str] = []

        def breaks(example: dspy.Example, prediction: dspy.Prediction, trace: Any = None) -> Any:
            asked.append(example.text)
            return None if len(asked) > 25 else prediction.label == example.label

        with pytest.raises(MetricError, match="breaks"):
            compile_job(driven(name, metric=Metric(breaks), concurrency=1))

    @pytest.mark.parametrize("name", ON_VAL)
    def test_a_judges_calls_are_part_of_the_budget(self, name: str) -> None:
        judge = scripted_lm([{"verdict": "yes"}], model="scripted/judge")

        def judged(example: dspy.Example, prediction: dspy.Prediction) -> bool:
            with dspy.context(lm=judge):
                said = dspy.Predict("label -> verdict")(label=prediction.label).verdict
            return bool(said == "yes") and prediction.label == example.label

        job = driven(name, metric=Metric(judged), budget=Budget(calls=150))
        result = compile_job(job)
        asked = worlds.engine_of(judge).calls + worlds.engine_of(job.roles["default"]).calls
        assert asked == result.spent.calls <= 150

    def test_feedback_reaches_gepas_proposer(self) -> None:
        def told(example: dspy.Example, prediction: dspy.Prediction, trace: Any = None) -> Any:
            right = prediction.label == example.label
            return float(right), "" if right else f"it should be {example.label}, says the judge"

        lm = minds.lm()
        compile_job(driven("GEPA", lm=lm, metric=Metric(told)))
        asked = [_text(r) for r in worlds.engine_of(lm).requests if not minds.is_task(r)]
        assert any("says the judge" in text for text in asked)


class TestSilence:
    @pytest.mark.parametrize("name", EVERY)
    def test_nothing_of_dspys_is_printed_and_the_programs_words_pass(
        self, name: str, capfd: pytest.CaptureFixture[str]
    ) -> None:
        class Talker(worlds.Sorter):
            def forward(self, text: str) -> dspy.Prediction:
                print("the program speaks")
                return super().forward(text)

        compile_job(driven(name, program=Talker(), **SHORT))
        written = capfd.readouterr()
        assert "the program speaks" in written.out
        assert written.out.replace("the program speaks", "").strip() == ""
        assert written.err == ""
        assert logging.getLogger("dspy").level <= logging.INFO
        assert type(sys.stdout).__name__ != "Muted"


class TestDisclosure:
    @pytest.mark.parametrize("name", ["SIMBA", pytest.param("MIPROv2", marks=needs_optuna)])
    @pytest.mark.parametrize("shown", [False, True])
    def test_source_is_sent_to_the_proposer_only_if_asked(self, name: str, shown: bool) -> None:
        option = "program_aware_proposer" if name == "MIPROv2" else "show_source"
        lm = minds.lm(reply_for(name))
        compile_job(driven(name, lm=lm, options={option: shown}))
        asked = [_text(r) for r in worlds.engine_of(lm).requests if not minds.is_task(r)]
        assert asked
        assert any("self.sort = dspy.Predict(Sort)" in text for text in asked) is shown


class TestRoles:
    @pytest.mark.parametrize("name", ["COPRO", "GEPA", "InferRules"])
    def test_the_proposer_proposes_and_teaches_and_the_default_runs(self, name: str) -> None:
        default = minds.lm(minds.mind(advice="from the default"))
        proposer = scripted_lm(minds.mind(), model="scripted/proposer")
        job = driven(name, lm=default)
        job.roles["proposer"] = proposer  # type: ignore[index]
        compile_job(job)
        assert all(minds.is_task(r) for r in worlds.engine_of(default).requests)
        assert any(not minds.is_task(r) for r in worlds.engine_of(proposer).requests)

    def test_a_teachers_settings_are_left_as_they_are(self) -> None:
        proposer = scripted_lm(minds.mind(minds.moody), model="scripted/proposer")
        kept = dict(proposer.kwargs)
        job = driven("SIMBA")
        job.roles["proposer"] = proposer  # type: ignore[index]
        compile_job(job)
        assert dict(proposer.kwargs) == kept


class TestDefects:
    def test_infer_rules_gives_back_its_best_rules_and_not_its_last(self) -> None:
        """Left alone, it writes all rules into one shared signature and returns the last ones."""
        asked: list[int] = []

        def reply(request: lm15.Request) -> Any:
            if minds.is_task(request):
                return worlds.reply(request, a_demo=0.0)
            asked.append(1)
            return minds.proposal(request, minds.ADVICE if len(asked) == 1 else "Sort it.")

        job = driven("InferRules", lm=minds.lm(reply), options={"num_candidates": 3})
        result = compile_job(job)
        assert result.verdict in ("proven", "likely", "unproven")
        best = {row["id"]: row for row in bodies(job, "candidate")}[
            bodies(job, "decision")[-1]["best"]
        ]
        assert worlds.WORD in best["predictors"]["sort"]["instructions"]
        texts = [row["predictors"]["sort"]["instructions"] for row in bodies(job, "candidate")]
        assert all(text.count("adhere to the following rules") <= 1 for text in texts)

    def test_gepa_says_that_it_mixes_up_predictors_with_one_signature(self) -> None:
        class Twice(dspy.Module):
            def __init__(self) -> None:
                super().__init__()
                self.one, self.two = dspy.Predict(worlds.Sort), dspy.Predict(worlds.Sort)

            def forward(self, text: str) -> dspy.Prediction:
                self.one(text=text)
                return self.two(text=text)

        result = compile_job(driven("GEPA", program=Twice()))
        assert any("'one' and 'two' have the same" in note for note in result.notes)

    @needs_optuna
    @pytest.mark.parametrize("seed", [0, 1])
    def test_miprov2_is_run_with_the_seed_that_was_given(self, seed: int) -> None:
        from compilm.optimizers.driven.catalog import build, choose
        from compilm.optimizers.driven.fitting import Room, no_metric

        rows, nobody = worlds.examples(20), object()
        room = Room(400, 1, 0.5, rows, rows, no_metric, nobody, nobody, seed=seed)
        optimizer, fit = build(choose("dspy.MIPROv2"), room)
        assert optimizer.seed == seed
        assert "seed" not in fit.called  # compile() would make 9 of a 0

    @needs_optuna
    def test_miprov2_that_runs_out_of_combinations_keeps_what_it_found(self) -> None:
        options = {
            "num_candidates": 2, "num_trials": 12, "minibatch": True, "minibatch_size": 10,
            "minibatch_full_eval_steps": 1,
        }  # fmt: skip
        job = driven("MIPROv2", options=options, budget=Budget(rollouts=900))
        result = compile_job(job)
        assert result.stop == "dspy.MIPROv2 failed: ValueError"
        assert any("No valid program found" in note for note in result.notes)
        assert result.finished

    def test_one_that_fails_before_it_tried_anything_is_told(self) -> None:
        with pytest.raises(
            UsageError, match=r"dspy\.SIMBA failed before it had tried.*Multiple LM"
        ):
            program = Couple()
            program.sort.lm = minds.lm()
            compile_job(driven("SIMBA", program=program, lm=scripted_lm(couple_mind)))


def _text(request: lm15.Request) -> str:
    return minds.system_of(request) + "".join(message.text or "" for message in request.messages)
