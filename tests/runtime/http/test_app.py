"""The application answers typed, says what went wrong without leaking, and stops cleanly."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import dspy
import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import BaseModel

from compilm.artifact import Nearest
from compilm.assemble import roles_from
from compilm.clock import ManualClock
from compilm.config import RoleSettings, RuntimeSettings
from compilm.errors import (
    BudgetExceeded,
    CallFailed,
    CompilmError,
    DataError,
    MissingExtra,
    ProviderRejected,
    Refused,
)
from compilm.programs.dspy_state import adopt
from compilm.programs.predictors import applied, shape
from compilm.runtime.http.app import create_app
from compilm.runtime.load import Runtime, load
from compilm.runtime.stack import Stacks
from compilm.testing.engines import ScriptedEngine, scripted_lm
from compilm.testing.faults import FaultServer

DIGEST = "sha256:" + "ab" * 32


class Route(dspy.Signature):
    """Choose the team."""

    message: str = dspy.InputField(desc="what the customer wrote")
    urgency: int = dspy.InputField()
    team: Literal["orders", "returns"] = dspy.OutputField()


class Desk(dspy.Module):
    """A program whose `forward` has a default."""

    def __init__(self) -> None:
        super().__init__()
        self.route = dspy.Predict(Route)

    def forward(self, message: str, urgency: int = 1) -> dspy.Prediction:
        return self.route(message=message, urgency=urgency)


class Served:
    """What the application needs of a runtime, answering by a function."""

    def __init__(self, answer: Callable[..., Any]) -> None:
        self.program = Desk()
        self.artifact = SimpleNamespace(digest=DIGEST)
        self.inputs, self.outputs = ("message", "urgency"), ("team",)
        self.optional = frozenset({"urgency"})
        self._answer = answer

    async def acall(self, **inputs: Any) -> Any:
        """The answer, or what the function raises."""
        found = self._answer(**inputs)
        return await found if asyncio.iscoroutine(found) else found

    async def aclose(self) -> None:
        """Nothing is open."""


def application(answer: Callable[..., Any], **options: Any) -> FastAPI:
    """The application around a program that answers by this function."""
    return create_app(Served(answer), **{"name": "Claims desk", **options})  # type: ignore[arg-type]


def echo(**inputs: Any) -> dspy.Prediction:
    return dspy.Prediction(team="orders", seen=inputs)


@pytest.fixture
def client() -> Iterator[TestClient]:
    with TestClient(application(echo)) as opened:
        yield opened


def failing(error: BaseException) -> Any:
    """The response where the program raises `error`."""

    def answer(**_: Any) -> Any:
        raise error

    app = application(answer)
    with TestClient(app, raise_server_exceptions=False) as client:
        return client.post("/v1/run", json={"message": "hello"})


class TestAnswers:
    def test_come_by_name_and_by_alias(self, client: TestClient) -> None:
        for path in ("/v1/programs/claims-desk", "/v1/run"):
            response = client.post(path, json={"message": "hi", "urgency": 3})
            assert response.status_code == 200
            assert response.json() == {"team": "orders", "seen": {"message": "hi", "urgency": 3}}

    def test_name_the_artifact(self, client: TestClient) -> None:
        assert client.post("/v1/run", json={"message": "hi"}).headers["x-program-digest"] == DIGEST
        assert client.get("/nowhere").headers["x-program-digest"] == DIGEST

    def test_leave_what_was_not_given_to_the_program(self, client: TestClient) -> None:
        assert client.post("/v1/run", json={"message": "hi"}).json()["seen"] == {"message": "hi"}

    def test_carry_nested_values_as_json(self) -> None:
        class Item(BaseModel):
            name: str

        def answer(**_: Any) -> dict[str, Any]:
            return {"items": [Item(name="a")], "odd": object}

        with TestClient(application(answer)) as client:
            body = client.post("/v1/run", json={"message": "hi"}).json()
        assert body["items"] == [{"name": "a"}]
        assert "object" in body["odd"]

    def test_of_a_program_that_returns_a_text_have_one_field(self) -> None:
        with TestClient(application(lambda **_: "plain")) as client:
            assert client.post("/v1/run", json={"message": "hi"}).json() == {"answer": "plain"}

    def test_come_after_the_demos_nearest_to_the_call(self, tmp_path: Path) -> None:
        program = dspy.Predict("message -> team")
        rows = (("a lost card", "cards"), ("a leaking roof", "claims"))
        pool = tuple({"message": message, "team": team} for message, team in rows)
        compiled = applied(
            program, {"self": replace(shape(program)[0], nearest=Nearest(1, "words-v1", pool))}
        )
        compiled.save(tmp_path / "state.json")
        lm = scripted_lm([{"team": "cards"}])
        runtime = load(adopt(tmp_path / "state.json", program), program, roles={"default": lm})
        with TestClient(create_app(runtime, name="desk")) as client:
            for message in ("my roof leaks", "my card is lost"):
                assert client.post("/v1/run", json={"message": message}).status_code == 200
        shown = [str(request.messages[-3].text) for request in lm.engine.requests]
        assert ["roof" in shown[0], "card" in shown[1]] == [True, True]
        assert [len(request.messages) for request in lm.engine.requests] == [3, 3]


class TestInputs:
    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({}, "message"),
            ({"message": 3}, "message"),
            ({"message": "hi", "urgency": "soon"}, "urgency"),
            ({"message": "hi", "colour": "red"}, "colour"),
        ],
    )
    def test_that_are_wrong_are_named(
        self, client: TestClient, body: dict[str, Any], field: str
    ) -> None:
        response = client.post("/v1/run", json=body)
        told = response.json()
        assert response.status_code == 422
        assert response.headers["content-type"] == "application/problem+json"
        assert (told["code"], told["status"]) == ("invalid-input", 422)
        assert told["type"] == "urn:compilm:problem:invalid-input"
        assert told["errors"][0]["field"] == field
        assert field in told["detail"]

    def test_that_are_no_json_are_refused(self, client: TestClient) -> None:
        headers = {"content-type": "application/json; charset=utf-8"}
        response = client.post("/v1/run", content=b"{", headers=headers)
        assert (response.status_code, response.json()["code"]) == (422, "invalid-input")
        (told,) = response.json()["errors"]
        assert told["field"] == ""
        assert told["message"].startswith("not JSON at character 1: ")

    @pytest.mark.parametrize("declared", ["application/x-www-form-urlencoded", "text/plain", ""])
    def test_that_are_not_said_to_be_json_are_told_how_to(
        self, client: TestClient, declared: str
    ) -> None:
        headers = {"content-type": declared} if declared else {}
        response = client.post("/v1/run", content=b'{"message": "hi"}', headers=headers)
        told = response.json()
        assert (response.status_code, told["code"]) == (415, "not-json")
        assert "content-type: application/json" in told["detail"]


class TestProblems:
    @pytest.mark.parametrize(
        ("error", "status", "code"),
        [
            (Refused("the breaker is open", retry_after=2.2), 503, "refused"),
            (BudgetExceeded("secret text"), 402, "budget"),
            (BudgetExceeded("secret text", retry_after=60.0), 429, "budget"),
            (CallFailed("secret text"), 502, "model-failed"),
            (ProviderRejected("secret text"), 502, "model-failed"),
            (dspy.LMRateLimitError("secret text"), 502, "model-failed"),
            (dspy.LMTimeoutError("secret text"), 504, "deadline"),
            (TimeoutError("secret text"), 504, "deadline"),
            (DataError("field 'x' is missing"), 422, "invalid-input"),
            (CompilmError("secret text"), 500, "internal"),
            (KeyError("secret text"), 500, "internal"),
        ],
    )
    def test_have_a_stable_code_and_leak_nothing(
        self, error: Exception, status: int, code: str
    ) -> None:
        response = failing(error)
        told = response.json()
        assert (response.status_code, told["status"], told["code"]) == (status, status, code)
        assert response.headers["content-type"] == "application/problem+json"
        assert "secret text" not in response.text

    def test_say_when_to_ask_again(self) -> None:
        assert failing(Refused("later", retry_after=2.2)).headers["retry-after"] == "3"
        assert "retry-after" not in failing(Refused("later")).headers

    @pytest.mark.parametrize("models", [["a/secret"], ["a/secret", "b/secret"]])
    def test_tell_circuits_that_are_open_as_a_refusal_and_no_model_by_name(
        self, models: list[str]
    ) -> None:
        down = [
            scripted_lm([dspy.LMServerError(model=model, message="down")], model=model)
            for model in models
        ]
        stack = Stacks(RuntimeSettings(breaker=1, attempts=1), ManualClock()).over(*down)

        def asked(message: str, urgency: int = 1) -> Any:
            with dspy.context(lm=stack.lm):
                return Desk()(message=message, urgency=urgency)

        client = TestClient(create_app(Served(asked)))  # type: ignore[arg-type]
        first, second = (client.post("/v1/run", json={"message": "hi"}) for _ in range(2))
        assert (first.status_code, second.status_code) == (502, 503)
        assert second.headers["retry-after"] == "1"
        assert "secret" not in second.text

    def test_are_found_in_the_log_by_their_id(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.ERROR, logger="compilm"):
            told = failing(ValueError("the reason")).json()
        record = next(one for one in caplog.records if told["instance"] in one.getMessage())
        assert record.exc_info is not None
        assert "the reason" in str(record.exc_info[1])

    def test_tell_of_addresses_that_are_not_there(self, client: TestClient) -> None:
        missing = client.post("/v1/programs/other", json={})
        assert (missing.status_code, missing.json()["code"]) == (404, "not-found")
        wrong = client.get("/v1/run")
        assert (wrong.status_code, wrong.json()["code"]) == (405, "not-allowed")
        assert wrong.headers["allow"] == "POST"


class TestDescription:
    def test_openapi_has_the_types_of_the_program(self, client: TestClient) -> None:
        schema = client.get("/openapi.json").json()
        request = schema["components"]["schemas"]["ClaimsDeskInput"]
        assert request["required"] == ["message"]
        assert request["additionalProperties"] is False
        assert request["properties"]["urgency"]["type"] == "integer"
        assert request["properties"]["urgency"]["default"] == 1
        assert "description" not in request["properties"]["urgency"]
        assert request["properties"]["message"]["description"] == "what the customer wrote"
        response = schema["components"]["schemas"]["ClaimsDeskOutput"]
        assert response["properties"]["team"]["enum"] == ["orders", "returns"]
        assert "/v1/run" not in schema["paths"]
        assert "/v1/programs/claims-desk" in schema["paths"]

    def test_what_is_served_is_listed(self, client: TestClient) -> None:
        assert client.get("/v1/programs").json() == {
            "programs": [
                {
                    "name": "claims-desk",
                    "digest": DIGEST,
                    "inputs": ["message", "urgency"],
                    "outputs": ["team"],
                }
            ]
        }

    def test_the_title_can_be_given(self) -> None:
        assert application(echo, title="Claims").title == "Claims"

    @pytest.mark.parametrize(
        ("name", "shown"), [("", "desk"), ("a b/C", "a-b-c"), ("?", "program")]
    )
    def test_a_program_goes_by_its_name_or_its_class(self, name: str, shown: str) -> None:
        with TestClient(application(echo, name=name)) as client:
            assert client.get("/v1/programs").json()["programs"][0]["name"] == shown


class TestLife:
    def test_health_is_told(self, client: TestClient) -> None:
        for path in ("/livez", "/readyz", "/healthz"):
            assert (client.get(path).status_code, client.get(path).json()["status"]) == (200, "ok")

    def test_it_is_not_ready_before_it_starts_nor_after_it_stops(self) -> None:
        app = application(echo)
        outside = TestClient(app)
        assert outside.get("/readyz").status_code == 503
        with TestClient(app) as client:
            assert client.get("/readyz").status_code == 200
        assert outside.get("/readyz").json() == {"status": "stopping"}
        assert outside.get("/livez").status_code == 200

    def test_more_calls_than_allowed_are_refused(self) -> None:
        async def both() -> list[int]:
            gate = asyncio.Event()

            async def answer() -> str:
                await gate.wait()
                return "done"

            app = application(lambda **_: answer(), concurrency=1)
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
                first = asyncio.create_task(client.post("/v1/run", json={"message": "a"}))
                while app.state.served.flying == 0:
                    await asyncio.sleep(0)
                second = await client.post("/v1/run", json={"message": "b"})
                gate.set()
                third = (await first).status_code
                return [second.status_code, third]

        assert asyncio.run(both()) == [503, 200]


class InThreads(Desk):
    """Without `aforward`: it is called in a thread, over the synchronous engines."""


class InTasks(Desk):
    async def aforward(self, message: str, urgency: int = 1) -> dspy.Prediction:
        return await self.route.acall(message=message, urgency=urgency)


@pytest.mark.parametrize("kind", [InThreads, InTasks])
@pytest.mark.parametrize("engine", ["lean", "sdk", "dspy"])
def test_when_it_ends_the_connections_of_the_models_are_closed(
    kind: type[Desk], engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call after the end needs another connection; calls before it share one."""
    monkeypatch.setenv("APP_KEY", "k")
    Desk().save(tmp_path / "state.json")

    async def lived(runtime: Runtime, server: FaultServer) -> list[int]:
        app, found = create_app(runtime), []
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
            async with app.router.lifespan_context(app):
                for number in range(2):
                    await client.post("/v1/run", json={"message": f"a {number}"})
                    found.append(server.connections)
            await client.post("/v1/run", json={"message": "c"})
            await runtime.aclose()
        return [*found, server.connections]

    with FaultServer(ScriptedEngine([{"team": "orders"}])) as server:
        role = RoleSettings(("openai/m",), f"{server.url}/v1", key_env="APP_KEY", engine=engine)
        roles = roles_from({"default": role}, RuntimeSettings(cache="memory"))
        runtime = load(adopt(tmp_path / "state.json", kind()), kind(), roles=roles)
        assert asyncio.run(lived(runtime, server)) == [1, 1, 2]


def test_without_fastapi_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fastapi", None)
    with pytest.raises(MissingExtra, match=r"compilm\[serve\]"):
        application(echo)
