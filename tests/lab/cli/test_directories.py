"""Whose files a report's directory holds after a second run of any command into it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.lab import commands

_COMMANDS = {
    "matrix": (("matrix", "--nat", "none"), 3),
    "cell": (("run", "--nat-a", "none", "--nat-b", "none"), 125),
    "run": (("run", "--nat-a", "none", "--nat-b", "none", "--a", "echo word"), 125),
    "topology": (("topology", "star,peers=2", "--on", "host_1=echo word"), 125),
}


def _lab(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return commands.lab(*arguments, "--report", directory)


def _files(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}


@pytest.mark.timeout(120)
def test_a_second_run_leaves_only_its_own_files(tmp_path: Path) -> None:
    first = tmp_path / "first"
    own = ("--a", "sh -c 'echo more >$LAB_DIR/extra'", "--on", "nat_a=true")
    done = _lab(first, "run", "--nat-a", "none", "--nat-b", "none", *own)
    assert done.returncode == 0, done.stderr
    assert {"nat_a.stdout", "extra"} <= _files(first)
    for second, (arguments, _) in _COMMANDS.items():
        used, fresh = tmp_path / f"used by {second}", tmp_path / f"fresh for {second}"
        shutil.copytree(first, used)
        for directory in (used, fresh):
            done = _lab(directory, *arguments)
            assert done.returncode == 0, done.stderr
        assert _files(used) == _files(fresh), second


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
