"""An adapter that renders ahead of time: DSPy's own in everything that can be seen of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from typing import Any, ClassVar, NamedTuple
from weakref import ref

import dspy
from dspy.dsp.utils.settings import settings
from dspy.utils.callback import BaseCallback
from dspy.utils.exceptions import AdapterParseError

from ...engine import Prefix
from ..models import RoleLM
from ..requests import like, text_message
from .direct import acomplete, complete, is_direct, options_key, template_of
from .fields import Fields, is_known
from .prompt import Prompt, as_messages, expanded, is_sendable
from .values import parsers

__all__ = ["rendered"]

# Settings of an adapter that rendering does not depend on, or reads at each call. An adapter with
# anything else in it was changed by hand and is left to itself.
_KNOWN = frozenset(
    {
        "callbacks",
        "native_response_types",
        "parallel_tool_calls",
        "use_json_adapter_fallback",
        "use_native_function_calling",
    }
)
_TOOLS = frozenset({"parallel_tool_calls", "tool_choice", "tools"})
_HOOKS = ("adapter_format", "adapter_parse", "lm")
_MOST = 64  # templates of one prompt: one for each combination of settings


def rendered(adapter: Any) -> Any:
    """A twin of the adapter that renders what stays once; the adapter itself if it is not DSPy's.

    The twin is of a subclass of the same name and shares the adapter's settings. Whatever it is
    not sure to do as the adapter does, it leaves to it.

    >>> adapter = rendered(dspy.ChatAdapter())
    >>> type(adapter).__name__, isinstance(adapter, dspy.ChatAdapter)
    ('ChatAdapter', True)
    """
    if type(adapter) not in parsers:
        return adapter
    own: Any = type(adapter)
    cls: Any = _twin(own)
    twin = cls.__new__(cls)
    twin.__dict__ = adapter.__dict__
    twin._prompts = _Prompts()
    return twin


class _Asked(NamedTuple):
    """A call that is ready to go out."""

    request: Any
    prefix: Prefix
    fields: Fields


class _Prompts:
    """The prompts of one adapter, by signature; a signature that is used once gets none."""

    def __init__(self) -> None:
        self._found: dict[int, tuple[Any, Any]] = {}

    def of(self, adapter: Any, signature: Any) -> Prompt | None:
        """The prompt of this signature as it is now; `None` where DSPy has to render it."""
        own, found = self._found.get(id(signature), (_nobody, None))
        if own() is not signature:
            self._meet(signature)
            return None
        if found is None or not found.fields.are_of(signature):
            found = Prompt.of(adapter, signature) or _Unkept(signature)
            self._found[id(signature)] = own, found
        return found if isinstance(found, Prompt) else None

    def _meet(self, signature: Any) -> None:
        """Know a signature again, for as long as there is one."""
        if is_known(signature):
            key, all_found = id(signature), self._found
            own = ref(signature, lambda gone: _forget(all_found, key, gone))
            all_found[key] = own, None


def _nobody() -> None:
    """In the place of a reference to a signature."""


def _forget(found: dict[int, tuple[Any, Any]], key: int, gone: Any) -> None:
    """Drop what is known of a signature that is gone, unless its id is already another's."""
    if found.get(key, (None,))[0] is gone:
        found.pop(key, None)


class _Unkept:
    """In the place of the prompt of a signature that DSPy has to render."""

    def __init__(self, signature: Any) -> None:
        self.fields = Fields(signature)


class _Rendered:
    """What a twin does differently: `format`, `parse` and calls, where it is sure."""

    __slots__ = ()
    _own: ClassVar[Any]  # the class of the adapter

    def format(
        self, signature: Any, demos: Sequence[Any], inputs: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """DSPy's rows, those that stay from memory."""
        rows = None
        if _is_alone(self) and _is_quiet(_HOOKS[:1], self):
            prompt = self._prompts.of(self, signature)  # type: ignore[attr-defined]
            rows = None if prompt is None else prompt.rows(self, signature, demos, inputs)
        if rows is None:
            rows = self._own.format(self, signature, demos, inputs)
        return list(rows)

    def parse(self, signature: Any, completion: str) -> dict[str, Any]:
        """DSPy's reading of an answer."""
        if isinstance(signature, Fields):
            return dict(parsers[self._own](self, signature, completion))
        return dict(self._own.parse(self, signature, completion))

    def __call__(self, lm: Any, lm_kwargs: Any, signature: Any, demos: Any, inputs: Any) -> Any:
        asked = _asked(self, lm, lm_kwargs, signature, demos, inputs)
        if asked is None:
            return self._own.__call__(self, lm, lm_kwargs, signature, demos, inputs)
        outputs = complete(lm, asked.request, asked.prefix, lm_kwargs)
        try:
            return _answers(self, asked.fields, signature, outputs, lm, lm_kwargs)
        except AdapterParseError:
            if (instead := _instead(self)) is None:
                raise
            return instead(lm, lm_kwargs, signature, demos, inputs)

    async def acall(self, lm: Any, lm_kwargs: Any, signature: Any, demos: Any, inputs: Any) -> Any:
        asked = _asked(self, lm, lm_kwargs, signature, demos, inputs)
        if asked is None:
            return await self._own.acall(self, lm, lm_kwargs, signature, demos, inputs)
        outputs = await acomplete(lm, asked.request, asked.prefix, lm_kwargs)
        try:
            return _answers(self, asked.fields, signature, outputs, lm, lm_kwargs)
        except AdapterParseError:
            if (instead := _instead(self)) is None:
                raise
            return await instead.acall(lm, lm_kwargs, signature, demos, inputs)

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy, or what is pickled, is the adapter without what it remembers."""
        return _again, (self._own, dict(vars(self)))


def _again(own: Any, state: dict[str, Any]) -> Any:
    adapter = own.__new__(own)
    adapter.__dict__.update(state)
    return adapter


@cache
def _twin(own: Any) -> Any:
    body = {"__slots__": ("_prompts",), "__module__": own.__module__, "__doc__": own.__doc__}
    made = type(own.__name__, (_Rendered, own), {**body, "_own": own})
    made.__qualname__ = own.__qualname__
    for name in {"format", "parse"} & vars(made).keys():
        # DSPy puts callbacks around these in every subclass; the adapter's own have theirs.
        delattr(made, name)
    return made


def _asked(
    adapter: Any, lm: Any, options: Any, signature: Any, demos: Any, inputs: Any
) -> _Asked | None:
    """The call as it goes out; `None` where DSPy has to make it."""
    if not _is_alone(adapter) or not is_direct(lm) or not _is_quiet(_HOOKS, adapter, lm):
        return None
    if settings.send_stream is not None or not settings.disable_history or _TOOLS & options.keys():
        return None
    prompt = adapter._prompts.of(adapter, signature)
    if prompt is None or not _is_text(adapter, prompt.fields):
        return None
    template = _template(adapter, prompt, lm, options, signature)
    shown = None if template is None else prompt.shown(adapter, signature, demos)
    prefix = None if shown is None else shown.prefix
    last = None if prefix is None else _last(prompt.content(adapter, signature, inputs))
    if template is None or prefix is None or last is None:
        return None
    request = like(template, messages=(*prefix.messages, *last), system=prefix.system)
    return _Asked(request, prefix, prompt.fields)


def _is_alone(adapter: Any) -> bool:
    """Whether the adapter is a twin, and as it was made: not of a class that somebody derived."""
    return type(adapter) is _twin(adapter._own) and vars(adapter).keys() <= _KNOWN


def _is_quiet(hooks: tuple[str, ...], *owners: Any) -> bool:
    """Whether no callback, of all calls or of these, hears of any of this.

    One that says `passes_roles` has nothing to do where a model of a role is called.
    """
    heard = [*settings.get("callbacks", []), *(one for own in owners for one in own.callbacks)]
    if any(isinstance(own, RoleLM) for own in owners):
        heard = [one for one in heard if not getattr(one, "passes_roles", False)]
    return not any(vars(one).keys() & _NAMES or _hears(one.__class__, hooks) for one in heard)


@lru_cache(maxsize=64)
def _hears(kind: Any, hooks: tuple[str, ...]) -> bool:
    names = _names(hooks)
    return any(getattr(kind, name, None) is not getattr(BaseCallback, name) for name in names)


def _names(hooks: tuple[str, ...]) -> list[str]:
    return [f"on_{what}_{when}" for what in hooks for when in ("start", "end")]


_NAMES = frozenset(_names(_HOOKS))  # of methods that somebody could put on one callback alone


def _is_text(adapter: Any, fields: Fields) -> bool:
    """Whether all outputs stand in the text of the answer."""
    native = adapter.native_response_types
    return not fields.speaks_natively and all(kind not in native for kind in fields.kinds)


def _template(adapter: Any, prompt: Prompt, lm: Any, options: Any, signature: Any) -> Any:
    """The request without messages for these settings, made once for each."""
    key: Any = options_key(lm, options)
    if key is None:
        return None
    if isinstance(adapter, dspy.JSONAdapter):
        can = "response_format" in lm.supported_params, lm.supports_response_schema
        key = (*key, *can, adapter.use_native_function_calling)
    if key not in prompt.templates:
        if len(prompt.templates) >= _MOST:
            prompt.templates.clear()
        given = dict(options)
        if isinstance(adapter, dspy.JSONAdapter):
            adapter._prepare_response_format(lm, given, signature)
        prompt.templates[key] = template_of(lm, given, prompt.system)
    return prompt.templates[key]


def _last(content: str | None) -> tuple[Any, ...] | None:
    """The message that asks."""
    if content is None:
        return None
    row = expanded({"role": "user", "content": content})
    if type(row["content"]) is str and is_sendable(content):
        return (text_message("user", content),)
    return as_messages([row])


def _answers(
    adapter: Any, fields: Fields, signature: Any, outputs: Any, lm: Any, options: Any
) -> Any:
    try:
        return adapter._call_postprocess(fields, fields, outputs, lm, options)
    except AdapterParseError:  # again, for the error that names the signature
        return adapter._call_postprocess(signature, signature, outputs, lm, options)


def _instead(adapter: Any) -> Any:
    """The adapter that asks again when an answer cannot be read."""
    if isinstance(adapter, dspy.JSONAdapter) or not adapter.use_json_adapter_fallback:
        return None
    return adapter._make_json_adapter_fallback()
