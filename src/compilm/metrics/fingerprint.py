"""A digest of what a metric does: its source, its helpers', and the plain values it closes over.

Equal code with equal values gives an equal digest in every process. State that the code itself
changes while it runs (a counter, a list of what was seen) is left out: it is not what the metric
does, and it would make every run a different metric.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType, MethodType
from typing import Any, Final

from .. import canonical
from ..source import text_of, tree_of

__all__ = ["fingerprint_of"]

_CHANGING_CALLS: Final = frozenset(
    {"add", "append", "clear", "discard", "extend", "insert", "pop", "popitem", "remove"}
    | {"setdefault", "update"}
)
_RECORDS: Final = frozenset(("callbacks", "history"))
_MAKERS: Final = frozenset(("__init__", "__post_init__", "__new__"))


def fingerprint_of(fn: Callable[..., Any]) -> str:
    """The digest of what `fn` does, never of where it lies in memory.

    >>> fingerprint_of(lambda a, b: a == b) == fingerprint_of(lambda a, b: a != b)
    False
    """
    return canonical.digest(_Description(_home(fn)).of(fn))


class _Description:
    """One metric described as plain data.

    `home` is its package: code from there is described, what comes from elsewhere is known by
    its type. `seen` holds what was described (and so keeps its id taken) for code that refers to
    itself; `changed` gathers the names that the code changes while it runs.
    """

    def __init__(self, home: str) -> None:
        self.home = home
        self.seen: dict[int, Any] = {}
        self.changed: set[str] = set()

    def of(self, value: Any) -> Any:
        if _is_constant(value):
            return [type(value).__name__, repr(value)]
        if id(value) in self.seen:
            return ["again", getattr(value, "__qualname__", type(value).__qualname__)]
        self.seen[id(value)] = value
        if type(value) in (list, tuple):
            return [type(value).__name__, *map(self.of, value)]
        if type(value) in (set, frozenset):
            return [type(value).__name__, *sorted(canonical.dumps(self.of(one)) for one in value)]
        if type(value) is dict:
            pairs = [[self.of(key), self.of(item)] for key, item in value.items()]
            return ["dict", *sorted(pairs, key=canonical.dumps)]
        return self._code_of(value)

    def _code_of(self, value: Any) -> Any:
        match value:
            case functools.partial():
                return ["partial", *map(self.of, (value.func, value.args, dict(value.keywords)))]
            case MethodType():
                return ["method", value.__func__.__qualname__, self.of(value.__self__)]
            case FunctionType():
                return self._function(value)
            case type():
                return ["class", *_class_texts(value)]
        known = getattr(value, "fingerprint", None)
        if isinstance(known, str):
            return ["known", known]
        return self._instance(value)

    def _function(self, fn: FunctionType) -> Any:
        """A function: its text, its defaults, the values it closes over, the helpers it calls."""
        text = text_of(fn.__code__)
        self.changed |= _changed_names(text)
        free = zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True)
        values = {name: cell.cell_contents for name, cell in free if _is_filled(cell)}
        values |= {
            name: fn.__globals__[name]
            for name in sorted(set(_names(fn.__code__)))
            if name in fn.__globals__ and _is_part(fn.__globals__[name], fn.__module__)
        }
        return {
            "function": fn.__qualname__,
            "text": text or _bytecode(fn.__code__),
            "lambda": _bytecode(fn.__code__) if fn.__name__ == "<lambda>" else None,
            "defaults": self.of([fn.__defaults__, fn.__kwdefaults__]),
            "uses": self._settings(values),
        }

    def _instance(self, value: Any) -> Any:
        """An object: its class and the settings that no method changes, if it comes from home."""
        kind = type(value)
        program = _program_state(value)
        if _package(kind) != self.home:
            return ["object", kind.__qualname__, program]
        texts = _class_texts(kind)
        self.changed = self.changed.union(*map(_changed_names, texts))
        return {"class": texts, "settings": self._settings(_state(value)), "program": program}

    def _settings(self, values: dict[str, Any]) -> dict[str, Any]:
        return {
            name: self.of(value)
            for name, value in sorted(values.items())
            if name not in self.changed
        }


def _home(fn: Any) -> str:
    while isinstance(fn, functools.partial):
        fn = fn.func
    owner = fn.__self__ if isinstance(fn, MethodType) else fn
    return _package(owner if isinstance(owner, (FunctionType, type)) else type(owner))


def _package(code: Any) -> str:
    return str(code.__module__).partition(".")[0]


def _is_constant(value: Any) -> bool:
    return value is None or type(value) in (bool, int, float, str, bytes)


def _state(value: Any) -> dict[str, Any]:
    """The attributes of an object, but for the records that DSPy keeps in every module."""
    slots = [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())]
    held = {name: getattr(value, name) for name in slots if hasattr(value, name)}
    held |= getattr(value, "__dict__", {})
    return {name: item for name, item in held.items() if name not in _RECORDS}


def _program_state(value: Any) -> Any:
    """What DSPy itself saves of its modules and LMs: instructions, demonstrations, model."""
    if not (hasattr(type(value), "forward") and hasattr(type(value), "dump_state")):
        return None
    try:
        return canonical.plain(value.dump_state())
    except Exception:  # border: the user's module, which may dump anything or nothing
        return None


def _class_texts(kind: type) -> list[str]:
    """The name of a class and its text, with that of its bases from the same package."""
    own = [one for one in kind.__mro__ if _package(one) == _package(kind)]
    return [kind.__qualname__, *(text for one in own if (text := text_of(one)))]


def _bytecode(code: CodeType) -> list[Any]:
    """Compiled code as data; constants in a fixed order, because a set's is not."""
    constants = [
        _bytecode(one) if isinstance(one, CodeType) else _Description("").of(one)
        for one in code.co_consts
    ]
    return [code.co_name, code.co_code.hex(), constants, list(code.co_names)]


def _names(code: CodeType) -> Iterator[str]:
    """The global names that code and the functions inside it refer to."""
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _names(inner)


def _is_part(value: Any, module: str) -> bool:
    """True for a global that belongs to the metric: a helper beside it, or a plain constant."""
    if isinstance(value, (FunctionType, type)):
        return value.__module__ == module
    return _is_constant(value)


def _is_filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:  # not assigned yet
        return False
    return True


def _changed_names(text: str) -> set[str]:
    """The variables and attributes that code changes after it was set up: state, not settings."""
    try:
        tree = tree_of(text)
    except SyntaxError:  # a lambda's line, cut out of a longer expression
        return set()
    found: set[str] = set()
    for node in _after_setup(tree):
        match node:
            case ast.Nonlocal(names=names) | ast.Global(names=names):
                found.update(names)
            case ast.Attribute(attr=name, ctx=ast.Store() | ast.Del()):
                found.add(name)
            case ast.Subscript(value=target, ctx=ast.Store() | ast.Del()):
                found.update(_last_name(target))
            case ast.Call(func=ast.Attribute(value=target, attr=name)) if name in _CHANGING_CALLS:
                found.update(_last_name(target))
    return found


def _after_setup(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if not (isinstance(node, ast.FunctionDef) and node.name in _MAKERS):
            yield node
            yield from _after_setup(node)


def _last_name(target: ast.expr) -> set[str]:
    match target:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return {name}
    return set()
