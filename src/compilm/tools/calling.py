"""One call of a tool: bounded in time, repeated where that is safe, and always a `ToolResult`."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..clock import SYSTEM_CLOCK, Clock
from ..engine import remaining
from ..policies.backoff import full_jitter
from ..policies.circuit import Circuit
from ..policies.futures import auntil
from ..programs.veils import recording, replaying
from .failures import Late, error_of, is_outage, may_pass
from .policy import Policy
from .result import ToolError, ToolResult
from .size import capped
from .work import Job, Work

__all__ = ["Caller"]


@dataclass(frozen=True, slots=True)
class Caller:
    """Calls one tool. `circuit` is its server's, shared by all tools of it.

    `is_listing` says that it only asks what tools there are: no call of the program's.

    >>> from compilm.tools.work import FunctionWork
    >>> Caller("half", FunctionWork(lambda a: a / 2), dict).call({"a": 3}).value
    1.5
    """

    name: str
    work: Work
    reader: Callable[[Mapping[str, Any]], dict[str, Any]]
    policy: Policy = field(default_factory=Policy)
    circuit: Circuit | None = None
    clock: Clock = SYSTEM_CLOCK
    rng: random.Random = field(default_factory=random.Random)
    is_listing: bool = False

    def call(self, given: Mapping[str, Any]) -> ToolResult:
        """The result, from a thread. Waits no longer than the policy and the deadline say."""
        if (known := self._recorded(given)) is not None:
            return known
        trace = None if self.is_listing else recording()
        if trace is None:
            return self._call(given)
        span = trace.tool(self.name, given)
        return _told(span, self._call(given))

    async def acall(self, given: Mapping[str, Any]) -> ToolResult:
        """As `call`, in a task; the loop is never blocked."""
        if (known := self._recorded(given)) is not None:
            return known
        trace = None if self.is_listing else recording()
        if trace is None:
            return await self._acall(given)
        span = trace.tool(self.name, given)
        return _told(span, await self._acall(given))

    def _recorded(self, given: Mapping[str, Any]) -> ToolResult | None:
        """In a replay: what was told when it was recorded. Nothing is called there."""
        replay = None if self.is_listing else replaying()
        if replay is None:
            return None
        told, kind = replay.tool(self.name, given)
        if kind is None:
            return ToolResult(self.name, told, attempts=0)
        after = told.get("retry_after_seconds")
        return ToolResult(self.name, error=ToolError(kind, told["message"], after), attempts=0)

    def _call(self, given: Mapping[str, Any]) -> ToolResult:
        one = _Call(self)
        while True:
            try:
                args, left = one.begin(given)
                return one.answered(self._wait(args, left))
            except Exception as error:  # border: what a tool raises is an answer, as data
                after = one.failed(error)
            except BaseException:  # border: a call that was left counts for nothing; it passes
                one.left()
                raise
            if isinstance(after, ToolResult):
                return after
            self.clock.sleep(after)

    async def _acall(self, given: Mapping[str, Any]) -> ToolResult:
        one = _Call(self)
        while True:
            try:
                args, left = one.begin(given)
                return one.answered(await self._await(args, left))
            except Exception as error:  # border: as above
                after = one.failed(error)
            except BaseException:  # border: a call that was left counts for nothing; it passes
                one.left()
                raise
            if isinstance(after, ToolResult):
                return after
            await self.clock.asleep(after)

    def _wait(self, args: dict[str, Any], left: float) -> Any:
        if self.policy.timeout is None:
            return self.work.here(args)
        job = self.work.start(args)
        try:
            self.clock.until(job.future, left)
        finally:
            if not job.future.done():
                job.give_up()
        return self._brought(job)

    async def _await(self, args: dict[str, Any], left: float) -> Any:
        task = self.work.task(args)
        if task is not None:
            return await self._awaited(task, left)
        job = self.work.start(args)
        try:
            await auntil(self.clock, job.future, left)
        finally:
            if not job.future.done():
                job.give_up()
        return self._brought(job)

    def _brought(self, job: Job) -> Any:
        if job.future.cancelled() or not job.future.done():
            raise self._late(job.progress())
        return job.future.result()

    async def _awaited(self, work: Coroutine[Any, Any, Any], left: float) -> Any:
        """What a coroutine gives, which is cancelled when its time is over."""
        loop = asyncio.get_running_loop()
        task, late = loop.create_task(work), loop.create_future()
        alarm = None if left == float("inf") else self.clock.alarm(left, late.cancel)
        try:
            await asyncio.wait((task, late), return_when=asyncio.FIRST_COMPLETED)
        finally:
            late.cancel()
            if alarm is not None:
                alarm.cancel()
            is_late = not task.done() and task.cancel()
            task.add_done_callback(_heard)
        if is_late:
            raise self._late("")
        return task.result()

    def _late(self, progress: str) -> Late:
        most = self.policy.timeout
        told = "the deadline of the run passed" if most is None else f"no answer within {most:g} s"
        return Late(told + (f" (it had said: {progress})" if progress else ""))


def _told(span: Any, result: ToolResult) -> ToolResult:
    span.gave(result.told, None if result.error is None else result.error.kind)
    return result


def _heard(task: asyncio.Task[Any]) -> None:
    """Nobody waits for it any more; what it raises is nobody's."""
    if not task.cancelled():
        task.exception()


class _Call:
    """The state of one call, driven by threads and tasks alike."""

    def __init__(self, caller: Caller) -> None:
        self._of = caller
        self._start = caller.clock.now()
        most = caller.policy.timeout
        bound = remaining(self._start)
        self._until = self._start + (bound if most is None else min(most, bound))
        self._tries = 0
        self._permit: int | None = None

    def begin(self, given: Mapping[str, Any]) -> tuple[dict[str, Any], float]:
        """The arguments of an attempt that starts now, and the seconds it has."""
        now = self._of.clock.now()
        args = self._of.reader(given)
        if self._until <= now:
            raise Late("the deadline of the run passed before the tool was called")
        if self._of.circuit is not None:
            self._permit = self._of.circuit.admit(now)
        self._tries += 1
        return args, self._until - now

    def answered(self, value: Any) -> ToolResult:
        """The result of an attempt that brought a value."""
        self._record(True)
        told = capped(value, self._of.policy.most)
        return self._result(value=told.value, left_out=told.left_out)

    def failed(self, error: Exception) -> ToolResult | float:
        """The result of an attempt that failed, or the seconds after which to try once more."""
        against = is_outage(error)
        self._record(None if against is None else not against)
        policy = self._of.policy
        if policy.idempotent and self._tries < policy.attempts and may_pass(error):
            wait = full_jitter(self._of.rng, self._tries, base=policy.base, cap=policy.cap)
            if self._of.clock.now() + wait < self._until:
                return wait
        return self._result(error=error_of(error, policy))

    def left(self) -> None:
        """The caller went away: that tells nothing of the server."""
        self._record(None)

    def _record(self, answered: bool | None) -> None:
        if self._permit is not None and self._of.circuit is not None:
            self._of.circuit.record(self._permit, answered, self._of.clock.now())
        self._permit = None

    def _result(self, **what: Any) -> ToolResult:
        seconds = self._of.clock.now() - self._start
        return ToolResult(self._of.name, seconds=seconds, attempts=self._tries, **what)
