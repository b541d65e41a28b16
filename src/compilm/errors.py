"""The error tree. Its branches are what a caller can do about it.

CompilmError
├── UsageError (ValueError)      you wrote it wrong: fix the call or the file      exit 2
│   ├── ConfigError              the configuration, a flag or an environment variable
│   ├── MissingExtra             an optional library is not installed; the message names it
│   └── ContractError            something you handed over does not keep its contract   exit 3
│       ├── ProgramError         the program
│       ├── MetricError          the metric; carries the example's id
│       └── DataError            the data; carries file, line and field
├── Refused                      nothing was tried; `retry_after` says when to ask again
│   ├── BudgetExceeded           the budget would be crossed                       exit 5
│   ├── CircuitOpen              the provider failed too often just now
│   ├── LimitReached             a limit would let the call start only after its deadline
│   └── ReviewTaken              somebody else has the review, or has answered it
├── CallFailed                   a model or tool was asked and failed               exit 4
│   ├── ProviderRejected         authentication, billing or permission: retrying cannot help
│   ├── DeadlineExceeded         the caller's time was over before the answer
│   ├── NoneAnswered             every provider of a chain failed; lists why
│   └── ToolFailed               a tool gave no value; `kind` says what went wrong
├── CheckFailed                  a guard's check did not pass; holds the verdicts  exit 3
├── GraphStuck                   what a graph's nodes gave leads nowhere; another answer may lead on
├── JournalError                 the journal cannot be read or belongs to something else
└── ArtifactError                the file is not what it claims to be              exit 3
    ├── ArtifactUnreadable       missing, truncated, or not JSON of the declared form
    ├── ArtifactTampered         its digest does not match its content
    ├── ArtifactTooNew           written by a later schema than this version reads
    └── ArtifactMismatch         made for a program of another shape

RunStopped (BaseException)       ends a compile at once; user code cannot swallow it
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

__all__ = [
    "ArtifactError",
    "ArtifactMismatch",
    "ArtifactTampered",
    "ArtifactTooNew",
    "ArtifactUnreadable",
    "BudgetExceeded",
    "CallFailed",
    "CheckFailed",
    "CircuitOpen",
    "CompilmError",
    "ConfigError",
    "ContractError",
    "DataError",
    "DeadlineExceeded",
    "GraphStuck",
    "JournalError",
    "LimitReached",
    "MetricError",
    "MissingExtra",
    "NoneAnswered",
    "ProgramError",
    "ProviderRejected",
    "Refused",
    "RunStopped",
    "ToolFailed",
    "UsageError",
]


class CompilmError(Exception):
    """The root of every error that compilm raises on purpose.

    `exit_code` is what the command line returns for it.
    """

    exit_code: ClassVar[int] = 2


class UsageError(CompilmError, ValueError):
    """You wrote it wrong: the call or the file has to change."""


class ConfigError(UsageError):
    """A configuration file, a flag or an environment variable is wrong."""


class MissingExtra(UsageError):
    """An optional library is needed and not installed.

    >>> str(MissingExtra("pandas", extra="data", purpose="read Parquet"))
    "'pandas' is needed to read Parquet: pip install 'compilm[data]'"
    """

    def __init__(self, library: str, *, extra: str, purpose: str) -> None:
        super().__init__(f"{library!r} is needed to {purpose}: pip install 'compilm[{extra}]'")
        self.library, self.extra, self.purpose = library, extra, purpose

    def __reduce__(self) -> tuple[object, ...]:
        return (_missing_extra, (self.library, self.extra, self.purpose))


def _missing_extra(library: str, extra: str, purpose: str) -> MissingExtra:
    return MissingExtra(library, extra=extra, purpose=purpose)


class ContractError(UsageError):
    """A program, metric or data set does not keep the contract it was used under."""

    exit_code = 3


class ProgramError(ContractError):
    """The program cannot be compiled or called as asked."""


class MetricError(ContractError):
    """The metric did not give a score; `example_id` says for which example."""

    def __init__(self, message: str, *, example_id: str | None = None) -> None:
        super().__init__(message)
        self.example_id = example_id


class DataError(ContractError):
    """A data set is wrong at a place: file, line (1-based) and field, where known.

    >>> print(DataError("no value", file="train.jsonl", line=3, field="label"))
    train.jsonl:3: field 'label': no value
    """

    def __init__(
        self,
        message: str,
        *,
        file: str | None = None,
        line: int | None = None,
        field: str | None = None,
    ) -> None:
        place = ":".join(str(part) for part in (file, line) if part is not None)
        named = f"field {field!r}" if field is not None else ""
        super().__init__(": ".join(part for part in (place, named, message) if part))
        self.file, self.line, self.field = file, line, field


class Refused(CompilmError):
    """Nothing was tried. `retry_after` (seconds) says when asking again can help, if ever."""

    exit_code = 4

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class BudgetExceeded(Refused):
    """The budget would be crossed by going on; nothing more was spent."""

    exit_code = 5


class CircuitOpen(Refused):
    """The provider failed too often just now to be asked again; see `retry_after`."""


class LimitReached(Refused):
    """A limit would let the call start only after its deadline, so it was not started."""


class ReviewTaken(Refused):
    """Somebody else has claimed or answered this review; `retry_after` is what a lease has left."""


class CallFailed(CompilmError):
    """A model was asked and did not answer; the provider's error is the `__cause__`."""

    exit_code = 4


class ProviderRejected(CallFailed):
    """The provider refuses this account (authentication, billing, permission)."""


class DeadlineExceeded(CallFailed):
    """The time the caller gave was over before the answer; what was asked may be paid for."""


class NoneAnswered(CallFailed):
    """Every provider of a chain failed. `failures` holds a name and an error for each, in order.

    >>> print(NoneAnswered([("a", ValueError("down")), ("b", KeyError("x"))]))
    none of 2 answered
    ├─ a: ValueError: down
    └─ b: KeyError: 'x'
    """

    def __init__(self, failures: Sequence[tuple[str, Exception]]) -> None:
        self.failures = tuple(failures)
        super().__init__(_drawn(self.failures))

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.failures,))


def _drawn(failures: Sequence[tuple[str, Exception]]) -> str:
    lines = [f"none of {len(failures)} answered"]
    for place, (name, error) in enumerate(failures, start=1):
        mark, below = ("└─ ", "   ") if place == len(failures) else ("├─ ", "│  ")
        what = str(error).partition("\n\n")[0]  # lm15 gives its advice after an empty line
        told = f"{name}: {type(error).__name__}: {what}".splitlines()
        lines += [mark + told[0], *(below + line for line in told[1:])]
    return "\n".join(lines)


class ToolFailed(CallFailed):
    """A tool was called by a program and gave no value; `kind` is that of its `ToolError`.

    >>> ToolFailed("lookup: no answer within 10 s", kind="timeout").kind
    'timeout'
    """

    def __init__(self, message: str, *, kind: str = "failed") -> None:
        super().__init__(message)
        self.kind = kind


class CheckFailed(CompilmError):
    """What goes in or came out did not pass a guard's checks; `verdicts` are those against it.

    The message gives their reasons, which repeat nothing of what was said.
    """

    exit_code = 3

    def __init__(self, verdicts: Sequence[Any]) -> None:
        self.verdicts = tuple(verdicts)
        told = "; ".join(f"{each.check}: {each.reason}" for each in self.verdicts)
        super().__init__(f"the guard let nothing pass: {told}")

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.verdicts,))


class GraphStuck(CompilmError):
    """A run of a graph cannot go on from what its nodes gave: no case, no value, or no end.

    It is not the program that is wrong but this run: in a compile the rollout scores 0.
    """

    exit_code = 3


class JournalError(CompilmError):
    """The journal cannot be read, or what it holds contradicts itself."""

    exit_code = 3


class ArtifactError(CompilmError):
    """An artifact is not what it claims to be; nothing of it was used."""

    exit_code = 3


class ArtifactUnreadable(ArtifactError):
    """The artifact is missing, truncated, or not of the declared form."""


class ArtifactTampered(ArtifactError):
    """The artifact was changed after it was written: its digest does not match."""


class ArtifactTooNew(ArtifactError):
    """The artifact was written by a later schema; upgrade compilm to read it."""


class ArtifactMismatch(ArtifactError):
    """The artifact was made for a program of another shape."""


class RunStopped(BaseException):
    """Ends a compile at once: budget gone, account refused, or a person's interrupt.

    It is a `BaseException` because programs and optimizers catch `Exception` and would turn the
    end of a budget into a score of zero. It never leaves `compile` itself: `reason` is recorded
    and what was found until then is kept.
    """

    def __init__(self, reason: str, *, cause: CompilmError | None = None) -> None:
        super().__init__(reason)
        self.reason, self.cause = reason, cause
