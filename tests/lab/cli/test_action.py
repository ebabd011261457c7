"""The action's own step, as `action.yml` calls it: report, summary, exit status."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from tests import ROOT

ACTION = (ROOT / "action.yml").read_text(encoding="utf-8")


def _matrix(directory: Path, **inputs: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "scripts/action.sh", "matrix"],
        cwd=directory,
        env=os.environ | {"GITHUB_STEP_SUMMARY": str(directory / "summary")} | inputs,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def test_the_step_runs_the_program_and_adds_its_summary(tmp_path: Path) -> None:
    (tmp_path / "summary").write_text("before\n")
    done = _matrix(
        tmp_path,
        LAB_PROGRAM=str(ROOT / "examples/puncher.toml"),
        LAB_OPTIONS="--nat 'none'",
        LAB_REPORT="my report",
    )
    assert done.returncode == 0, done.stderr
    summary = (tmp_path / "summary").read_text()
    assert summary.startswith("before\n## NAT traversal lab")
    assert "1 of 1 pairs direct" in summary
    assert (tmp_path / "my report" / "index.html").exists()


def test_the_step_fails_as_the_matrix_does_and_takes_no_shell_s_words(tmp_path: Path) -> None:
    done = _matrix(tmp_path, LAB_OPTIONS="--nat $(touch pwned) ; touch pwned")
    assert done.returncode == 2
    assert not (tmp_path / "pwned").exists()
    assert not (tmp_path / "summary").exists()


def test_the_step_runs_nothing_where_its_options_cannot_be_read(tmp_path: Path) -> None:
    older = tmp_path / "nat-lab-report"
    older.mkdir()
    (older / "summary.md").write_text("an older run's")
    for options in ('--nat "none', "--nat none\\", "--nat no-such-nat"):
        done = _matrix(tmp_path, LAB_OPTIONS=options)
        assert done.returncode == 2
        assert done.stderr.startswith("error: ")
        assert list(older.iterdir()) == [older / "summary.md"]
        assert not (tmp_path / "summary").exists()


def test_every_input_reaches_the_script_by_the_environment() -> None:
    """An input that a `run` line contained would be the shell's to read."""
    lines = [line for line in ACTION.splitlines() if line.strip().startswith("run:")]
    assert lines
    assert not any("inputs" in line for line in lines)
    script = (ROOT / "scripts/action.sh").read_text(encoding="utf-8")
    for name in re.findall(r"^\s+(LAB_\w+):", ACTION, re.MULTILINE):
        assert f"{{{name}" in script
