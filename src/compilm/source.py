"""The text of code and its syntax tree, as Python gives them, whatever other threads parse."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable
from tokenize import TokenError
from typing import Any, Final, TypeVar

__all__ = ["text_of", "tree_of"]

T = TypeVar("T")

_TRIES: Final = 10


def text_of(code: Any) -> str:
    """The source of a function, class or code object, without its margin; "" where there is none.

    >>> text_of(text_of).splitlines()[0], text_of(len)
    ('def text_of(code: Any) -> str:', '')
    """
    try:
        return textwrap.dedent(_alone(lambda: inspect.getsource(code)))
    except (OSError, TypeError, IndexError, SyntaxError, ValueError, TokenError):
        return ""  # typed at a prompt, built by exec, or changed since


def tree_of(text: str) -> ast.Module:
    """The syntax tree of a text; `SyntaxError` for one that has none.

    >>> ast.unparse(tree_of("a+b"))
    'a + b'
    """
    return _alone(lambda: ast.parse(text))


def _alone(parse: Callable[[], T]) -> T:
    """What `parse` gives when no other thread parses between its steps.

    Up to Python 3.11.7 and 3.12.0 they count their depth in one place, and one that was counted
    wrong is a `SystemError` (github.com/python/cpython/issues/106905).
    """
    for _ in range(_TRIES - 1):
        try:
            return parse()
        except SystemError:
            continue
    return parse()
