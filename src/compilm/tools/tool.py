"""A `dspy.Tool` that answers in time, within a size, and with errors as data."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Mapping
from typing import Any, overload

import dspy
from dspy.utils.callback import with_callbacks
from pydantic import PrivateAttr

from ..clock import SYSTEM_CLOCK, Clock
from ..errors import UsageError
from ..policies.circuit import Circuit
from .arguments import reader_of
from .calling import Caller
from .policy import Policy
from .result import ToolResult
from .schema import Parameters, from_schema
from .signature import Described, described
from .work import FunctionWork, Work

__all__ = ["Tool", "made", "tool"]


class Tool(dspy.Tool):
    """What DSPy's own agents and adapters take; made by `tool` and by `McpServer.tools`.

    A call never raises for what went wrong with the tool: the model gets the error as a table.
    `run` and `arun` give the whole `ToolResult`. A copy shares the function, the connection and
    its breaker; its texts are its own.

    >>> @tool
    ... def half(number: float) -> float:
    ...     "Half of a number."
    ...     return number / 2
    >>> half(number=3), half(nummer=3)["error"], half.run(number=3).attempts
    (1.5, 'arguments', 1)
    """

    _caller: Caller = PrivateAttr()
    _parameters: Parameters = PrivateAttr()

    @property
    def caller(self) -> Caller:
        """How it is called."""
        return self._caller

    def run(self, **given: Any) -> ToolResult:
        """Call it from a thread."""
        return self._caller.call(given)

    async def arun(self, **given: Any) -> ToolResult:
        """Call it from a task."""
        return await self._caller.acall(given)

    @with_callbacks  # type: ignore[untyped-decorator]  # dspy ships no types
    def __call__(self, **kwargs: Any) -> Any:
        return self._caller.call(kwargs).told

    @with_callbacks  # type: ignore[untyped-decorator]  # dspy ships no types
    async def acall(self, **kwargs: Any) -> Any:
        """What a model gets, from a task."""
        return (await self._caller.acall(kwargs)).told

    def format_as_litellm_function_call(self) -> dict[str, Any]:
        """The tool as providers want it; `required` is what must be given, and no more."""
        schema = self._parameters.schema()
        schema["properties"] = copy.deepcopy(self.args)  # an optimizer may have changed its texts
        told = {"name": self.name, "description": self.desc, "parameters": schema}
        return {"type": "function", "function": told}

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Tool:
        copied: Tool = self.model_copy()
        copied.args = copy.deepcopy(self.args, memo)
        return copied


def made(
    about: Described,
    work: Work,
    policy: Policy,
    *,
    circuit: Circuit | None = None,
    clock: Clock = SYSTEM_CLOCK,
    rng: random.Random | None = None,
) -> Tool:
    """A tool of what is known about it and where its work is done."""
    parameters = about.parameters
    caller = Caller(
        about.name, work, reader_of(parameters), policy, circuit, clock, rng or random.Random()
    )

    def func(**kwargs: Any) -> Any:  # DSPy's `ToolCall.execute` calls this
        return caller.call(kwargs).told

    found = Tool(
        func,
        name=about.name,
        desc=about.description,
        args={name: dict(each) for name, each in parameters.args.items()},
        arg_types=dict(parameters.types or dict.fromkeys(parameters.args, Any)),
    )
    found.desc, found.has_kwargs = about.description, parameters.is_open
    found._caller, found._parameters = caller, parameters
    return found


@overload
def tool(func: Callable[..., Any], /, **options: Any) -> Tool: ...
@overload
def tool(func: None = None, /, **options: Any) -> Callable[[Callable[..., Any]], Tool]: ...


def tool(
    func: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    schema: Mapping[str, Any] | None = None,
    clock: Clock = SYSTEM_CLOCK,
    rng: random.Random | None = None,
    **policy: Any,
) -> Tool | Callable[[Callable[..., Any]], Tool]:
    """A function as a tool; also a decorator, with or without options.

    Name, description, types, defaults and what is said of each argument come from the function;
    `schema` is a JSON schema of its arguments where the function cannot say. `policy` are fields
    of `Policy`: `timeout=10.0` seconds, `idempotent=False`, `attempts`, `most`, `tells`. A
    `dspy.Tool` keeps its name, texts and schemas. Raises `ProgramError` where an argument has no
    form in JSON, `UsageError` where a bound makes no sense.

    >>> @tool(timeout=2.0, idempotent=True)
    ... def claim(number: int) -> dict[str, str]:
    ...     "Find a claim by its number."
    ...     return {"status": "open"}
    >>> claim.desc, claim(number=7)
    ('Find a claim by its number.', {'status': 'open'})
    """
    if func is None:
        return lambda given: tool(
            given,
            name=name,
            description=description,
            schema=schema,
            clock=clock,
            rng=rng,
            **policy,
        )
    if isinstance(func, Tool):
        _refuse_twice(func)
    about = _about(func, schema)
    about = Described(name or about.name, description or about.description, about.parameters)
    inner = func.func if isinstance(func, dspy.Tool) else func
    return made(about, FunctionWork(inner), Policy(**policy), clock=clock, rng=rng)


def _refuse_twice(given: Tool) -> None:
    """A tool of ours is bounded already: to bound it again would hide which bound it has."""
    raise UsageError(f"{given.name} is a tool already; give tool() the function it was made of")


def _about(func: Callable[..., Any], schema: Mapping[str, Any] | None) -> Described:
    if isinstance(func, dspy.Tool):
        required = [k for k, each in func.args.items() if "default" not in each]
        whole = {"type": "object", "properties": func.args, "required": required}
        parameters = from_schema({**whole, "additionalProperties": func.has_kwargs})
        return Described(func.name, func.desc or "", parameters)
    if schema is None:
        return described(func)
    named = getattr(func, "__name__", type(func).__name__)
    return Described(named, (func.__doc__ or "").strip(), from_schema(schema))
