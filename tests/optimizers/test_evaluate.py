"""Cells: in order whatever the timing, each once, missing where a call failed."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import dspy
import pytest
from dspy import lm15

from compilm.artifact import Nearest
from compilm.engine import PREFIX
from compilm.errors import MetricError, ProgramError, RunStopped
from compilm.metrics import Metric, Score
from compilm.optimizers.budget import Budget
from compilm.optimizers.candidate import Candidate
from compilm.optimizers.ledger import Ask
from compilm.optimizers.rollout import Rollout, Step

from . import worlds
from .bench import Bench, bench


@pytest.fixture
def plain() -> Iterator[Bench]:
    with bench() as made:
        yield made


def work(made: Bench, count: int) -> list[tuple[Candidate, int]]:
    return [(made.baseline, index) for index in range(count)]


def only(made: Bench, index: int = 0) -> Rollout:
    return made.evaluator.run([(made.baseline, index)], "val")[0]


class Answers(dspy.Module):
    """A program that gives what it was made with, or raises it, or what it makes."""

    def __init__(self, found: Any) -> None:
        super().__init__()
        self.sort = dspy.Predict(worlds.Sort)
        self.found = found

    def forward(self, text: str) -> Any:
        if isinstance(self.found, BaseException):
            raise self.found
        return self.found() if callable(self.found) else self.found


def test_results_stand_in_the_order_they_were_asked_for() -> None:
    first = threading.Event()

    def late(request: lm15.Request) -> Any:
        if "number 1000" in (request.messages[-1].text or ""):
            assert first.wait(timeout=20)
        first.set()
        return worlds.reply(request)

    with bench(lm=worlds.scripted_lm(late), concurrency=2) as made:
        found = made.evaluator.run(work(made, 5), "val")
        assert [r.example for r in found] == list(made.job.val.ids[:5])


def test_a_cell_is_never_run_twice(plain: Bench) -> None:
    twice = plain.evaluator.run([*work(plain, 3), *work(plain, 3)], "val")
    again = plain.evaluator.run(work(plain, 3), "val")
    assert twice == [*again, *again]
    assert len(plain.records("rollout")) == 3
    assert plain.meter.spent().rollouts == 3


def test_a_rollout_from_the_journal_is_known_once_it_is_looked_at(plain: Bench) -> None:
    found = only(plain)
    with bench() as other:
        other.evaluator.learn(Rollout.from_json(plain.records("rollout")[0]))
        assert other.evaluator.known(other.baseline, "val", 0) is None
        assert only(other) == found
        assert other.evaluator.known(other.baseline, "val", 0) == found
        assert other.calls.kinds() == []


def test_a_rollout_is_written_down_whole(plain: Bench) -> None:
    found = only(plain)
    body = json.loads(json.dumps(plain.records("rollout")[0]))
    assert Rollout.from_json(body) == found
    assert found.steps == (
        Step("sort", {"text": "text number 1000"}, {"label": found.outputs["label"]}),  # type: ignore[index]
    )
    assert (len(found.keys), body["calls"], found.error) == (1, 1, "")


def test_rollouts_of_one_candidate_are_found_by_its_digest(plain: Bench) -> None:
    plain.evaluator.run(work(plain, 3), "val")
    plain.evaluator.run(work(plain, 2), "train")
    assert len(plain.evaluator.all_of(plain.baseline.digest)) == 5
    assert plain.evaluator.all_of("another") == []


def test_many_candidates_are_run_and_the_oldest_programs_let_go(plain: Bench) -> None:
    states = plain.baseline.predictors
    crowd = [Candidate(n, (replace(states[0], instructions=f"Sort {n}."),)) for n in range(1, 70)]
    found = plain.evaluator.run([(who, 0) for who in crowd], "val")
    assert [r.candidate for r in found] == [who.id for who in crowd]
    assert len(plain.evaluator.executor._ready) == 64
    assert only(plain).candidate == "c0"


@pytest.mark.parametrize(("split", "itself"), [("train", False), ("val", True), ("test", True)])
def test_only_train_examples_are_kept_from_seeing_themselves(split: str, itself: bool) -> None:
    """Val and test run as the program will be served: there such a demonstration is the best."""
    with bench() as made:
        data = made.job.splits[split]
        pool = tuple({"text": example.text, "label": example.label} for example in data)
        (state,) = made.baseline.predictors
        who = Candidate(1, (replace(state, nearest=Nearest(2, "words-v1", pool)),))
        made.evaluator.run([(who, 3)], split)
        (request,) = worlds.engine_of(made.job.roles["default"]).requests
        *shown, call = [m.text or "" for m in request.messages if m.role == "user"]
        told = f"[[ ## text ## ]]\n{data[3].text}"
        assert (len(shown), call.startswith(told)) == (2, True)
        assert any(text.startswith(told) for text in shown) is itself


@pytest.mark.parametrize(
    ("found", "outputs"),
    [
        (dspy.Prediction(label="red"), {"label": "red"}),
        ({"label": "red", 1: 2}, {"label": "red", "1": 2}),
        ("red", {"value": "red"}),
        (lambda: dspy.Prediction(label="red", thing=threading), {"label": "red"}),
    ],
)
def test_whatever_a_program_gives_is_kept_as_plain_json(found: Any, outputs: Any) -> None:
    metric = Metric(lambda example, prediction: 1.0, name="any")
    with bench(program=Answers(found), metric=metric) as made:
        kept = only(made).outputs
        assert kept is not None
        assert {**kept, **outputs} == kept
        assert str(kept.get("thing", "<module"))[:7] == "<module"


def test_a_program_that_raises_scores_0_and_the_feedback_says_why() -> None:
    with bench(program=Answers(ValueError("x" * 900))) as made:
        found = only(made)
        assert (found.score.value, found.outputs) == (0.0, None)
        assert found.score.feedback.startswith("the program raised ValueError: xxx")
        assert len(found.error) == 500


@pytest.mark.parametrize("error", [ProgramError("no policies"), MetricError("no score")])
def test_a_broken_contract_is_raised_and_no_rollout_is_kept(error: Exception) -> None:
    with bench(program=Answers(error)) as made:
        with pytest.raises(type(error), match="no "):
            only(made)
        assert made.records("rollout") == []


def test_an_interrupt_inside_the_program_ends_all_calls() -> None:
    with bench(program=Answers(KeyboardInterrupt())) as made:
        with pytest.raises(RunStopped, match="interrupted"):
            only(made)
        with pytest.raises(RunStopped, match="interrupted"):
            made.calls.ledger.reserve(Ask(1))


def test_finished_cells_are_kept_when_the_budget_ends() -> None:
    with bench(budget=Budget(calls=3), concurrency=1) as made:
        with pytest.raises(RunStopped, match="budget: 3 calls"):
            made.evaluator.run(work(made, 8), "val")
        assert len(made.records("rollout")) == 3
        assert len(made.evaluator.all_of(made.baseline.digest)) == 3


def test_a_broken_contract_is_told_before_the_end_of_a_budget() -> None:
    metric = Metric(lambda example, prediction: None, name="nothing")
    with (
        bench(metric=metric, budget=Budget(calls=1), concurrency=1) as made,
        pytest.raises(MetricError),
    ):
        made.evaluator.run(work(made, 4), "val")


def test_a_judge_that_fails_leaves_the_cell_missing() -> None:
    judge = worlds.scripted_lm([lm15.RateLimitError("slow")], model="scripted/judge")

    def judged(example: dspy.Example, prediction: dspy.Prediction) -> float:
        with dspy.context(lm=judge):
            return float(dspy.Predict("label -> grade")(label=prediction.label).grade)

    with bench(metric=Metric(judged)) as made:
        found = only(made)
        assert found.score.is_missing
        assert found.unmanaged > 0
        assert "RateLimit" in found.score.missing
        assert found.outputs is not None


def test_a_score_the_metric_could_not_give_stays_missing_with_its_reason() -> None:
    metric = Metric(lambda example, prediction: Score.unscored("no verdict"), name="shy")
    with bench(metric=metric) as made:
        assert only(made).score.missing == "no verdict"


def test_steps_without_a_json_form_and_of_strangers_are_left_out() -> None:
    class Odd(worlds.Sorter):
        def forward(self, text: str) -> dspy.Prediction:
            found = self.sort(text=text)
            dspy.settings.trace.append((self.sort, {"text": threading}, found))
            dspy.settings.trace.append((dspy.Predict("a -> b"), {"a": 1}, {"b": 2}))
            return found

    with bench(program=Odd()) as made:
        assert len(only(made).steps) == 1


def test_an_asynchronous_program_runs() -> None:
    class Async(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.sort = dspy.Predict(worlds.Sort)

        async def aforward(self, text: str) -> dspy.Prediction:
            return await self.sort.acall(text=text)

    with bench(program=Async()) as made:
        assert set(only(made).outputs or ()) == {"label"}


def test_the_clock_tells_how_long_it_took() -> None:
    clock = worlds.ManualClock()

    def slow(request: lm15.Request) -> Any:
        clock.advance(2.5)
        return worlds.reply(request)

    with bench(lm=worlds.scripted_lm(slow), clock=clock) as made:
        assert only(made).seconds == 2.5


def test_a_closed_executor_takes_no_more_work(plain: Bench) -> None:
    plain.evaluator.executor.close()
    with pytest.raises(RuntimeError, match="shutdown"):
        only(plain)


def test_a_metric_that_speaks_to_predictors_is_heard_where_a_rollout_failed() -> None:
    class Two(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = dspy.Predict(worlds.Sort), dspy.Predict(worlds.Sort)

        def forward(self, text: str) -> dspy.Prediction:
            self.first(text=text)
            return self.second(text=text)

    def metric(gold: Any, pred: Any, trace: Any, pred_name: Any, pred_trace: Any) -> Any:
        return dspy.Prediction(
            score=float(gold.text == "text number 1000"), feedback=f"to {pred_name}"
        )

    with bench(program=Two(), metric=Metric(metric)) as made:
        right, wrong = made.evaluator.run(work(made, 2), "val")
        assert [step.feedback for step in right.steps] == ["", ""]
        assert [step.feedback for step in wrong.steps] == ["to first", "to second"]
        held = made.evaluator.run([(made.baseline, 0)], "test")[0]
        assert [step.feedback for step in held.steps] == ["", ""]


def test_prompts_are_rendered_ahead_and_are_those_of_dspy() -> None:
    begun: list[Any] = []

    def heard(request: lm15.Request) -> Any:
        begun.append(PREFIX.get())
        return worlds.reply(request)

    with bench(lm=worlds.scripted_lm(heard), concurrency=1) as made:
        made.evaluator.run(work(made, 4), "val")
        rendered = worlds.engine_of(made.job.roles["default"]).requests
        plain = worlds.scripted_lm(worlds.reply, model=made.job.roles["default"].model)
        with dspy.context(lm=plain, adapter=dspy.ChatAdapter()):
            for example in list(made.job.val)[:4]:
                made.job.program(**example.inputs())
        assert rendered == worlds.engine_of(plain).requests
        assert [one is not None for one in begun] == [False, True, True, True]


def test_an_lm_that_is_no_role_is_counted_although_prompts_are_rendered_ahead() -> None:
    hidden = worlds.scripted_lm(worlds.reply, model="scripted/hidden")

    class Hides(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.sort = dspy.Predict(worlds.Sort)

        def forward(self, text: str) -> Any:
            with dspy.context(lm=hidden):
                return self.sort(text=text)

    with bench(program=Hides()) as made:
        found = made.evaluator.run(work(made, 3), "val")
        assert [rollout.unmanaged for rollout in found] == [1, 1, 1]
        assert made.calls.ledger.spent().calls == 3
