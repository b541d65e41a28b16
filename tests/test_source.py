"""The text of code and its tree, whatever other threads parse meanwhile."""

from __future__ import annotations

import ast
import threading

import pytest

from compilm.source import text_of, tree_of


class Here:
    def own(self) -> int:
        return 1


def test_the_text_of_a_method_has_no_margin() -> None:
    assert text_of(Here.own) == "def own(self) -> int:\n    return 1\n"


def test_what_was_built_by_exec_has_no_text() -> None:
    built: dict[str, object] = {}
    exec("def f(): pass", built)
    assert text_of(built["f"]) == ""


def test_a_text_without_a_tree_is_a_syntax_error() -> None:
    with pytest.raises(SyntaxError):
        tree_of("def")


def test_a_parse_that_another_thread_disturbed_is_made_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parse, disturbed = ast.parse, [3]

    def disturbing(text: str) -> ast.Module:
        if disturbed[0]:
            disturbed[0] -= 1
            raise SystemError("AST constructor recursion depth mismatch (before=1, after=2)")
        return parse(text)

    monkeypatch.setattr(ast, "parse", disturbing)
    assert ast.unparse(tree_of("a")) == "a"
    disturbed[0] = 100
    with pytest.raises(SystemError):
        tree_of("a")


def test_threads_that_parse_at_one_time_get_their_own_trees() -> None:
    text = "\n".join(f"x{n} = [{n}, ({n} + {n})]" for n in range(500))
    found: list[str] = []

    def work() -> None:
        for _ in range(5):
            found.append(ast.dump(tree_of(text)))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 20
    assert set(found) == {ast.dump(ast.parse(text))}
