"""Engines that answer from a recording, and the layer that makes one: pairs in JSON lines."""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import Any

from dspy import lm15

from ...engine import EnginePair
from ...errors import DataError
from ...programs.models import request_digest, response_from_json, response_to_json

__all__ = ["Answers", "Recorder", "answering", "recorded"]


def recorded(path: str | Path) -> EnginePair:
    """Engines that answer what was recorded in `path`, and refuse everything else.

    Each line is an object with `request`, the request's digest, and `response`. Where a request was
    recorded several times its answers come in that order, and the last one repeats. A request that
    is not there is an `lm15.InvalidRequestError`: nothing is asked, nothing is made up. `DataError`
    names the line that cannot be read.
    """
    return answering(_File(Path(path)))


def answering(answers: Answers) -> EnginePair:
    """Engines that give these answers and no others, as `recorded` does."""
    return EnginePair(_Recorded(answers), _AsyncRecorded(answers))


class Recorder:
    """A layer that appends each request's digest and its answer to `path`, as JSON lines.

    Streams are recorded once they have ended; failures are not recorded.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._lock = threading.Lock()  # lines of two threads must not mix

    def __call__(self, inner: EnginePair) -> EnginePair:
        return EnginePair(_Recording(self, inner), _AsyncRecording(self, inner))

    def keep(self, request: lm15.Request, response: lm15.Response) -> None:
        """Write one pair down."""
        pair = {"request": request_digest(request), "response": response_to_json(response)}
        line = json.dumps(pair, ensure_ascii=False) + "\n"
        with self._lock, self._path.open("a", encoding="utf-8") as file:
            file.write(line)


class Answers:
    """Answers by the request's digest, in order; an error in the place of one is raised.

    `name` says in errors where they are from.

    >>> Answers("trace 3f2a", []).name
    'trace 3f2a'
    """

    def __init__(self, name: str, pairs: Iterable[tuple[str, lm15.Response | Exception]]) -> None:
        self.name = name
        self._lock = threading.Lock()  # protects _given and missing
        self._given: dict[str, int] = defaultdict(int)
        self._kept: dict[str, list[lm15.Response | Exception]] = defaultdict(list)
        self.missing = 0  # requests that had no answer here
        for digest, answer in pairs:
            self._kept[digest].append(answer)

    def to(self, request: lm15.Request) -> lm15.Response:
        """The next answer to this request; the last one repeats."""
        digest = request_digest(request)
        answers = self._kept.get(digest)
        if answers is None:
            with self._lock:
                self.missing += 1
            raise lm15.InvalidRequestError(
                f"{self.name} holds no answer to this request ({digest[:19]}…, model"
                f" {request.model}): it was recorded with other inputs, or another program"
            )
        with self._lock:
            place = self._given[digest]
            self._given[digest] += 1
        found = answers[min(place, len(answers) - 1)]
        if isinstance(found, Exception):
            raise found.with_traceback(None)
        return found


class _File(Answers):
    """The answers of a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        lines = enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        super().__init__(path.name, (self._read(*line) for line in lines if line[1].strip()))

    def _read(self, number: int, line: str) -> tuple[str, lm15.Response]:
        try:
            pair = json.loads(line)
            return pair["request"], response_from_json(pair["response"])
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            message = f"not a recorded pair ({type(error).__name__}): record it again"
            raise DataError(message, file=str(self.path), line=number) from error


class _Kept:
    supports_function_calling = True
    supports_response_schema = True
    supports_reasoning = True
    supported_params: tuple[str, ...] = ()

    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return self

    def dump_state(self) -> dict[str, Any]:
        if not isinstance(self._answers, _File):
            raise TypeError(f"the answers of {self._answers.name} are in no file to be named")
        return {"path": str(self._answers.path)}


class _Recorded(_Kept):
    @classmethod
    def load_state(cls, state: dict[str, Any]) -> Any:
        return recorded(state["path"]).sync

    def complete(self, request: lm15.Request) -> lm15.Response:
        return self._answers.to(request)

    def stream(self, request: lm15.Request) -> Iterator[Any]:
        yield from lm15.response_to_events(self.complete(request))

    def close(self) -> None:
        """Nothing is open."""


class _AsyncRecorded(_Kept):
    @classmethod
    def load_state(cls, state: dict[str, Any]) -> Any:
        return recorded(state["path"]).asynchronous

    async def complete(self, request: lm15.Request) -> lm15.Response:
        return self._answers.to(request)

    async def stream(self, request: lm15.Request) -> AsyncIterator[Any]:
        for event in lm15.response_to_events(self._answers.to(request)):
            yield event

    async def aclose(self) -> None:
        """Nothing is open."""


class _Recording:
    def __init__(self, recorder: Recorder, inner: EnginePair) -> None:
        self._recorder, self._inner = recorder, inner.sync

    def complete(self, request: lm15.Request) -> lm15.Response:
        response = self._inner.complete(request)
        self._recorder.keep(request, response)
        return response

    def stream(self, request: lm15.Request) -> Iterator[Any]:
        events = []
        for event in self._inner.stream(request):
            events.append(event)
            yield event
        self._recorder.keep(request, lm15.materialize_response(iter(events), request))


class _AsyncRecording:
    def __init__(self, recorder: Recorder, inner: EnginePair) -> None:
        self._recorder, self._inner = recorder, inner.asynchronous

    async def complete(self, request: lm15.Request) -> lm15.Response:
        response = await self._inner.complete(request)
        self._recorder.keep(request, response)
        return response

    async def stream(self, request: lm15.Request) -> AsyncIterator[Any]:
        events = []
        async for event in self._inner.stream(request):
            events.append(event)
            yield event
        self._recorder.keep(request, lm15.materialize_response(iter(events), request))
