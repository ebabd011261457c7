#!/usr/bin/env python3
"""Counts rooms, arrows and floors of both packages' imports: `scripts/rooms.py [--arrows] [CHECKOUT]`.

A room is a folder of modules, or a module beside such folders. An arrow is "imports", drawn once for
each two rooms. A room's floor is the longest way down from it; rooms on a cycle have none. The
flat packages of before are counted by the same rule, so that two checkouts can be compared.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

Graph = Mapping[str, frozenset[str]]


@cache
def syntax(path: Path) -> ast.Module:
    """The file's tree, read once. Nobody may change it."""
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def nodes(tree: ast.AST) -> tuple[ast.AST, ...]:
    """The nodes that `ast.walk` finds from `tree` on, once, but for whether a name is read or written: in half of the time."""
    found = [tree]
    for node in found:
        for name in node._fields:
            inside = getattr(node, name, None)
            if isinstance(inside, list):
                found += [each for each in inside if isinstance(each, ast.AST)]
            elif isinstance(inside, ast.AST) and not isinstance(inside, ast.expr_context):
                found.append(inside)
    return tuple(found)


def statements(tree: ast.AST) -> Iterator[ast.AST]:
    """Every statement below `tree`, and what holds some. To walk their expressions as well takes five times as long."""
    for part in ("body", "orelse", "handlers", "finalbody", "cases"):
        inside = getattr(tree, part, ())
        for node in inside if isinstance(inside, list) else ():  # an expression has a body of one
            yield node
            yield from statements(node)


def imports(path: Path) -> Iterator[str]:
    """Every module that `path` imports, wherever in the file, with its full name."""
    for node in statements(syntax(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room_of(name: str, package: str) -> str | None:
    """The room of `package` that the dotted `name` is in; None for the package itself and others."""
    parts = name.split(".")
    return parts[1] if parts[0] == package and len(parts) > 1 else None


def rooms(folder: Path) -> Graph:
    """The rooms that each room of the package in `folder` imports; names that are no room are left out."""
    package = folder.name
    inside: dict[str, set[str]] = {}
    for path in sorted(folder.rglob("*.py")):
        first = path.relative_to(folder).parts[0].removesuffix(".py")
        if first in {"__init__", "__main__"}:
            continue
        found = {room_of(name, package) for name in imports(path)}
        inside.setdefault(first, set()).update(room for room in found if room and room != first)
    return {room: frozenset(others & inside.keys()) for room, others in inside.items()}


def cycles(graph: Graph) -> list[str]:
    """The rooms from which imports lead back to themselves."""

    def reaches(room: str) -> set[str]:
        seen: set[str] = set()
        ahead = list(graph[room])
        while ahead:
            here = ahead.pop()
            if here not in seen:
                seen.add(here)
                ahead += graph[here]
        return seen

    return sorted(room for room in graph if room in reaches(room))


def floors(graph: Graph) -> dict[str, int]:
    """Each room's floor, from 0. Rooms on a cycle, or above one, have none."""
    found: dict[str, int] = {}
    while ready := [r for r in graph if r not in found and graph[r] <= found.keys()]:
        found.update({r: 1 + max((found[other] for other in graph[r]), default=-1) for r in ready})
    return found


def main() -> int:
    """Print a line for each package."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--arrows", action="store_true", help="list the rooms, lowest floor first")
    parser.add_argument("checkout", nargs="?", type=Path, default=Path(__file__).parents[1])
    options = parser.parse_args()
    found = [
        options.checkout / name
        for name in ("nat_traversal", "lab/natlab", "lab", "topologies")
        if (options.checkout / name / "__init__.py").exists()
    ]
    if not found:
        print(f"error: no package in {options.checkout}: name a checkout", file=sys.stderr)
        return 2
    for folder in found:
        graph = rooms(folder)
        floor = floors(graph)
        loops = cycles(graph)
        print(
            f"{folder.name}: {len(graph)} rooms, {sum(map(len, graph.values()))} arrows, "
            f"{max(floor.values(), default=-1) + 1} floors, "
            + (f"on cycles: {', '.join(loops)}" if loops else "no cycle")
        )
        if options.arrows:
            for room in sorted(graph, key=lambda room: (floor.get(room, 99), room)):
                print(f"  {floor.get(room, '-')!s:>2} {room}: {', '.join(sorted(graph[room]))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
