"""A program by its name: `package.module:Attr` or `path/to/file.py:Attr`, built with its arguments.

Nothing here is called with text from an artifact unless the application has allowed it.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any

import dspy

from .. import canonical
from ..errors import ProgramError
from ..source import text_of
from .predictors import modules
from .retrieving import own_class

__all__ = ["build", "locate", "source_fingerprint"]


def locate(reference: str, base: str | Path = ".") -> Any:
    """The object that a reference names; its module is imported, which runs its code.

    While it is imported, `base` and `base/src` (and the file's own folder, for a file) stand first
    on `sys.path`. A file becomes a module of a name made from its path: the same file is the same
    module, so its classes can be pickled.

    Raises:
        ProgramError: no such module, file or attribute, or an error of the module's own code.

    >>> locate("dspy:Predict").__name__
    'Predict'
    """
    place, colon, attribute = reference.rpartition(":")
    if not (place and colon and attribute):
        raise ProgramError(
            f"{reference!r} does not name a program: write 'package.module:Attr' or "
            "'path/to/file.py:Attr'"
        )
    base = Path(base).resolve()
    if place.endswith(".py"):
        module = _from_file((base / place).resolve(), reference, base)
    else:
        module = _from_name(place, reference, base)
    found: Any = module
    for name in attribute.split("."):
        if not hasattr(found, name):
            raise ProgramError(f"{reference!r}: {place} has no {name!r}{_meant(name, found)}")
        found = getattr(found, name)
    return found


def build(
    target: Any, args: Mapping[str, Any] | None = None, *, base: str | Path = "."
) -> dspy.Module:
    """The program that a class, a factory, an instance, or a reference to one of them gives.

    A text is looked up by `locate`, from `base`. Arguments go by keyword.

    Raises:
        ProgramError: the result is no `dspy.Module`; or with the constructor's error as its cause.

    >>> build(dspy.Predict, {"signature": "question -> answer"}).signature.signature
    'question -> answer'
    """
    args = dict(args or {})
    target = locate(target, base) if isinstance(target, str) else target
    title = getattr(target, "__qualname__", type(target).__name__)
    if isinstance(target, dspy.Module):
        if args:
            raise ProgramError(
                f"{title} is already built, so it takes no arguments ({', '.join(args)}): give the "
                "class, or leave the arguments out"
            )
        return target
    if not callable(target):
        raise ProgramError(
            f"{type(target).__name__!r} is not a program: give a dspy.Module, its class, a "
            "function that makes one, or the name of one of these"
        )
    program = _called(target, title, args)
    if not isinstance(program, dspy.Module):
        raise ProgramError(
            f"{title} gave a {type(program).__name__}, which is not a dspy.Module: derive the "
            "class from dspy.Module, or return one"
        )
    return program


def source_fingerprint(program: dspy.Module) -> str:
    """A digest of the source of every class the program is made of; DSPy's own are left out.

    A class without source at hand (made in a REPL, compiled) counts by its name. A module that
    runs code it was handed tells it as `__compilm_sources__`, a tuple of functions and classes.

    >>> source_fingerprint(dspy.Predict("a -> b")) == source_fingerprint(dspy.Predict("c -> d"))
    True
    """
    classes = {
        cls
        for module in modules(program).values()
        for cls in own_class(module).__mro__
        if cls.__module__.partition(".")[0] not in ("dspy", "builtins")
    }
    handed = {
        inspect.unwrap(each)
        for module in modules(program).values()
        for each in getattr(module, "__compilm_sources__", ())
    }
    return canonical.digest(sorted([_name(one), _source(one)] for one in classes | handed))


def _name(one: Any) -> str:
    return str(getattr(one, "__qualname__", type(one).__qualname__))


def _source(one: Any) -> str:
    own = inspect.isroutine(one) or inspect.isclass(one)
    return text_of(one if own else type(one))


def _called(target: Callable[..., Any], title: str, args: dict[str, Any]) -> Any:
    try:
        return target(**args)
    except Exception as error:  # border: a constructor is the user's code
        given = ", ".join(args) or "none"
        raise ProgramError(
            f"{title} could not be built with the arguments given ({given}): "
            f"{type(error).__name__}: {error}"
        ) from error


def _from_name(name: str, reference: str, base: Path) -> ModuleType:
    with _importable(base, base / "src"):
        try:
            return importlib.import_module(name)
        except Exception as error:  # border: importing runs the user's code
            raise _failed(reference, error) from error


def _from_file(file: Path, reference: str, base: Path) -> ModuleType:
    name = f"compilm_program_{file.stem}_{canonical.short(canonical.text_digest(str(file)))}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    if not file.is_file() or spec is None or spec.loader is None:
        raise ProgramError(f"{reference!r}: there is no file {file}")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    with _importable(base, base / "src", file.parent):
        try:
            spec.loader.exec_module(module)
        except Exception as error:  # border: importing runs the user's code
            del sys.modules[name]
            raise _failed(reference, error) from error
    return module


def _failed(reference: str, error: Exception) -> ProgramError:
    what = f"{type(error).__name__}: {error}"
    if isinstance(error, ModuleNotFoundError):
        what += " (is it installed, and is this the right directory?)"
    return ProgramError(f"{reference!r} cannot be imported: {what}")


@contextmanager
def _importable(*folders: Path) -> Iterator[None]:
    before = list(sys.path)
    sys.path[:0] = [str(folder) for folder in folders]
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = before


def _meant(name: str, holder: Any) -> str:
    public = [each for each in dir(holder) if not each.startswith("_")]
    close = get_close_matches(name, public, n=3)
    if close:
        return f"; is {' or '.join(map(repr, close))} meant?"
    programs = [each for each in public if _is_program(getattr(holder, each))]
    return f"; its programs are {', '.join(programs)}" if programs else ""


def _is_program(value: Any) -> bool:
    return isinstance(value, dspy.Module) or (
        isinstance(value, type) and issubclass(value, dspy.Module)
    )
