"""The embedded engine: what dspy calls, sync and async, in front of the in-context learner."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from dspy.lm15 import (
    Message,
    Request,
    Response,
    TextPart,
    ThinkingPart,
    UnsupportedFeatureError,
    Usage,
    response_to_events,
)

from ... import canonical, randomness
from ...errors import ConfigError
from .answer import solve_fields, write_answer
from .memo import Memo
from .mine import Known
from .options import SIZES, Options
from .prompt import Prompt, Turn, asks_for_json, last_inputs, read_prompt
from .propose import is_proposal, propose, propose_plain
from .prose import best_sentence
from .solve import Solver

if TYPE_CHECKING:
    import dspy

__all__ = ["NOTICE", "AsyncEmbeddedEngine", "EmbeddedEngine", "embedded_lm"]

NOTICE: Final = "embedded, not a language model"

_PROMPTS: Final = 64  # prompts kept read
_MODELS: Final = 256  # learned models kept
_HELP: Final = "set a provider model instead, for instance dspy.LM('openai/...')"


class EmbeddedEngine:
    """Answers a `dspy.lm15.Request` by learning in context: no weights, no network, no state.

    Every answer is a function of the request alone (`config.seed` included) and parses as the
    fields that a dspy adapter asked for. It knows no facts and no synonyms: what it can do, it
    reads from the demonstrations, the labels and the rules in the prompt. `max_tokens` and
    `stop` are not needed and not read.

    >>> from dspy.lm15 import Message, Request
    >>> request = Request(model="embedded/base", messages=(Message.user("It rains. Does it?"),))
    >>> EmbeddedEngine().complete(request).text
    'It rains.'
    """

    supports_function_calling = False
    supports_response_schema = False
    supports_reasoning = False
    supported_params: tuple[str, ...] = ()

    def __init__(self, options: Options | None = None) -> None:
        self.options = options or Options()
        self._memo = Memo(_PROMPTS)
        self._models = Memo(_MODELS)

    def complete(self, request: Request) -> Response:
        """The response to `request`; what it cannot serve is an `UnsupportedFeatureError`."""
        _refuse(request)
        system, turns = _texts(request)
        answer = self._answer(request, system, turns)
        asked = sum(len(text) for _, text in turns) + len(system)
        return Response(
            id=None,
            model=request.model,
            message=Message.assistant((TextPart(answer),)),
            finish_reason="stop",
            usage=Usage(input_tokens=asked // 4, output_tokens=len(answer) // 4),
            provider_data={"notice": NOTICE, **asdict(self.options)},
        )

    def stream(self, request: Request) -> Iterator[Any]:
        """The response to `request` as lm15 stream events."""
        return iter(response_to_events(self.complete(request)))

    def close(self) -> None:
        """Nothing to release."""

    def dump_state(self) -> dict[str, Any]:
        """The options, as JSON data."""
        return asdict(self.options)

    @classmethod
    def load_state(cls, state: Mapping[str, Any]) -> EmbeddedEngine:
        """The engine that `dump_state` described."""
        return cls(Options.of(state))

    def __copy__(self) -> EmbeddedEngine:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> EmbeddedEngine:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return (EmbeddedEngine, (self.options,))

    def _answer(self, request: Request, system: str, turns: tuple[Turn, ...]) -> str:
        last = turns[-1][1]
        wants_json = asks_for_json(last)
        prompt = self._memo.get(
            (system, turns[:-1], wants_json),
            lambda: read_prompt(system, turns[:-1], wants_json=wants_json),
        )
        _refuse_format(request, prompt)
        inputs = last_inputs(prompt, last)
        temperature = request.config.temperature or 0.0
        seed = canonical.digest([prompt.key, last, request.config.seed or 0])
        known = Known(temperature=temperature, rng=randomness.rng(0, "propose", seed))
        cues = self.options.cues
        if not prompt.outputs:
            return propose_plain(last, cues=cues, known=known) or best_sentence(inputs) or "..."
        if is_proposal(prompt):
            return write_answer(prompt, propose(prompt, inputs, cues=cues, known=known))
        solver = Solver(prompt, inputs, self.options, self._models, temperature, seed)
        return write_answer(prompt, solve_fields(solver))


class AsyncEmbeddedEngine:
    """The same engine for `dspy.LM(async_engine=...)`; it shares the sync engine's memory.

    >>> import asyncio
    >>> from dspy.lm15 import Message, Request
    >>> request = Request(model="embedded/base", messages=(Message.user("It rains. Does it?"),))
    >>> asyncio.run(AsyncEmbeddedEngine().complete(request)).text
    'It rains.'
    """

    def __init__(self, sync: EmbeddedEngine | None = None) -> None:
        self.sync = sync or EmbeddedEngine()

    async def complete(self, request: Request) -> Response:
        """The response to `request`, computed in this task: it takes about a millisecond."""
        return self.sync.complete(request)

    async def stream(self, request: Request) -> AsyncIterator[Any]:
        """The response to `request` as lm15 stream events."""
        for event in self.sync.stream(request):
            yield event

    async def aclose(self) -> None:
        """Nothing to release."""

    def dump_state(self) -> dict[str, Any]:
        """The options, as JSON data."""
        return self.sync.dump_state()

    @classmethod
    def load_state(cls, state: Mapping[str, Any]) -> AsyncEmbeddedEngine:
        """The engine that `dump_state` described."""
        return cls(EmbeddedEngine.load_state(state))

    def __copy__(self) -> AsyncEmbeddedEngine:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> AsyncEmbeddedEngine:
        return self


def embedded_lm(name: str = "embedded/base", **options: Any) -> dspy.LM:
    """A `dspy.LM` on the embedded engine: `embedded/small`, `embedded/base` or `embedded/large`.

    `options` change single settings of the size (see `Options`).

    >>> import dspy
    >>> lm = embedded_lm("embedded/small")
    >>> with dspy.context(lm=lm):
    ...     dspy.Predict("mail -> order_number")(mail="Where is order C-45?").order_number
    'C-45'
    """
    import dspy

    if name not in SIZES:
        raise ConfigError(
            f"there is no embedded model {name!r}; there are {', '.join(SIZES)}: use one of them"
        )
    engine = EmbeddedEngine(Options.of({**asdict(SIZES[name]), **options}))
    return dspy.LM(
        name,
        engine=engine,
        async_engine=AsyncEmbeddedEngine(engine),
        num_retries=0,
        cache=False,
    )


def _refuse(request: Request) -> None:
    """Raises for what an engine without a language model cannot honestly serve."""
    config = request.config
    wanted = ""
    if request.tools:
        wanted = "call tools"
    elif config.logprobs is not None or config.probabilities == "required":
        wanted = "give token probabilities"
    elif (config.response_format or {}).get("type") == "json_schema":
        wanted = "be held to a response schema"
    else:
        parts = [part for message in request.messages for part in message.parts]
        parts += [] if isinstance(request.system, (str, type(None))) else request.system
        other = [part for part in parts if not isinstance(part, (TextPart, ThinkingPart))]
        if other:
            wanted = f"read a {type(other[0]).__name__}"
    if wanted:
        raise UnsupportedFeatureError(f"{request.model!r} is {NOTICE}: it cannot {wanted}; {_HELP}")


def _refuse_format(request: Request, prompt: Prompt) -> None:
    if request.config.response_format and not prompt.is_json:
        raise UnsupportedFeatureError(
            f"{request.model!r} is {NOTICE}: it can answer in JSON only the fields that a"
            f" dspy.JSONAdapter prompt declares, and this prompt declares none; {_HELP}"
        )


def _texts(request: Request) -> tuple[str, tuple[Turn, ...]]:
    """The system text and the (role, text) of each turn."""
    system = request.system if isinstance(request.system, str) else _text(request.system or ())
    return system, tuple((turn.role, _text(turn.parts)) for turn in request.messages)


def _text(parts: Iterable[object]) -> str:
    return "\n".join(part.text for part in parts if isinstance(part, TextPart))
