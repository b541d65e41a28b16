"""Money through whole stacks: counted, bounded, told where an answer is given."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import dspy
import pytest
from dspy import lm15
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from compilm import assemble
from compilm.artifact import Nearest
from compilm.config import RoleSettings, RuntimeSettings
from compilm.errors import BudgetExceeded, ConfigError
from compilm.prices import Prices
from compilm.programs.dspy_state import adopt
from compilm.programs.models import as_engine
from compilm.programs.retrieving import retrieve
from compilm.runtime.engines.messages_body import messages_body
from compilm.runtime.http.app import create_app
from compilm.runtime.layers.ledger import billed
from compilm.runtime.layers.prefix import marked
from compilm.runtime.load import Runtime, load
from compilm.runtime.stack import Stacks
from compilm.testing.engines import ScriptedEngine, scripted_lm
from compilm.testing.faults import FaultServer
from compilm.testing.standins import StandIns

ASK = dspy.Predict("question -> answer")


def answering(model: str = "openai/gpt-5-mini") -> dspy.LM:
    return scripted_lm([{"answer": "4"}], model=model)


def loaded(lm: dspy.LM, folder: Path) -> Runtime:
    ASK.save(f"{folder}/state.json")
    return load(adopt(f"{folder}/state.json", ASK), ASK, roles={"default": lm})


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultServer]:
    monkeypatch.setenv("STACK_KEY", "k")
    with FaultServer(ScriptedEngine([{"answer": "4"}])) as started:
        yield started


def settings(
    server: FaultServer, model: str = "openai/gpt-4.1-mini", engine: str = "lean"
) -> RoleSettings:
    path = "/v1" if model.startswith("openai/") else ""
    return RoleSettings(
        model=(model,), base_url=server.url + path, key_env="STACK_KEY", max_tokens=90,
        engine=engine,
    )  # fmt: skip


class TestStacks:
    def test_count_by_predictor_and_by_the_model_that_answered(self, tmp_path: Path) -> None:
        down = scripted_lm([dspy.LMServerError(model="a", message="down")], model="openai/gpt-5")
        stacks = Stacks()
        runtime = loaded(stacks.over(down, answering()).lm, tmp_path)
        runtime(question="2+2?")
        asyncio.run(runtime.acall(question="2+2?"))
        book = stacks.ledger.book()
        attempts = {entry.model: (entry.attempts, entry.errors) for entry in book.by("model")}
        assert attempts == {"openai/gpt-5": (2, 2), "openai/gpt-5-mini": (2, 0)}
        assert [entry.calls for entry in book.by("role", "predictor")] == [2]
        assert book.by("predictor")[0].predictor == "self"
        assert book.total.usd is not None
        assert book.total.usd > 0

    def test_spend_nothing_over_a_budget_and_serve_hits_after_it(self) -> None:
        runtime = RuntimeSettings(budget={"calls_per_day": 1}, cache="memory", attempts=4)
        stacks = Stacks(runtime)
        engine = answering()
        with dspy.context(lm=stacks.over(engine).lm):
            for _ in range(3):
                assert ASK(question="2+2?").answer == "4"
            with pytest.raises(dspy.LMBillingError) as told:
                ASK(question="3+3?")
        assert isinstance(told.value.__cause__, BudgetExceeded)
        assert engine.engine.calls == 1
        assert stacks.ledger.book().total.hits == 2
        assert stacks.purse is not None

    def test_share_one_budget_between_roles(self) -> None:
        stacks = Stacks(RuntimeSettings(budget={"calls_per_day": 1}))
        one, other = stacks.over(answering()), stacks.over(answering("openai/gpt-5"), role="judge")
        with dspy.context(lm=one.lm):
            ASK(question="2+2?")
        with dspy.context(lm=other.lm), pytest.raises(dspy.LMBillingError):
            ASK(question="2+2?")

    def test_leave_a_compile_its_own_budget(self) -> None:
        stacks = Stacks(RuntimeSettings(budget={"calls_per_day": 0}))
        lm = stacks.over(answering()).lm
        request = lm15.Request(model="m", messages=(lm15.Message.user("hi"),))
        assert "4" in as_engine(lm).sync.complete(request).text
        assert stacks.ledger.book().total.attempts == 0

    def test_are_drilled_without_a_budget_since_nothing_is_spent(self) -> None:
        runtime = RuntimeSettings(budget={"calls_per_day": 0, "usd_per_day": 0.0})
        chain = RoleSettings(model=("openai/unheard-of",))
        mail = dspy.Predict("mail -> order_id")
        with (
            StandIns({"default": chain}, runtime) as there,
            dspy.context(lm=there.roles["default"]),
        ):
            assert mail(mail="C-42?").order_id == "C-42"

    def test_refuse_a_budget_in_money_where_a_price_is_unknown(self) -> None:
        runtime = RuntimeSettings(budget={"usd_per_day": 1.0})
        with pytest.raises(ConfigError, match="openai/unheard-of"):
            Stacks(runtime).over(answering("openai/unheard-of"))
        prices = Prices({"openai/unheard-of": {"input": 1, "output": 1}})
        Stacks(runtime, prices=prices).over(answering("openai/unheard-of"))

    @pytest.mark.parametrize("model", ["openai/gpt-4.1-mini", "anthropic/claude-haiku-4-5"])
    def test_price_what_came_over_a_wire(self, model: str, server: FaultServer) -> None:
        stack = assemble.stacks_from({"default": settings(server, model)})["default"]
        with closing(stack), dspy.context(lm=stack.lm), billed() as bill:
            ASK(question="2+2?")
        price = Prices().find(model)
        assert price is not None
        total = bill.total
        assert total.input > 0
        assert total.usd == pytest.approx(
            (total.input * price.input + total.output * price.output) / 1e6
        )


def shown(question: str, demos: int) -> lm15.Request:
    pair = (lm15.Message.user("a?"), lm15.Message.assistant("b"))
    messages = (*(pair * demos), lm15.Message.user(question))
    config = lm15.Config(max_tokens=9)
    return lm15.Request(model="claude", messages=messages, system="Answer.", config=config)


class TestPromptCache:
    @given(st.text(min_size=1), st.text(min_size=1), st.integers(0, 4))
    def test_the_bytes_up_to_the_mark_are_the_same(self, one: str, other: str, demos: int) -> None:
        def prefix(question: str) -> tuple[str, int]:
            body = messages_body(marked(shown(question, demos)), stream=False).body
            last = body["messages"].pop()
            assert "cache_control" not in str(last)
            text = json.dumps([body["system"], body["messages"]])
            return text, text.count('"cache_control": {"type": "ephemeral"}')

        assert prefix(one) == prefix(other)
        assert prefix(one)[1] == (2 if demos else 1)

    @pytest.mark.parametrize("engine", ["lean", "dspy", "sdk"])
    def test_it_is_off_unless_configured_and_anthropics_alone(
        self, engine: str, server: FaultServer
    ) -> None:
        for model, on in [
            ("anthropic/claude-haiku-4-5", True),
            ("anthropic/claude-haiku-4-5", False),
            ("openai/gpt-4.1-mini", True),
        ]:
            runtime = RuntimeSettings(prompt_cache=on)
            role = settings(server, model, engine)
            stack = assemble.stacks_from({"default": role}, runtime)["default"]
            with closing(stack), dspy.context(lm=stack.lm):
                ASK(question="2+2?", demos=[dspy.Example(question="1+1?", answer="2")])
            is_marked = "cache_control" in json.dumps(server.seen[-1].body)
            assert is_marked == (on and model.startswith("anthropic/"))
            if is_marked:
                assert "cache_control" in json.dumps(server.seen[-1].body["messages"][1])
                assert "cache_control" not in json.dumps(server.seen[-1].body["messages"][2])
            assert ("prefix     " in str(stack)) == is_marked

    def test_a_request_that_says_how_it_is_cached_stays_as_it_is(self) -> None:
        asked = shown("a?", 1)
        off = replace(asked, config=replace(asked.config, cache=lm15.CacheConfig("off")))
        assert marked(off) is off

    def test_demonstrations_chosen_for_each_call_are_not_marked(self) -> None:
        predictor = dspy.Predict("question -> answer")
        demos = ({"question": "1+1?", "answer": "2"}, {"question": "3+3?", "answer": "6"})
        retrieve(predictor, Nearest(1, "words-v1", demos))
        heard: list[Any] = []

        def answer(request: lm15.Request) -> dict[str, str]:
            heard.append(marked(request).config.cache)
            return {"answer": "4"}

        with dspy.context(lm=scripted_lm(answer)):
            predictor(question="2+2?")
        assert heard == [lm15.CacheConfig(prefix="stable")]


class TestServing:
    def asked(self, lm: dspy.LM, folder: Path) -> Any:
        client = TestClient(create_app(loaded(lm, folder)))
        return client.post("/v1/run", json={"question": "2+2?"})

    def test_an_answer_says_what_it_used(self, tmp_path: Path) -> None:
        told = self.asked(Stacks().over(answering()).lm, tmp_path).headers["x-program-usage"]
        assert told.startswith("calls=1, hits=0, tokens=")
        assert float(told.rpartition("usd=")[2]) > 0
        unknown = self.asked(Stacks().over(answering("openai/unheard-of")).lm, tmp_path)
        assert unknown.headers["x-program-usage"].endswith("usd=unknown")

    @pytest.mark.parametrize(
        ("budget", "status"), [({"calls_per_day": 0}, 429), ({"tokens_per_call": 1}, 402)]
    )
    def test_a_budget_that_says_no_is_told_without_figures(
        self, budget: dict[str, float], status: int, tmp_path: Path
    ) -> None:
        stacks = Stacks(RuntimeSettings(budget=budget))
        response = self.asked(stacks.over(answering()).lm, tmp_path)
        assert (response.status_code, response.json()["code"]) == (status, "budget")
        assert ("retry-after" in response.headers) == (status == 429)
        assert "tokens" not in response.text
