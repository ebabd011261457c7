"""Habits that keep the lab from hanging and from depending on a locale, read from the source."""

from __future__ import annotations

import ast
from functools import cache

from scripts.rooms import nodes, syntax
from tests import ROOT

_LAB = ROOT / "lab" / "natlab"


@cache
def _calls() -> list[tuple[str, str, ast.Call]]:
    """Each call of the lab: its module, what is called, and the call."""
    return [
        (str(path.relative_to(_LAB)), ast.unparse(node.func), node)
        for path in sorted(_LAB.rglob("*.py"))
        for node in nodes(syntax(path))
        if isinstance(node, ast.Call)
    ]


def _named(call: ast.Call) -> set[str]:
    return {keyword.arg for keyword in call.keywords if keyword.arg}


def test_text_has_an_encoding_that_is_not_the_locale_s() -> None:
    for path, name, call in _calls():
        last = name.rpartition(".")[2]
        if last in {"read_text", "write_text"}:
            positional = len(call.args) > (last == "write_text")
            assert positional or "encoding" in _named(call), f"{path}:{call.lineno}"
        if name.startswith("subprocess."):
            assert not _named(call) & {"text", "universal_newlines"}, f"{path}:{call.lineno}"
            assert ("encoding" in _named(call)) == ("errors" in _named(call)), (
                f"{path}:{call.lineno}: octets that are no UTF-8 are to be replaced"
            )


def test_every_thread_is_one_whose_exceptions_are_heard() -> None:
    """Of a pool's threads the futures tell them; of scapy's sniffer `join` does."""
    threads = {"Thread", "Timer"}
    made = [(path, name) for path, name, _ in _calls() if name.rpartition(".")[2] in threads]
    assert made == []
