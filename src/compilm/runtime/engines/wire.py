"""A wire protocol as pure functions: a request to a body, payloads to a response or to events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeAlias

from dspy import lm15

__all__ = ["Asked", "Notes", "Payload", "Reader", "Wire", "WireFailure"]

Payload: TypeAlias = dict[str, Any]


class WireFailure(Exception):
    """An attempt that gave no answer, before it is told as a `dspy.lm15` error.

    `kind` is `status` (the provider said no), `event` (it said so inside a 200), `timeout`,
    `transport`, `malformed` (what came is not the protocol) or `unfinished` (a stream stopped
    without its finish marker). `body` is what came, parsed if it was JSON. It never leaves an
    engine: it may hold the prompt.
    """

    def __init__(
        self,
        kind: str,
        note: str = "",
        *,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
    ) -> None:
        super().__init__(kind)
        self.kind, self.note, self.status, self.body = kind, note, status, body
        self.headers = {name.lower(): value for name, value in (headers or {}).items()}


class Notes(list[lm15.Adaptation]):
    """What the wire gets that differs from what was asked."""

    def add(self, field: str, action: str, reason: str, asked: Any, applied: Any = None) -> None:
        """Record one deviation; `field` is the path in the request, such as `config.seed`."""
        self.append(lm15.Adaptation(field, action, reason, asked, applied))

    def drop(self, config: Any, names: tuple[str, ...], reason: str) -> None:
        """Record each of these settings that is set and has no place on the wire."""
        for name in names:
            asked = getattr(config, name)
            if asked is not None:
                self.add(f"config.{name}", "dropped", reason, asked)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it goes out: the JSON body, and how it differs from the request."""

    body: Payload
    notes: tuple[Any, ...] = ()


class Reader(Protocol):
    """Turns the payloads of one stream into events."""

    def feed(self, payload: Payload) -> Iterator[Any]:
        """The events that this payload brings; `WireFailure` if it tells of an error."""
        ...

    def end(self) -> Iterator[Any]:
        """The final event; `WireFailure` if the finish marker never came."""
        ...


class Wire(Protocol):
    """One protocol."""

    name: ClassVar[str]
    path: ClassVar[str]
    key_env: ClassVar[str]
    home: ClassVar[str]
    """The provider's own base URL."""

    def headers(self, key: str | None) -> dict[str, str]:
        """The headers that this protocol sends with each request."""
        ...

    def ask(self, request: lm15.Request, *, stream: bool) -> Asked:
        """The body for a request; `lm15.UnsupportedFeatureError` for what it cannot carry."""
        ...

    def answer(self, payload: Any, asked: Asked, request: lm15.Request) -> lm15.Response:
        """The response in a payload; `WireFailure` if it holds none."""
        ...

    def reader(self, asked: Asked, request: lm15.Request) -> Reader:
        """A reader for one stream."""
        ...
