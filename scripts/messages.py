"""Collects the texts that a client may print, from the code: `python -m scripts.messages` writes docs/messages.md."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from scripts.rooms import nodes, syntax

HOLE = "…"
"""Stands for a value that is known at run time only."""
PAGE = "docs/messages.md"

_REASONS_IN = ("client", "paths", "server", "pairing", "crypto", "machine")
_SENTENCES_OF_THEIR_OWN = {
    "path_status.py",  # docs/path-status.md has them
}
_NAMES = {"text", "reason", "end", "remedy"}
_CALLS = {"Breach", "Refusal", "Explanation", "PathLost", "ServerLost", "AttemptFailed"}
_CODES = {"ErrorCode", "Verdict", "RelayCode"}
_ERRORS = {
    "ArgumentTypeError",
    "ConnectionLostError",
    "KeyRefusedError",
    "LocalAddressError",
    "NameUnresolvedError",
    "TlsError",
    "UsageError",
    "_add",  # mistakes of a configuration file
    "problem",
}
_SHORTEST = 3
"""Words of a sentence: what is shorter is a part of one."""
_HOLES = f"{HOLE}-:;,() $"

_HEAD = """# Lines about wrong usage

The code makes this list: `python -m scripts.messages`. Each line names the mistake and the remedy. `…` stands for a value.
[Troubleshooting](troubleshooting.md) has all other lines.
"""
_PARTS = {
    "Options, variables and files": ("arguments", "cli", "settings.py", "access.py"),
    "Addresses, ids and services": ("wire", "client", "aio"),
    "Keys and TLS": ("crypto", "tls.py", "pairing"),
}


@cache
def reasons(repository: Path) -> frozenset[str]:
    """Every text that a machine gives as a reason, with holes."""
    package = repository / "nat_traversal"
    files = [file for room in _REASONS_IN for file in (package / room).rglob("*.py")]
    return frozenset(
        text
        for file in files
        if file.name not in _SENTENCES_OF_THEIR_OWN
        for node in nodes(syntax(file))
        for text in _reasons_in(node)
        if len(text.strip(_HOLES).split()) >= _SHORTEST
    )


def errors(package: Path, *parts: str) -> list[str]:
    """Every text of an error that these parts of the package raise for a user, with holes."""
    files = [file for part in parts for file in _files(package / part)]
    found = {
        text
        for file in files
        for node in nodes(syntax(file))
        if isinstance(node, ast.Call) and _name(node.func) in _ERRORS
        for argument in node.args
        for text in _texts(argument)
        if len(text.strip(_HOLES).split()) >= _SHORTEST
    }
    return sorted(found, key=lambda text: (text.strip(_HOLES).lower(), text))


def page(repository: Path) -> str:
    """The text of docs/messages.md."""
    lines = [_HEAD]
    for title, parts in _PARTS.items():
        lines += [f"## {title}", ""]
        lines += [f"- `{text}`" for text in errors(repository / "nat_traversal", *parts)]
        lines.append("")
    return "\n".join(lines)


def _files(part: Path) -> list[Path]:
    return [part] if part.suffix else sorted(part.rglob("*.py"))


def _reasons_in(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Assign(targets=[target], value=value) if _name(target) in _NAMES:
            yield from _texts(value)
        case ast.Return(value=ast.expr() as value):
            yield from _texts(value)
        case ast.Call() if _name(node.func) in _CALLS:
            for argument in node.args:
                yield from _texts(argument)
        case ast.Tuple(elts=elements) | ast.Call(args=elements):
            if any(isinstance(e, ast.Attribute) and _name(e.value) in _CODES for e in elements):
                for element in elements:
                    yield from _texts(element)


def _texts(node: ast.expr) -> Iterator[str]:
    """The sentences that an expression may become."""
    match node:
        case ast.Tuple(elts=elements) | ast.BoolOp(values=elements):
            for element in elements:
                yield from _texts(element)
        case ast.IfExp(body=body, orelse=otherwise):
            yield from _texts(body)
            yield from _texts(otherwise)
        case ast.Constant(value=str(text)) if " " in text:
            yield text
        case ast.JoinedStr(values=values):
            text = "".join(str(v.value) if isinstance(v, ast.Constant) else HOLE for v in values)
            if " " in text:
                yield text


def _name(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


if __name__ == "__main__":
    root = Path(__file__).parents[1]
    (root / PAGE).write_text(page(root))
