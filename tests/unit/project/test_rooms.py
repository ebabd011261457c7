"""`scripts/rooms.py` counts rooms, arrows and floors of packages of which the answer is known."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from scripts.rooms import cycles, floors, nodes, rooms, syntax
from tests import ROOT


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """cli -> core -> words and errors, core in two files; `cli` imports `core` twice, others' names are not counted."""
    files = {
        "__init__.py": "from nat_traversal.cli import main",
        "errors.py": "import os",
        "words/__init__.py": "",
        "words/ids.py": "from nat_traversal import errors",
        "core/__init__.py": "",
        "core/one.py": "import nat_traversal.words.ids\nfrom nat_traversal.core import two",
        "core/two.py": "def later():\n    from nat_traversal.errors import Oops",
        "cli.py": "from nat_traversal.core.one import x\nfrom nat_traversal.core import two\nimport other.words",
    }
    folder = tmp_path / "nat_traversal"
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_an_arrow_is_drawn_once_and_only_between_rooms(package: Path) -> None:
    graph = rooms(package)
    assert graph == {
        "errors": set(),
        "words": {"errors"},
        "core": {"words", "errors"},
        "cli": {"core"},
    }
    assert floors(graph) == {"errors": 0, "words": 1, "core": 2, "cli": 3}
    assert cycles(graph) == []


def test_rooms_on_a_cycle_are_named_and_have_no_floor(package: Path) -> None:
    (package / "errors.py").write_text("from nat_traversal.words import ids")
    graph = rooms(package)
    assert cycles(graph) == ["errors", "words"]
    assert floors(graph) == {}


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "scripts" / "rooms.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_command_prints_a_line_for_each_package(package: Path) -> None:
    done = run("--arrows", package.parent)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "nat_traversal: 4 rooms, 4 arrows, 4 floors, no cycle",
        "   0 errors: ",
        "   1 words: errors",
        "   2 core: errors, words",
        "   3 cli: core",
    ]


def test_where_no_package_is_it_says_so_in_one_line(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 2
    assert done.stderr == f"error: no package in {tmp_path}: name a checkout\n"


def test_nodes_are_all_that_a_walk_finds() -> None:
    tree = syntax(Path(__file__))
    walked = [node for node in ast.walk(tree) if not isinstance(node, ast.expr_context)]
    assert Counter(nodes(tree)) == Counter(walked)
