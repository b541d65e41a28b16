"""The ASGI application that serves one loaded program."""

from __future__ import annotations

import inspect
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from ...errors import MissingExtra, Refused
from . import problems
from .schema import answer_of, inputs_of, outputs_of, request_model, response_model

if TYPE_CHECKING:
    from fastapi import FastAPI

__all__ = ["create_app"]


def create_app(runtime: Any, *, title: str | None = None, concurrency: int = 1024) -> FastAPI:
    """A FastAPI application around `runtime`, which it closes when it stops.

    It answers `POST /v1/programs/{name}` and `POST /v1/run` with the program's outputs, typed by
    its predictors in the OpenAPI document, and `GET /v1/programs`, `/livez`, `/readyz`,
    `/healthz`. Failures are RFC 9457 problem documents. More than `concurrency` calls at once are
    refused with 503. Raises `MissingExtra` where FastAPI is not installed.
    """
    try:
        from fastapi import FastAPI
    except ImportError as error:
        raise MissingExtra("fastapi", extra="serve", purpose="serve over HTTP") from error

    served = _Served(runtime, concurrency)
    app = FastAPI(
        title=title or served.name, version=served.digest or "0", lifespan=_lifespan(served)
    )
    app.state.served = served
    app.add_middleware(_Digest, digest=served.digest)
    problems.install(app)
    _add_programs(app, served)
    _add_health(app, served)
    return app


class _Served:
    """One runtime, its calls in flight, and whether it takes new ones."""

    def __init__(self, runtime: Any, concurrency: int) -> None:
        artifact = getattr(runtime, "artifact", None)
        self.runtime = runtime
        self.name = _slug(getattr(artifact, "name", "") or type(runtime.program).__name__)
        self.digest: str = getattr(artifact, "digest", "") or ""
        self.inputs, self.outputs = inputs_of(runtime), outputs_of(runtime)
        self.ready = False
        self._limit, self._flying = concurrency, 0

    async def answer(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """The program's outputs for these inputs."""
        if self._flying >= self._limit:
            raise Refused(f"{self._limit} calls are being answered already", retry_after=1.0)
        self._flying += 1
        try:
            return answer_of(await self.runtime.acall(**inputs))
        finally:
            self._flying -= 1

    async def close(self) -> None:
        """Take no new calls and release what the runtime holds."""
        self.ready = False
        closed = getattr(self.runtime, "aclose", None) or getattr(self.runtime, "close", None)
        waiting = closed() if closed is not None else None
        if inspect.isawaitable(waiting):
            await waiting


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-") or "program"


def _lifespan(served: _Served) -> Any:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        served.ready = True
        yield
        await served.close()

    return lifespan


def _add_programs(app: FastAPI, served: _Served) -> None:
    from fastapi.responses import JSONResponse

    program = served.runtime.program
    title = re.sub(r"\W", "", served.name.title())
    request = request_model(title, program, served.inputs)
    response = response_model(title, program, served.outputs)

    async def run(body: Any) -> JSONResponse:
        given = {name: getattr(body, name) for name in body.model_fields_set}
        return JSONResponse(await served.answer(given))

    # The body's type is only known now; FastAPI reads it from the annotation.
    run.__annotations__ = {"body": request, "return": JSONResponse}
    for path, shown in ((f"/v1/programs/{served.name}", True), ("/v1/run", False)):
        app.post(
            path,
            summary=f"Run {served.name}",
            operation_id="run" if shown else "run_alias",
            include_in_schema=shown,
            responses={200: {"model": response}},
        )(run)

    @app.get("/v1/programs", summary="What is served here")
    async def programs() -> dict[str, Any]:
        one = {"name": served.name, "digest": served.digest}
        return {"programs": [{**one, "inputs": served.inputs, "outputs": served.outputs}]}


def _add_health(app: FastAPI, served: _Served) -> None:
    from fastapi.responses import JSONResponse

    @app.get("/livez", summary="The process answers")
    async def livez() -> dict[str, str]:
        return {"status": "ok"}

    async def readyz() -> JSONResponse:
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
            if message["type"] == "http.response.start" and self._header[1]:
                message["headers"] = [*message.get("headers", []), self._header]
            await send(message)

        await self._app(scope, receive, send_named)
