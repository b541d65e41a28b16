"""A program that never sees who it is about: inputs are hidden, allowed outputs are put back."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import dspy

from ...errors import ProgramError, UsageError
from ...programs.awaiting import acalled
from ...programs.veils import VAULT, Veil, note
from ..named import checked_names, inputs_of, outputs_of
from .finding import Detector
from .rules import Rules
from .vault import Vault

__all__ = ["Redacted", "hidden_examples", "with_real_values"]


class Redacted(dspy.Module):
    """The program, with identifiers replaced by placeholders on the way in.

    Everything below it, the model, caches, journals and traces, sees `[NAME_1]` where a name was.
    The same value has the same placeholder in all fields of one call. Whatever is outermost sees
    real values: put this around guards and judges, not inside of them.

    A graph that asks a person cannot be inside: what is hidden is known until the call ends. Put
    this around the modules of its nodes, and its questions are redacted where they are kept.

    Args:
        program: the module that is called with hidden inputs; it stays at `program`.
        detector: what finds identifiers; `Rules()` by default.
        restore: the outputs in which real values come back: True for all, or names of fields.
        leave: inputs that are handed on as they are.

    >>> from compilm.testing.engines import scripted_lm
    >>> lm = scripted_lm([{"answer": "Dear [NAME_1], yes."}])
    >>> program = Redacted(dspy.Predict("question -> answer"))
    >>> with dspy.context(lm=lm):
    ...     print(program(question="I am Ana Pratt. May I come?").answer)
    Dear Ana Pratt, yes.
    >>> "Ana Pratt" in str(lm.engine.requests)
    False
    """

    def __init__(
        self,
        program: dspy.Module,
        *,
        detector: Detector | None = None,
        restore: bool | Iterable[str] = True,
        leave: Iterable[str] = (),
    ) -> None:
        super().__init__()
        if not isinstance(program, dspy.Module):
            raise ProgramError(
                f"Redacted goes around a dspy.Module, not a {type(program).__name__}: hold your "
                "function in a module, or pass the class's instance"
            )
        self.program = program
        self._detector = detector or Rules()
        self._restore = restore if isinstance(restore, bool) else tuple(_names(restore, "restore"))
        self._leave = tuple(_names(leave, "leave"))
        if not isinstance(self._restore, bool):
            checked_names(self._restore, outputs_of(program), "restore names")
        checked_names(self._leave, inputs_of(program), "leave names")

    @property
    def inputs(self) -> tuple[str, ...]:
        """The inputs of a call, where the program says so."""
        return tuple(getattr(self.program, "inputs", ()))

    @property
    def optional_inputs(self) -> tuple[str, ...]:
        """The inputs that a call may leave out, where the program says so."""
        return tuple(getattr(self.program, "optional_inputs", ()))

    def veil(self) -> Veil:
        """What hides the texts of one call where a trace of it is kept, as in prompts."""
        return Vault(self._detector).hide

    def opened(self, inputs: Mapping[str, Any]) -> tuple[Vault, dict[str, Any]]:
        """A vault for one call, and the call's inputs with identifiers hidden."""
        vault = Vault(self._detector)
        seen = {name: value for name, value in inputs.items() if name not in self._leave}
        hidden = vault.hide(seen)
        note("redaction", dict(vault.counts))
        return vault, {name: hidden.get(name, value) for name, value in inputs.items()}

    def within(self, vault: Vault) -> AbstractContextManager[Any]:
        """The context of one call: tools in it find the vault."""
        found: AbstractContextManager[Any] = dspy.context(**{VAULT: vault})
        return found

    def restored(self, prediction: Any, vault: Vault) -> Any:
        """The prediction with real values where they are allowed."""
        if not isinstance(prediction, dspy.Prediction):
            return prediction
        values = {
            name: vault.restore(value) if self.shows(name) else value
            for name, value in prediction.items()
        }
        made = dspy.Prediction(**values)
        made.set_lm_usage(prediction.get_lm_usage())
        return made

    def shows(self, field: str) -> bool:
        """Whether real values come back in this output."""
        return self._restore if isinstance(self._restore, bool) else field in self._restore

    def forward(self, **inputs: Any) -> Any:
        """The program's prediction."""
        if _current() is not None:  # inside of another: its vault holds all, and it restores
            return self.program(**inputs)
        vault, hidden = self.opened(inputs)
        with self.within(vault):
            prediction = self.program(**hidden)
        return self.restored(prediction, vault)

    async def aforward(self, **inputs: Any) -> Any:
        """As `forward`; a program without `aforward` runs in a thread."""
        if _current() is not None:
            return await acalled(self.program, inputs)
        vault, hidden = self.opened(inputs)
        with self.within(vault):
            prediction = await acalled(self.program, hidden)
        return self.restored(prediction, vault)


def _names(names: Iterable[str], what: str) -> Iterable[str]:
    if isinstance(names, str):
        raise UsageError(f"{what} takes names of fields: {what}=[{names!r}]")
    return names


def with_real_values(
    function: Callable[..., Any], arguments: Iterable[str] = ()
) -> Callable[..., Any]:
    """A tool that gets real values in these arguments, and whose result is hidden again.

    The model asks for `claim("[MEMBER_NUMBER_1]")`; the tool looks up the real number. Without a
    redacted program around it, it is the function itself. Name and signature stay, so it can be
    handed to `dspy.Tool`; an `async` function gives an `async` tool.

    >>> def claims(member: str) -> str:
    ...     return f"{member}: one claim"
    >>> with_real_values(claims, ["member"])("M-1")
    'M-1: one claim'
    """
    shown = frozenset(_names(arguments, "arguments"))
    form = inspect.signature(function)
    missing = shown - form.parameters.keys()
    if missing:
        raise UsageError(f"{function.__name__} has no argument {sorted(missing)[0]!r}")

    def opened(
        args: tuple[Any, ...], named: dict[str, Any], vault: Vault
    ) -> inspect.BoundArguments:
        bound = form.bind(*args, **named)
        bound.arguments = {
            name: vault.restore(value) if name in shown else value
            for name, value in bound.arguments.items()
        }
        return bound

    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def acalled(*args: Any, **named: Any) -> Any:
            vault = _current()
            if vault is None:
                return await function(*args, **named)
            bound = opened(args, named, vault)
            with _hidden_errors(function, vault):
                return vault.hide(_whole(await function(*bound.args, **bound.kwargs)))

        return acalled

    @functools.wraps(function)
    def called(*args: Any, **named: Any) -> Any:
        vault = _current()
        if vault is None:
            return function(*args, **named)
        bound = opened(args, named, vault)
        with _hidden_errors(function, vault):
            return vault.hide(_whole(function(*bound.args, **bound.kwargs)))

    return called


def _whole(result: Any) -> Any:
    """A generator's values as a list: what comes later would come unhidden."""
    return list(result) if inspect.isgenerator(result) else result


@contextmanager
def _hidden_errors(function: Callable[..., Any], vault: Vault) -> Iterator[None]:
    """What a tool fails with reaches the model as well, so it names nobody either."""
    try:
        yield
    except Exception as error:  # border: a tool's own error quotes what it was given
        said = str(error)
        hidden = vault.hide(said)
        if hidden == said:
            raise
        name = getattr(function, "__name__", "the tool")
        raise ProgramError(f"{name} failed: {type(error).__name__}: {hidden}") from None


def _current() -> Vault | None:
    found: Vault | None = dspy.settings.get(VAULT, None)
    return found


def hidden_examples(examples: Iterable[Any], detector: Detector | None = None) -> list[Any]:
    """Examples with identifiers hidden, each with placeholders of its own: what to compile on.

    Demonstrations and a proposer's prompts are made of examples, and so is the journal.

    >>> row = dspy.Example(message="I am Ana Pratt", reply="Hello Ana Pratt").with_inputs("message")
    >>> hidden_examples([row])[0].reply
    'Hello [NAME_1]'
    """
    found = detector or Rules()
    return [Vault(found).hide(each) for each in examples]
