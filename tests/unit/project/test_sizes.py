"""A module has one job, and 400 lines are enough for it."""

from __future__ import annotations

from pathlib import Path

from tests import ROOT

MOST_LINES = 400
FOLDERS = (
    "nat_traversal",
    "lab",
    "topologies",
    "scripts",
    "scoreboard",
    "deploy",
    "examples",
    "tests",
)
ENDINGS = {".py", ".sh", ".js", ".css"}


def modules() -> list[Path]:
    """Those of this project: nothing that is installed or generated lies in these folders."""
    within = (path for folder in FOLDERS for path in (ROOT / folder).rglob("*"))
    found = [path for path in (*within, *ROOT.glob("*.py")) if path.suffix in ENDINGS]
    return [path for path in found if "node_modules" not in path.parts]


def test_no_module_has_more_lines_than_one_job_takes() -> None:
    """Cut a longer one where a part of it has a job of its own, and name the new module after that job."""
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in modules()}
    assert len(lines) > 1000
    longer = {str(path.relative_to(ROOT)): n for path, n in lines.items() if n > MOST_LINES}
    assert longer == {}
