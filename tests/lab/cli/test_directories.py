"""Whose files a report's directory holds after a second run of any command into it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests import ROOT

_COMMANDS = {
    "matrix": (("matrix", "--nat", "none"), 3),
    "cell": (("run", "--nat-a", "none", "--nat-b", "none"), 3),
    "run": (("run", "--nat-a", "none", "--nat-b", "none", "--a", "echo word"), 125),
    "topology": (("topology", "star,peers=2", "--on", "host_1=echo word"), 125),
}


def _lab(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lab", *arguments, "--report", str(directory)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )


def _files(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}


@pytest.mark.parametrize("second", _COMMANDS)
def test_a_second_run_leaves_only_its_own_files(second: str, tmp_path: Path) -> None:
    used, fresh = tmp_path / "used", tmp_path / "fresh"
    own = ("--a", "sh -c 'echo more >$LAB_DIR/extra'", "--on", "nat_a=true")
    first = _lab(used, "run", "--nat-a", "none", "--nat-b", "none", *own)
    assert first.returncode == 0, first.stderr
    assert {"nat_a.stdout", "extra"} <= _files(used)
    arguments = _COMMANDS[second][0]
    for directory in (used, fresh):
        done = _lab(directory, *arguments)
        assert done.returncode == 0, done.stderr
    assert _files(used) == _files(fresh)


@pytest.mark.parametrize("command", _COMMANDS)
def test_a_foreign_file_is_refused_in_one_line_and_kept(command: str, tmp_path: Path) -> None:
    (tmp_path / "capture.pcapng").write_text("mine", encoding="utf-8")
    arguments, status = _COMMANDS[command]
    done = _lab(tmp_path, *arguments)
    words = "holds capture.pcapng, which no earlier report has left there"
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr == f"error: {tmp_path} {words}: name another directory\n"
    assert _files(tmp_path) == {"capture.pcapng"}
    assert (tmp_path / "capture.pcapng").read_text(encoding="utf-8") == "mine"
