"""The ASGI application that serves one loaded program."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from ...clock import SYSTEM_CLOCK, Clock
from ...errors import MissingExtra, Refused
from ..layers.ledger import billed
from . import problems
from .schema import answer_of, request_model, response_model

if TYPE_CHECKING:
    from fastapi import FastAPI

    from ...reviews import Desk
    from ..layers.book import Entry
    from ..load import Runtime

__all__ = ["create_app"]


def create_app(
    runtime: Runtime,
    *,
    title: str | None = None,
    name: str = "",
    concurrency: int = 1024,
    desk: Desk | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> FastAPI:
    """A FastAPI application around `runtime`; `name` is the program's in addresses.

    It answers `POST /v1/programs/{name}` and `POST /v1/run` with the program's outputs, typed by
    its predictors in the OpenAPI document, and `GET /v1/programs`, `/livez`, `/readyz`,
    `/healthz`. Failures are RFC 9457 problem documents. More than `concurrency` calls at once are
    refused with 503. When it ends, connections to models are closed. With a `desk`, a call whose
    run waits for a person is answered by 202 and the review, and `/v1/reviews` is the queue.
    Raises `MissingExtra` where FastAPI is not installed.

    >>> import dspy
    >>> from types import SimpleNamespace
    >>> runtime = SimpleNamespace(
    ...     program=dspy.Predict("question -> answer"), inputs=("question",),
    ...     outputs=("answer",), optional=(), artifact=SimpleNamespace(digest="sha256:ab"),
    ... )
    >>> list(create_app(runtime, name="qa").openapi()["paths"])[0]
    '/v1/programs/qa'
    """
    try:
        from fastapi import FastAPI
    except ImportError as error:
        raise MissingExtra("fastapi", extra="serve", purpose="serve over HTTP") from error
    from .sent import Json

    served = Served(runtime, name or type(runtime.program).__name__, concurrency, desk)
    app = FastAPI(
        title=title or served.name,
        version=served.digest,
        lifespan=_lifespan(served, clock),
        default_response_class=Json,
    )
    app.state.served = served
    app.add_middleware(_Digest, digest=served.digest)
    problems.install(app)
    _add_programs(app, served)
    if desk is not None:
        from .reviews import add_reviews

        add_reviews(app, desk)
    _add_health(app, served)
    return app


class Served:
    """One runtime, its calls in flight, and whether it takes new ones."""

    def __init__(
        self, runtime: Runtime, name: str, concurrency: int, desk: Desk | None = None
    ) -> None:
        self.runtime, self.desk = runtime, desk
        self.name = re.sub(r"[^a-z0-9_.-]+", "-", name.lower()).strip("-") or "program"
        self.digest = runtime.artifact.digest
        self.ready = False
        self.flying = 0
        self._limit = concurrency

    async def answer(self, inputs: dict[str, Any], run: str = "") -> tuple[int, dict[str, Any]]:
        """The program's outputs for these inputs, or who is asked; and the status that says so."""
        if self.flying >= self._limit:
            raise Refused(f"{self._limit} calls are being answered already", retry_after=1.0)
        self.flying += 1
        try:
            if self.desk is None:
                return 200, answer_of(await self.runtime.acall(**inputs))
            from .reviews import started

            return await started(self.runtime, self.desk, run, inputs)
        finally:
            self.flying -= 1


def _lifespan(served: Served, clock: Clock) -> Any:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        served.ready = True
        try:
            async with _settled(served, clock):
                yield
        finally:
            served.ready = False
            await served.runtime.aclose()

    return lifespan


def _settled(served: Served, clock: Clock) -> AbstractAsyncContextManager[None]:
    if served.desk is None:
        return nullcontext()
    from .reviews import settling

    return settling(served.desk, clock)


def _add_programs(app: FastAPI, served: Served) -> None:
    from fastapi import Request
    from fastapi.responses import JSONResponse

    from .sent import Json

    program = served.runtime.program
    title = re.sub(r"\W", "", served.name.title())
    taken = request_model(title, program, served.runtime.inputs, served.runtime.optional)
    given_back = response_model(title, program, served.runtime.outputs)

    async def run(request: Request, body: Any) -> JSONResponse:
        given = {name: getattr(body, name) for name in body.model_fields_set}
        try:
            with billed() as bill:
                status, answer = await served.answer(given, request.headers.get("x-run-id", ""))
            return Json(answer, status, headers=_usage(bill.total))
        except Exception as error:  # border: whatever a call raises becomes a problem document
            return problems.answer(request, error)

    # The body's type is only known now; FastAPI reads it from the annotation.
    run.__annotations__ = {"request": Request, "body": taken, "return": JSONResponse}
    for path, shown in ((f"/v1/programs/{served.name}", True), ("/v1/run", False)):
        app.post(
            path,
            summary=f"Run {served.name}",
            operation_id="run" if shown else "run_alias",
            include_in_schema=shown,
            responses={200: {"model": given_back}},
        )(run)

    @app.get("/v1/programs", summary="What is served here")
    async def programs() -> dict[str, Any]:
        fields = {"inputs": served.runtime.inputs, "outputs": served.runtime.outputs}
        return {"programs": [{"name": served.name, "digest": served.digest, **fields}]}


def _usage(total: Entry) -> dict[str, str]:
    """What an answer used, as a header; an unknown price is said."""
    usd = "unknown" if total.usd is None else f"{total.usd:.6f}"
    told = f"calls={total.calls}, hits={total.hits}, tokens={total.tokens}, usd={usd}"
    return {"X-Program-Usage": told}


def _add_health(app: FastAPI, served: Served) -> None:
    from fastapi.responses import JSONResponse

    @app.get("/livez", summary="The process answers")
    async def livez() -> dict[str, str]:
        return {"status": "ok"}

    async def readyz() -> Any:
        status = "ok" if served.ready else "stopping"
        return JSONResponse({"status": status}, 200 if served.ready else 503)

    for path in ("/readyz", "/healthz"):
        app.get(path, summary="Calls are taken", include_in_schema=path == "/readyz")(readyz)


class _Digest:
    """Middleware: every answer names the artifact it came from, in `X-Program-Digest`."""

    def __init__(self, app: Any, digest: str) -> None:
        self._app = app
        self._header = (b"x-program-digest", digest.encode("latin-1"))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def send_named(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), self._header]
            await send(message)

        await self._app(scope, receive, send_named)
