"""What the oldest supported Python gets wrong and newer ones do not, so that types and lint tell nobody."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from scripts.rooms import nodes, syntax
from tests import ROOT

FOLDERS = ("nat_traversal", "lab", "topologies", "scripts", "scoreboard", "examples", "tests")
USES_EXPRESSIONS = re.compile(r"^\s*(?:import|from) re\b", re.MULTILINE)
POSSESSIVE_GROUP = re.compile(r"\)(?:[*+?]|\{\d*,?\d*\})\+")


def texts() -> Iterator[tuple[str, str]]:
    """Every text in the code, with its place."""
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            code = path.read_text(encoding="utf-8")
            if not USES_EXPRESSIONS.search(code):
                continue  # reading every file as code takes seconds
            for node in nodes(syntax(path)):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", node.value


def test_no_expression_has_a_possessive_group() -> None:
    """Before 3.11.5 Python ends one too early, if what is in it can match in more ways than one (gh-106052)."""
    assert POSSESSIVE_GROUP.search(f"(?: a | bc {')'}*+ d")
    found = [where for where, text in texts() if POSSESSIVE_GROUP.search(text)]
    assert found == []
