"""Guarded programs that stream: real values put back across pieces, nothing shown unchecked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import replace
from typing import Any

import dspy
from dspy.streaming import StreamListener, StreamResponse

from ..errors import UsageError
from ..programs.awaiting import acalled
from .guard import Guard
from .redaction.redacted import Redacted
from .redaction.stream import Restorer
from .redaction.vault import Vault

__all__ = ["streamed"]


class _Opened(dspy.Module):
    """A redacted program in one call, with the vault of that call: it gives placeholders."""

    def __init__(self, owner: Redacted, vault: Vault) -> None:
        super().__init__()
        self.program = owner.program
        self._owner, self._vault = owner, vault

    async def aforward(self, **hidden: Any) -> Any:
        """The program's prediction."""
        with self._owner.within(self._vault):
            return await acalled(self.program, hidden)


async def streamed(
    program: dspy.Module, fields: Iterable[str], inputs: Mapping[str, Any]
) -> AsyncIterator[Any]:
    """The pieces of these outputs as they come, then the prediction.

    Around a `Redacted` program, placeholders are put back wherever the pieces were cut; a field
    that is not restored streams as it is. What a `Guard` has checks `after` for is held back until
    it has passed, and comes at once then; without such checks it comes as it is made. What was
    refused is never shown: then there is the prediction alone.

    Pieces are DSPy's `StreamResponse`, whose `chunk` is text; the last is a `dspy.Prediction`.

    >>> import asyncio
    >>> from compilm.testing.engines import scripted_lm
    >>> lm = scripted_lm([{"answer": "Dear [NAME_1], yes."}], piece=3)
    >>> async def told():
    ...     program = Redacted(dspy.Predict("question -> answer"))
    ...     with dspy.context(lm=lm):
    ...         pieces = streamed(program, ["answer"], {"question": "I am Ana Pratt. May I?"})
    ...         return [each async for each in pieces]
    >>> *pieces, last = asyncio.run(told())
    >>> "".join(piece.chunk for piece in pieces), last.answer
    ('Dear Ana Pratt, yes.', 'Dear Ana Pratt, yes.')
    """
    if isinstance(fields, str):
        raise UsageError(f"fields is a list of names: [{fields!r}]")
    pieces = _redacted if isinstance(program, Redacted) else _checked
    async for piece in pieces(program, tuple(fields), inputs):
        yield piece


async def _plain(
    program: dspy.Module, fields: tuple[str, ...], inputs: Mapping[str, Any]
) -> AsyncIterator[Any]:
    run = dspy.streamify(
        program,
        stream_listeners=_listeners(program, fields),
        is_async_program=hasattr(type(program), "aforward"),
    )
    async for piece in run(**inputs):
        if isinstance(piece, (StreamResponse, dspy.Prediction)):
            yield piece


def _listeners(program: dspy.Module, fields: tuple[str, ...]) -> list[Any]:
    """A listener for each predictor that gives one of the fields."""
    return [
        StreamListener(signature_field_name=field, predict=each, predict_name=path)
        for field in fields
        for path, each in program.named_predictors()
        if field in each.signature.output_fields
    ]


async def _checked(
    program: dspy.Module, fields: tuple[str, ...], inputs: Mapping[str, Any]
) -> AsyncIterator[Any]:
    """What streams; where a guard checks answers, once they have passed."""
    guard = program.program if isinstance(program, _Opened) else program
    if not (isinstance(guard, Guard) and guard.after):
        async for piece in _plain(program, fields, inputs):
            yield piece
        return
    held: list[Any] = []
    async for piece in _plain(program, fields, inputs):
        if not isinstance(piece, dspy.Prediction):
            held.append(piece)
            continue
        if piece.guard.outcome in ("passed", "mended", "flagged"):
            for each in _passed(held, piece, fields):
                yield each
        yield piece


def _passed(held: list[Any], prediction: Any, fields: tuple[str, ...]) -> list[Any]:
    """The pieces that were held back; one a field where what passed is not what streamed."""
    shown = []
    for field in fields:
        pieces = [piece for piece in held if piece.signature_field_name == field]
        said, value = "".join(piece.chunk for piece in pieces), prediction.get(field)
        if said.strip() == str(value).strip():
            shown += pieces
        elif pieces and value is not None:
            shown.append(replace(pieces[-1], chunk=str(value), is_last_chunk=True))
    return shown


async def _redacted(
    program: Redacted, fields: tuple[str, ...], inputs: Mapping[str, Any]
) -> AsyncIterator[Any]:
    vault, hidden = program.opened(inputs)
    restorers: dict[tuple[str, str], Restorer] = {}
    last: dict[tuple[str, str], Any] = {}
    async for piece in _checked(_Opened(program, vault), fields, hidden):
        if isinstance(piece, dspy.Prediction):
            for key, restorer in restorers.items():
                if rest := restorer.finish():
                    yield replace(last[key], chunk=rest)
            yield program.restored(piece, vault)
        elif program.shows(piece.signature_field_name):
            key = (piece.predict_name, piece.signature_field_name)
            last[key] = piece
            if text := restorers.setdefault(key, Restorer(vault)).feed(piece.chunk):
                yield replace(piece, chunk=text)
        else:
            yield piece
