"""Habits that keep the lab from hanging and from depending on a locale, read from the source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import ROOT

_LAB = ROOT / "lab" / "natlab"
_MODULES = sorted(_LAB.rglob("*.py"))


def _calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def _named(call: ast.Call) -> set[str]:
    return {keyword.arg for keyword in call.keywords if keyword.arg}


@pytest.mark.parametrize("path", _MODULES, ids=lambda path: str(path.relative_to(_LAB)))
def test_text_has_an_encoding_that_is_not_the_locale_s(path: Path) -> None:
    for name, call in _calls(path):
        last = name.rpartition(".")[2]
        if last in {"read_text", "write_text"}:
            positional = len(call.args) > (last == "write_text")
            assert positional or "encoding" in _named(call), f"{path}:{call.lineno}"
        if name.startswith("subprocess."):
            assert not _named(call) & {"text", "universal_newlines"}, f"{path}:{call.lineno}"
            assert ("encoding" in _named(call)) == ("errors" in _named(call)), (
                f"{path}:{call.lineno}: octets that are no UTF-8 are to be replaced"
            )


@pytest.mark.parametrize("path", _MODULES, ids=lambda path: str(path.relative_to(_LAB)))
def test_every_thread_is_one_whose_exceptions_are_heard(path: Path) -> None:
    """Of a pool's threads the futures tell them; of scapy's sniffer `join` does."""
    made = {name for name, _ in _calls(path) if name.rpartition(".")[2] in {"Thread", "Timer"}}
    assert made == set()
