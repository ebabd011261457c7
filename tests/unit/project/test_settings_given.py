"""A timing or a limit is a setting or an argument: no test puts another value into a constant of the package."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from scripts.rooms import nodes, syntax
from tests import ROOT

NO_TIMING_OR_LIMIT = {
    "nat_traversal.aio.interfaces.LINUX",
    "nat_traversal.cli.local._SYSTEM",
    "nat_traversal.wire.forms._HEX",
    "nat_traversal.wire.turn.LIBRARY",
}
"""A system, a folder, a pattern that a test breaks, the name of a package."""
_MAY_PATCH = re.compile(r"setattr|patch|\.(_?[A-Z][A-Z0-9_]+) = ")
"""To read each file's tree takes a second."""
_CONSTANT = re.compile(r"_?[A-Z][A-Z0-9_]*")
_IN_WORDS = re.compile(r"\b\w+\.(_?[A-Z][A-Z0-9_]+) = ")
"""In a program that a test writes for another process."""


def patched(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of each constant of the package that this code sets; ``?`` where the name is not in it."""
    imported = _imports(tree)
    for node in nodes(tree):
        match node:
            case ast.Call(
                func=ast.Name("setattr") | ast.Attribute(attr="setattr" | "object"),
                args=[where, ast.Constant(str(name)), *_],
            ) if _CONSTANT.fullmatch(name):
                found = f"{_origin(where, imported)}.{name}"
            case ast.Call(
                func=ast.Name("setattr") | ast.Attribute(attr="setattr"),
                args=[where, ast.Name() | ast.Attribute() | ast.JoinedStr(), _],
            ):
                found = f"{_origin(where, imported)}.?"
            case ast.Call(
                func=ast.Name("patch") | ast.Attribute(attr="setattr" | "patch"),
                args=[ast.Constant(str(found)), *_],
            ) if _CONSTANT.fullmatch(found.rpartition(".")[2]):
                pass
            case ast.Attribute(value=ast.Name() as where, attr=name, ctx=ast.Store()) if (
                _CONSTANT.fullmatch(name)
            ):
                found = f"{_origin(where, imported)}.{name}"
            case ast.Constant(str(words)) if "import" in words and (it := _IN_WORDS.search(words)):
                found = f"nat_traversal.?.{it[1]}"
            case _:
                continue
        if found.startswith("nat_traversal.") and found not in NO_TIMING_OR_LIMIT:
            yield node.lineno, found


def _imports(tree: ast.AST) -> dict[str, str]:
    """What each imported name stands for."""
    found: dict[str, str] = {}
    for node in nodes(tree):
        match node:
            case ast.ImportFrom(module=str(module), names=names):
                found |= {each.asname or each.name: f"{module}.{each.name}" for each in names}
            case ast.Import(names=names):
                found |= {each.asname: each.name for each in names if each.asname}
    return found


def _origin(where: ast.expr, imported: Mapping[str, str]) -> str:
    """What is patched. A name that is not imported may be any module."""
    words = ast.unparse(where).split(".")
    builtin = {"self", "cls", "sys", "os", "nat_traversal"}
    first = words[0] if words[0] in builtin else imported.get(words[0], "nat_traversal.?")
    return ".".join([first, *words[1:]])


def test_no_test_patches_a_timing_or_a_limit() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {name} is patched: make it a setting, or an argument"
        for path in sorted((ROOT / "tests").rglob("*.py"))
        if path != Path(__file__) and _MAY_PATCH.search(path.read_text(encoding="utf-8"))
        for line, name in sorted(patched(syntax(path)))
    ]
    assert not found, "\n".join(found)


def test_every_form_of_a_patch_is_found() -> None:
    code = """
from nat_traversal.aio import parked as it, turn
from natlab import other
monkeypatch.setattr(it, "MOST", 1)
monkeypatch.setattr("nat_traversal.aio.parked.MOST", 1)
setattr(turn.Turn, "_MOST", 1)
for module, name in (it, "MOST"), (turn, "MOST"):
    patch.setattr(module, name, 1)
mock.patch.object(it, "MOST", 1)
patch("nat_traversal.aio.parked.MOST", 1)
it.MOST = 1
Command.run(before="from nat_traversal.aio import parked; parked.MOST = 1")
other.MOST = self.MOST = 1
monkeypatch.setattr(other, "MOST", it.MOST)
monkeypatch.setattr(it, "most", 1)
"""
    assert [line for line, _ in sorted(patched(ast.parse(code)))] == [4, 5, 6, 8, 9, 10, 11, 12]
