"""LMs as engines and engines as LMs: asked alike, told apart, exchanged wherever they are held."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Iterator
from typing import Any

import dspy
import pytest
from dspy import lm15

from compilm.engine import SAMPLE
from compilm.errors import RunStopped
from compilm.programs import models
from compilm.runtime.embedded import embedded_lm
from compilm.testing.engines import ScriptedEngine, scripted_lm
from compilm.testing.wire import WireServer


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine(["yes"])


@pytest.fixture
def server(engine: ScriptedEngine) -> Iterator[WireServer]:
    with WireServer(engine) as serving:
        yield serving


def remote(server: WireServer, model: str = "openai/x", **settings: Any) -> dspy.LM:
    settings = {"cache": False, "num_retries": 0, **settings}
    return dspy.LM(model, api_base=server.url, api_key="sk-secret-key", **settings)


def role(lm: dspy.LM) -> models.RoleLM:
    return models.role_lm(models.as_engine(lm), lm)


def answers(request: lm15.Request) -> str:
    return f"{request.config.seed}"


@pytest.mark.parametrize(
    ("model", "settings", "call"),
    [
        ("openai/x", {}, {}),
        ("openai/x", {"temperature": 0.3, "max_tokens": 9}, {}),
        ("openai/x", {"max_completion_tokens": 200}, {}),
        ("openai/x", {"top_p": 0.5, "stop": ["END"], "seed": 3}, {"temperature": 1.0}),
        ("openai/x", {}, {"response_format": {"type": "json_object"}}),
        ("openai/gpt-5-mini", {"temperature": 1.0, "max_tokens": 20_000}, {}),
        ("openai/gpt-5-mini", {}, {}),
    ],
)
def test_a_role_asks_over_the_wire_what_its_lm_would(
    server: WireServer, engine: ScriptedEngine, model: str, settings: Any, call: Any
) -> None:
    lm = remote(server, model, **settings)
    assert role(lm)("hi", **call) == lm("hi", **call) == ["yes"]
    lm.close()
    assert engine.requests[0] == engine.requests[1]
    if "max_tokens" in settings:
        assert engine.requests[0].config.max_tokens == settings["max_tokens"]


def test_the_asynchronous_twin_asks_the_same(server: WireServer, engine: ScriptedEngine) -> None:
    lm = remote(server, temperature=0.3)

    async def ask() -> Any:
        found = await role(lm).acall("hi")
        await lm.aclose()
        return found

    assert asyncio.run(ask()) == role(lm)("hi") == ["yes"]
    lm.close()
    assert engine.requests[0] == engine.requests[1]


@pytest.mark.parametrize(
    ("status", "error", "outage"),
    [
        (429, dspy.LMRateLimitError, True),
        (500, dspy.LMServerError, True),
        (503, dspy.LMServerError, True),
        (401, dspy.LMAuthError, True),
        (402, dspy.LMBillingError, True),
        (400, dspy.LMInvalidRequestError, False),
    ],
)
def test_failures_on_the_wire_are_told_apart(
    engine: ScriptedEngine, status: int, error: type[Exception], outage: bool
) -> None:
    with WireServer(engine, fail=lambda _: status) as server:
        lm = remote(server, num_retries=3)
        with pytest.raises(error) as caught:
            role(lm)("hi")
        lm.close()
        assert server.total == 1
    assert models.is_infrastructure(caught.value) is outage
    assert "sk-secret-key" not in str(caught.value)


def test_a_server_that_is_gone_is_an_outage(engine: ScriptedEngine) -> None:
    with WireServer(engine) as server:
        lm = remote(server)
    with pytest.raises(dspy.LMTransportError) as caught:
        role(lm)("hi")
    lm.close()
    assert models.is_infrastructure(caught.value)


@pytest.mark.parametrize(
    ("error", "outage"),
    [
        (lm15.TransportError("cut"), True),
        (dspy.LMUnexpectedError("a surprise"), True),
        (ValueError("a surprise"), True),
        (lm15.UnsupportedFeatureError("no images"), False),
        (dspy.ContextWindowExceededError(message="too long"), False),
        (KeyboardInterrupt(), False),
    ],
)
def test_only_what_says_nothing_about_the_prompt_is_an_outage(
    error: BaseException, outage: bool
) -> None:
    assert models.is_infrastructure(error) is outage


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (dspy.LMTimeoutError("late"), True),
        (lm15.TransportError("cut"), True),
        (lm15.ProviderError("not JSON"), True),
        (lm15.ProviderError("gone", status=410), False),
        (lm15.StreamAssemblyError("half an answer"), True),
        (lm15.ServerError("down"), False),
        (lm15.AuthError("no"), False),
        (ConnectionResetError(), True),
        (dspy.LMUnexpectedError("what an engine of somebody else's raised"), True),
        (KeyboardInterrupt(), True),
        (RunStopped("budget"), False),
    ],
)
def test_lost_is_what_may_be_billed_though_nothing_came(error: BaseException, lost: bool) -> None:
    assert models.is_lost(error) is lost


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"api_key": "a"}, {"api_key": "b"}, True),
        ({"headers": {"x": "key"}}, {}, True),
        ({"timeout": 3}, {}, True),
        ({"api_base": "http://a"}, {"api_base": "http://b"}, False),
        ({"api_base": "http://a"}, {"base_url": "http://a"}, True),
        ({"temperature": 0.1}, {"temperature": 0.2}, False),
        ({"model_type": "responses"}, {}, False),
        ({"engine": "lm15"}, {}, False),
        ({"rollout_id": 1, "temperature": 1.0}, {"temperature": 1.0}, False),
        ({"cache": False, "num_retries": 9}, {}, True),
    ],
)
def test_two_lms_are_one_where_they_would_answer_alike(one: Any, other: Any, same: bool) -> None:
    digests = [models.identity(dspy.LM("openai/m", **settings)) for settings in (one, other)]
    assert (digests[0] == digests[1]) is same


def test_engines_are_told_apart_by_their_state_or_class() -> None:
    small, base = (models.identity(embedded_lm(f"embedded/{size}")) for size in ("small", "base"))
    assert small != base
    assert models.identity(scripted_lm(["a"])) == models.identity(scripted_lm(["b"]))


def test_a_role_declares_what_its_lm_can_do() -> None:
    lm = dspy.LM("openai/gpt-4o-mini", cache=False)
    made = role(lm)
    assert made.supports_function_calling is lm.supports_function_calling is True
    assert made.supports_response_schema is lm.supports_response_schema
    assert made.supports_reasoning is lm.supports_reasoning
    assert made.supported_params == lm.supported_params
    assert (made.cache, made.num_retries) == (False, 0)


def test_a_role_keeps_no_connection() -> None:
    lm = dspy.LM("openai/m", api_key="sk-1", api_base="http://h", timeout=3, temperature=0.2)
    made = role(lm)
    assert made.kwargs == {"temperature": 0.2, "max_tokens": None}
    assert "sk-1" not in json.dumps(made.kwargs)


def test_a_role_has_one_limit_where_its_lm_has_two() -> None:
    lm = dspy.LM("openai/m", max_tokens=100, max_completion_tokens=200)
    assert role(lm).kwargs == {"temperature": None, "max_tokens": 200}


def test_a_role_is_shared_by_copies_of_a_program() -> None:
    program = dspy.Predict("question -> answer")
    program.lm = role(scripted_lm([{"answer": "x"}]))
    copied = copy.deepcopy(program)
    assert copied.lm is program.lm
    assert copy.deepcopy(program.lm.engine) is program.lm.engine


def test_the_sample_is_told_to_the_engine_and_forgotten_after() -> None:
    seen: list[Any] = []

    def look(request: lm15.Request) -> str:
        seen.append(SAMPLE.get())
        return "yes"

    made = role(scripted_lm(look, temperature=1.0))
    made("hi", rollout_id=7)
    made.copy(rollout_id=8)("hi")
    made("hi")
    with pytest.raises(dspy.LMServerError):
        role(scripted_lm([lm15.ServerError("down")]))("hi")
    assert [sample.rollout_id for sample in seen] == [7, 8, None]
    assert SAMPLE.get() is None


def test_the_embedded_engine_draws_other_samples_by_seed_and_a_given_seed_stays() -> None:
    lm = scripted_lm(answers, model="embedded/scripted", temperature=1.0)
    made = role(lm)
    seeds = [made("hi", rollout_id=rollout)[0] for rollout in (None, 1, 2)]
    assert len(set(seeds)) == 3
    assert made("hi", seed=5) == ["5"]
    assert made("hi", temperature=0.0) == ["None"]


def test_other_models_are_asked_as_they_are() -> None:
    assert role(scripted_lm(answers, temperature=1.0))("hi", rollout_id=3) == ["None"]


def test_an_engine_asks_without_a_role_and_streams() -> None:
    lm = scripted_lm(answers, model="embedded/scripted")
    pair = models.as_engine(lm)
    config = lm15.Config(temperature=1.0)
    request = lm15.Request(
        model="embedded/scripted", messages=(lm15.Message.user("hi"),), config=config
    )

    async def events() -> list[Any]:
        return [event async for event in pair.asynchronous.stream(request)]

    assert pair.sync.complete(request).text == "None"
    assert [e.type for e in pair.sync.stream(request)] == [e.type for e in asyncio.run(events())]


def test_dspys_cache_is_never_asked_a_budget_counts_what_is_sent() -> None:
    lm = scripted_lm(["yes"], cache=True)
    engine = models.as_engine(lm).sync
    request = lm15.Request(model=lm.model, messages=(lm15.Message.user("hi"),))
    assert [engine.complete(request).text for _ in range(2)] == ["yes", "yes"]
    assert lm.engine.calls == 2


def test_one_attempt_is_made_whatever_the_lm_would_do() -> None:
    lm = scripted_lm([lm15.ServerError("down")], num_retries=5)
    with pytest.raises(dspy.LMServerError):
        role(lm)("hi")
    assert lm.engine.calls == 1


def test_responses_survive_the_journal() -> None:
    lm = scripted_lm(["yes"])
    request = lm15.Request(model="scripted/model", messages=(lm15.Message.user("hi"),))
    response = lm.engine.complete(request)
    body = json.loads(json.dumps(models.response_to_json(response)))
    assert models.response_from_json(body) == response


class Holder(dspy.Module):
    def __init__(self, **held: Any) -> None:
        super().__init__()
        for name, value in held.items():
            setattr(self, name, value)


def exchanged(program: dspy.Module) -> list[dspy.LM]:
    """What `exchange` replaced in the program, in its order, each by a role."""
    found: list[dspy.LM] = []

    def replace(lm: dspy.LM) -> dspy.LM:
        found.append(lm)
        return role(lm)

    models.exchange(program, replace)
    return found


def test_lms_are_exchanged_wherever_a_module_holds_them() -> None:
    lms = [scripted_lm(["x"], model=f"scripted/{n}") for n in range(6)]
    inner = Holder(lm=lms[0])
    predict = dspy.Predict("question -> answer")
    predict.lm = lms[1]
    program = Holder(
        inner={"deep": [inner]},
        listed=[lms[2], (lms[3], {"k": lms[4]})],
        predict=predict,
        text="text",
        numbers=[1, 2],
        by_name={"a": 1},
    )
    listed, numbers, by_name = program.listed, program.numbers, program.by_name
    assert {lm.model for lm in exchanged(program)} == {f"scripted/{n}" for n in range(5)}
    assert isinstance(inner.lm, models.RoleLM)
    assert isinstance(predict.lm, models.RoleLM)
    assert isinstance(program.listed[0], models.RoleLM)
    assert isinstance(program.listed[1], tuple)
    assert isinstance(program.listed[1][1]["k"], models.RoleLM)
    assert listed[0] is lms[2]
    assert program.numbers is numbers
    assert program.by_name is by_name


def test_roles_are_left_alone_so_that_twice_is_once() -> None:
    program = Holder(lm=scripted_lm(["x"]))
    assert len(exchanged(program)) == 1
    assert exchanged(program) == []


def test_containers_that_hold_themselves_end() -> None:
    knot: list[Any] = [scripted_lm(["x"])]
    knot.append({"again": knot})
    assert len(exchanged(Holder(knot=knot))) == 1


def test_modules_held_twice_are_looked_at_once() -> None:
    inner = Holder(lm=scripted_lm(["x"]))
    assert len(exchanged(Holder(a=inner, b=[inner]))) == 1
