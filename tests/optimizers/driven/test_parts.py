"""The parts of a driven search: student, states, turnstile, standings, gate, silence."""

from __future__ import annotations

import copy
import inspect
import io
import sys
import threading
from typing import Any

import dspy
import pytest
from dspy import lm15
from tests.optimizers import worlds
from tests.optimizers.bench import bench

from compilm.artifact import Nearest
from compilm.clock import ManualClock
from compilm.engine import stack
from compilm.errors import RunStopped
from compilm.journal import MemoryJournal
from compilm.metrics import Score
from compilm.optimizers.budget import Budget
from compilm.optimizers.calls import Answers
from compilm.optimizers.candidate import Candidate
from compilm.optimizers.driven.cells import UNKNOWN, Cell, Cells
from compilm.optimizers.driven.gate import Gate
from compilm.optimizers.driven.quiet import Muted, quiet
from compilm.optimizers.driven.standings import Standings
from compilm.optimizers.driven.states import State, States
from compilm.optimizers.driven.student import Habits, student_of
from compilm.optimizers.driven.turnstile import Turnstile
from compilm.optimizers.evidence import Evidence
from compilm.optimizers.ledger import Ledger
from compilm.optimizers.meter import Meter
from compilm.optimizers.records import Writer
from compilm.optimizers.rollout import Rollout
from compilm.programs.models import as_engine
from compilm.programs.predictors import predictors, shape
from compilm.programs.retrieving import Retrieving, retrieve


def counting(seen: list[Any]) -> Any:
    def execute(student: Any, forward: Any, args: Any, kwargs: Any) -> Any:
        seen.append(student)
        return forward(*args, **kwargs)

    return execute


def turnstile(budget: Budget) -> tuple[Turnstile, Ledger, Meter]:
    ledger = Ledger(budget, ManualClock())
    meter = Meter(budget, Answers(), ledger)
    return Turnstile(Gate(ledger), ledger, meter, predictors=1), ledger, meter


class TestStudent:
    @pytest.mark.parametrize(
        "how", ["itself", "deepcopy", "copy.deepcopy", "reset_copy", "patched"]
    )
    def test_every_copy_goes_through_the_hook(self, how: str) -> None:
        seen: list[Any] = []
        student = student_of(worlds.Sorter(), Habits(counting(seen)))
        copies: dict[str, Any] = {
            "itself": lambda: student,
            "deepcopy": student.deepcopy,
            "copy.deepcopy": lambda: copy.deepcopy(student),
            "reset_copy": student.reset_copy,
            "patched": student.deepcopy,
        }
        one = copies[how]()
        if how == "patched":  # as DSPy's traces are taken
            own = object.__getattribute__(one, "forward")
            one.forward = lambda **kwargs: own(**kwargs)
        with dspy.context(lm=worlds.world_lm()):
            one(text="text number 1")
        assert seen == [one]

    def test_it_has_the_programs_predictors_and_is_one_of_its_class(self) -> None:
        program = worlds.Sorter()
        student = student_of(program, Habits(counting([])))
        assert isinstance(student, worlds.Sorter)
        assert list(predictors(student)) == list(predictors(program))
        assert [name for name, _ in student.named_predictors()] == ["sort"]
        assert type(program) is worlds.Sorter

    def test_a_program_that_is_only_called_goes_through_it_too(self) -> None:
        class Called(dspy.Module):
            def __init__(self) -> None:
                super().__init__()
                self.sort = dspy.Predict(worlds.Sort)

            def __call__(self, text: str) -> dspy.Prediction:
                return self.sort(text=text)

        seen: list[Any] = []
        with dspy.context(lm=worlds.world_lm()):
            student_of(Called(), Habits(counting(seen)))(text="text number 1")
        assert len(seen) == 1

    def test_a_reset_copy_keeps_the_models_and_loses_the_demos(self) -> None:
        program = worlds.Sorter()
        program.sort.lm = lm = worlds.world_lm()
        program.sort.demos = [dspy.Example(text="a", label="red")]
        copied = student_of(program, Habits(counting([]))).reset_copy()
        assert copied.sort.lm is lm
        assert copied.sort.demos == []

    def test_frozen_predictors_are_neither_seen_nor_reset(self) -> None:
        program = worlds.Sorter()
        program.other = dspy.Predict("text -> note")
        program.other.demos = demos = [dspy.Example(text="a", note="b")]
        student = student_of(program, Habits(counting([]), frozen=("other",)))
        assert [name for name, _ in student.named_predictors()] == ["sort"]
        assert student.reset_copy().other.demos == demos

    def test_a_program_that_chooses_its_demos_per_call_stays_one_and_is_watched(self) -> None:
        program, seen = dspy.Predict(worlds.Sort), []  # type: ignore[var-annotated]
        retrieve(program, Nearest(1, "words-v1", ({"text": "text number 1", "label": "red"},)))
        student = student_of(program, Habits(counting(seen)))
        with dspy.context(lm=worlds.world_lm()):
            for one in (student, student.deepcopy(), student.reset_copy()):
                one(text="text number 1")
        assert len(seen) == 3
        assert [isinstance(one, Retrieving) for one in seen] == [True, True, False]

    def test_signatures_are_its_own_where_that_is_wanted(self) -> None:
        shared = student_of(worlds.Sorter(), Habits(counting([]))).deepcopy()
        owned = student_of(worlds.Sorter(), Habits(counting([]), own_signatures=True)).deepcopy()
        assert shared.sort.signature is worlds.Sort
        assert owned.sort.signature is not worlds.Sort
        assert owned.sort.signature.equals(worlds.Sort)

    @pytest.mark.parametrize("shown", [False, True])
    def test_its_source_is_hidden_unless_it_is_shown(self, shown: bool) -> None:
        student = student_of(worlds.Sorter(), Habits(counting([]), show_source=shown))
        source = inspect.getsource(type(student))
        assert ("self.sort = dspy.Predict(Sort)" in source) is shown
        assert ("source code is not shown" in source) is not shown


class TestStates:
    def test_equal_words_are_one_state_and_other_models_a_variant(self) -> None:
        lm = worlds.world_lm()
        states = States(shape(worlds.Sorter()), {}, lm)
        one, two = worlds.Sorter(), worlds.Sorter()
        two.sort.demos = [dspy.Example(text="a", label="red")]
        with dspy.context(lm=lm):
            plain, same, demo = states.of(one), states.of(one.deepcopy()), states.of(two)
            one.set_lm(lm.copy(rollout_id=1, temperature=1.0))
            sampled = states.of(one)
            one.set_lm(lm.copy())
            equal = states.of(one)
        assert plain is not None
        assert sampled is not None
        assert plain == same == equal
        assert demo is not None
        assert demo.digest != plain.digest
        assert (sampled.digest, sampled.variant == "") == (plain.digest, False)

    def test_an_instruction_that_is_written_in_place_is_seen(self) -> None:
        program = worlds.Sorter()
        program.sort.signature = worlds.Sort.with_instructions("One.")
        states = States(shape(program), {}, None)
        with dspy.context(lm=None):
            before = states.of(program)
            program.sort.signature.instructions = "Two."
            assert states.of(program) != before

    def test_a_program_of_another_shape_has_no_state(self) -> None:
        states = States(shape(worlds.Sorter()), {}, None)
        with dspy.context(lm=None):
            assert states.of(dspy.Predict("text -> label")) is None


class TestCells:
    def test_examples_are_known_by_themselves_and_by_their_inputs(self) -> None:
        data = worlds.data(3)
        cells = Cells({"train": data})
        assert cells.of(data[1]) == Cell("train", data.ids[1])
        assert cells.called_with(dict(data[1].inputs())) == Cell("train", data.ids[1])
        assert cells.of(dspy.Example(text="other")) is UNKNOWN
        assert cells.called_with({"text": "other"}) is UNKNOWN


class TestTurnstile:
    def test_the_ceiling_holds_under_threads(self) -> None:
        gate, ledger, _ = turnstile(Budget(rollouts=20))
        done: list[int] = []

        def work() -> None:
            for _ in range(10):
                try:
                    gate.enter(new=True)
                except RunStopped:
                    return
                gate.leave(new=True)
                done.append(1)

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(done) == ledger.spent().rollouts == 20

    def test_the_last_one_inside_is_not_cut_by_who_finds_no_room(self) -> None:
        gate, ledger, _ = turnstile(Budget(rollouts=1))
        gate.enter(new=True)
        refused = threading.Event()

        def late() -> None:
            with pytest.raises(RunStopped, match="budget: 1 rollouts"):
                gate.enter(new=True)
            refused.set()

        thread = threading.Thread(target=late)
        thread.start()
        assert not refused.wait(timeout=0.05)
        ledger.check()  # a call of the one inside still passes
        gate.leave(new=True)
        thread.join()
        assert refused.is_set()
        assert ledger.spent().rollouts == 1

    def test_what_is_kept_is_left(self) -> None:
        gate, ledger, meter = turnstile(Budget(rollouts=10))
        meter.kept, gate.kept = 4, 3
        for _ in range(3):
            gate.enter(new=True)
            gate.leave(new=True)
        with pytest.raises(RunStopped, match="budget: 10 rollouts"):
            gate.enter(new=True)
        assert ledger.spent().rollouts == 3

    def test_a_replay_counts_for_the_search_and_not_for_the_budget(self) -> None:
        gate, ledger, meter = turnstile(Budget(rollouts=10))
        gate.enter(new=False)
        gate.leave(new=False)
        assert (ledger.spent().rollouts, meter.spent().rollouts) == (0, 1)

    def test_what_was_made_before_this_process_counts(self) -> None:
        gate, ledger, _ = turnstile(Budget(rollouts=10))
        for _ in range(10):
            ledger.count_rollout()
        with pytest.raises(RunStopped):
            gate.enter(new=True)

    def test_a_rollout_that_was_refused_does_not_count(self) -> None:
        gate, ledger, _ = turnstile(Budget(rollouts=1))
        gate.enter(new=True)
        gate.turn_back(new=True)
        gate.wait()
        gate.enter(new=True)
        assert ledger.spent().rollouts == 0


class TestStandings:
    def standings(self, order: int = 10) -> tuple[Standings, MemoryJournal]:
        """Standings in which the given program scored 0 on every example."""
        journal = MemoryJournal()
        with bench() as made:
            evidence = Evidence(made.evaluator, Candidate(0, shape(worlds.Sorter())))
        found = Standings(
            evidence,
            "dspy.X",
            Writer(journal, "r", ManualClock()),
            made.meter,
            places={str(n): n for n in range(order)},
        )
        given = evidence.baseline
        evidence.take(given, {n: self.rollout(given.digest, n, 0.0) for n in range(order)})
        return found, journal

    def rollout(self, digest: str, place: int, value: float) -> Rollout:
        return Rollout("c", digest, "val", str(place), Score(value), None)

    def state(self, text: str) -> State:
        program = worlds.Sorter()
        program.sort.signature = worlds.Sort.with_instructions(text)
        read = shape(program)
        return State(Candidate(0, read).digest, read)

    def run(self, made: Standings, state: State, scores: list[float], split: str = "val") -> None:
        made.met(state)
        for place, value in enumerate(scores):
            made.saw(state, Cell(split, str(place)), self.rollout(state.digest, place, value))

    def settle(self, made: Standings, state: State, count: int) -> None:
        made.settle(state.digest, [Cell("val", str(n)) for n in range(count)])

    def test_scores_count_once_their_evaluation_is_complete(self) -> None:
        made, _ = self.standings()
        state = self.state("better")
        self.run(made, state, [1.0] * 10)
        assert made.best.id == "c0"
        self.settle(made, state, 10)
        assert (made.best.id, made.best.digest) == ("c1", state.digest)

    def test_few_examples_make_no_best(self) -> None:
        made, journal = self.standings()
        state = self.state("better")
        self.run(made, state, [1.0] * 9)
        self.settle(made, state, 9)
        assert made.best.id == "c0"
        (decision,) = [r.body for r in journal.read(kinds=["decision"])]
        assert (decision["outcome"], decision["n"], decision["wins"]) == ("lost", 9, 9)

    def test_what_breaks_a_constraint_is_not_the_best(self) -> None:
        made, _ = self.standings()
        made._keeps = lambda candidate: candidate.id != "c1"
        state = self.state("dear")
        self.run(made, state, [1.0] * 10)
        self.settle(made, state, 10)
        assert made.best.id == "c0"

    def test_the_better_of_two_is_the_best_whichever_came_first(self) -> None:
        for order in ((0.5, 1.0), (1.0, 0.5)):
            made, _ = self.standings(order=40)
            for share in order:
                state = self.state(f"right {share}")
                self.run(made, state, [1.0 if n < 40 * share else 0.0 for n in range(40)])
                self.settle(made, state, 40)
            assert made.best.predictors[0].instructions == "right 1.0"

    def test_numbers_are_those_of_an_earlier_session(self) -> None:
        made, journal = self.standings()
        one, two = self.state("one"), self.state("two")
        for state in (one, two):
            self.run(made, state, [0.0] * 3)
            self.settle(made, state, 3)
        writer = Writer(journal, "r", ManualClock())
        with bench() as fresh:
            evidence = Evidence(fresh.evaluator, made.evidence.baseline)
        again = Standings(evidence, "dspy.X", writer, fresh.meter, places={"0": 0})
        assert again.candidate(two).id == "c2"
        assert again.candidate(self.state("three")).id == "c3"

    def test_without_val_the_best_on_train_is_found(self) -> None:
        made, _ = self.standings()
        good, lucky = self.state("good"), self.state("lucky")
        self.run(made, good, [1.0] * 14 + [0.0] * 2, "train")
        self.run(made, lucky, [1.0] * 3, "train")
        found = made.favourite()
        assert found is not None
        assert found.digest == good.digest


class TestGate:
    def test_a_closed_gate_lets_no_call_through_and_others_go_on(self) -> None:
        lm = worlds.world_lm()
        gate = Gate(Ledger(Budget(), ManualClock()))
        behind = stack(as_engine(lm), gate)
        request = lm15.Request(
            model="scripted/world",
            messages=(lm15.Message.user("[[ ## text ## ]]\ntext number 1\n\n"),),
        )
        behind.sync.complete(request)
        gate.close(RunStopped("over"))
        with pytest.raises(RunStopped, match="over"):
            behind.sync.complete(request)
        as_engine(lm).sync.complete(request)
        assert worlds.engine_of(lm).calls == 2

    def test_a_stopped_ledger_closes_it(self) -> None:
        ledger = Ledger(Budget(), ManualClock())
        ledger.stop(RunStopped("interrupted"))
        with pytest.raises(RunStopped, match="interrupted"):
            Gate(ledger).check()


class TestSilence:
    def test_what_dspy_writes_is_dropped_and_the_rest_passes(self) -> None:
        kept = io.StringIO()
        muted = Muted(kept)
        theirs = eval("lambda s: s.write('theirs')", {"__name__": "dspy.teleprompt.bootstrap"})
        theirs(muted)
        muted.write("ours")
        assert kept.getvalue() == "ours"

    def test_two_at_once_leave_the_streams_as_they_were(self) -> None:
        before = sys.stdout, sys.stderr
        one, two = quiet(), quiet()
        one.__enter__()
        two.__enter__()
        one.__exit__(None, None, None)
        assert type(sys.stdout) is Muted
        two.__exit__(None, None, None)
        assert (sys.stdout, sys.stderr) == before
