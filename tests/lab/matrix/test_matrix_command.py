"""`lab matrix` as a user starts it: two at once, a killed one, Ctrl-C, no room."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

import pytest

from natlab.errors import LabError
from natlab.matrix.matrix import Plan, run_matrix
from natlab.report.files import JSON_FILE, read_report
from natlab.report.normal import normal_form
from natlab.sandbox import sandbox
from natlab.sandbox.zygote import Prepared
from tests import ROOT
from tests.lab import nursery

_MATRIX = (sys.executable, "-m", "lab", "matrix")
_TAG = "TEST_OF_THE_LAB"
_PAIRS = ("--nat-a", "port-restricted-cone", "--nat-b", "port-restricted-cone", "--nat-b", "none")


def _start(report: Path, tag: str, *options: str) -> subprocess.Popen[str]:
    """In a process group of its own, as a terminal has it; its processes are known by `tag`."""
    return subprocess.Popen(
        [*_MATRIX, "--report", str(report), *options],
        cwd=ROOT,
        env=os.environ | {_TAG: tag},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _start_warm(report: Path, *options: str) -> socket.socket:
    """The same with all modules read, as one of two at once: where its exit status comes."""
    streams = [os.open(os.devnull, os.O_RDWR) for _ in range(3)]
    try:
        return nursery.command(["lab", "matrix", "--report", str(report), *options], streams)
    finally:
        for each in streams:
            os.close(each)


def _processes(tag: str) -> set[str]:
    """What runs of the matrix that was started with `tag`, in whatever namespace."""
    wanted = f"{_TAG}={tag}".encode()
    found = set()
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if wanted in path.read_bytes().split(b"\0"):
                found.add(path.parent.name)
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return found


def _await(condition: bool, tag: str) -> set[str]:
    deadline = time.monotonic() + 20
    while bool(_processes(tag)) is not condition and time.monotonic() < deadline:
        time.sleep(0.01)
    return _processes(tag)


def _await_cell(report: Path, cell: str) -> None:
    """The programs of a cell run: the server has said that it listens."""
    said = report / cell / "server.stdout"
    deadline = time.monotonic() + 40
    while not (said.exists() and b"listening" in said.read_bytes()):
        assert time.monotonic() < deadline, f"no server in {said}"
        time.sleep(0.01)


def _outcomes(report: Path) -> dict[tuple[str, str], tuple[str, int, bool]]:
    cells = json.loads((report / JSON_FILE).read_text(encoding="utf-8"))["cells"]
    return {
        (cell["nat_a"], cell["nat_b"]): (cell["observed"], cell["round"], cell["ok"])
        for cell in cells
    }


def test_two_matrices_at_once_do_not_disturb_each_other_and_a_killed_one_leaves_nothing(
    tmp_path: Path,
) -> None:
    tags = [uuid4().hex for _ in range(2)]
    reports = [tmp_path / name for name in ("one", "killed", "other")]
    one = _start(reports[0], tags[0], *_PAIRS, "--jobs", "2")
    killed = _start(reports[1], tags[1], "--nat", "symmetric")
    _await_cell(reports[0], "port-restricted-cone--none")
    with _start_warm(reports[2], *_PAIRS, "--jobs", "2") as other:
        _await_cell(reports[1], "symmetric--symmetric")
        assert len(_processes(tags[1])) > 5
        killed.kill()
        killed.communicate()
        assert _await(False, tags[1]) == set()
        words = one.communicate(timeout=50)
        assert one.returncode == 0, words
        assert int(other.recv(16)) == 0
    assert _outcomes(reports[0]) == _outcomes(reports[2])
    assert set(_outcomes(reports[0]).values()) == {("connected", 1, True)}
    assert len(_outcomes(reports[0])) == 2
    first, second = (normal_form(read_report(report / JSON_FILE)) for report in reports[::2])
    assert first == second
    assert _await(False, tags[0]) == set()


@pytest.mark.parametrize("to_group", [True, False], ids=["ctrl-c", "kill -INT"])
def test_an_interrupted_matrix_is_one_line_and_leaves_nothing(
    to_group: bool, tmp_path: Path
) -> None:
    tag = uuid4().hex
    process = _start(tmp_path / "r", tag, "--nat", "symmetric")
    _await_cell(tmp_path / "r", "symmetric--symmetric")
    (os.killpg if to_group else os.kill)(process.pid, signal.SIGINT)
    _, words = process.communicate(timeout=30)
    assert (process.returncode, words) == (130, "error: interrupted: no report was written\n")
    assert _await(False, tag) == set()


@pytest.mark.parametrize("room", ["4k", "64k"])
def test_no_room_for_the_report_is_one_line(room: str, tmp_path: Path) -> None:
    status, words = sandbox.call(50, _without_room, tmp_path, room)
    *progress, last = words.splitlines()
    assert status == 3
    assert last == f"error: cannot write the report to {tmp_path}/r: No space left on device"
    assert not [line for line in progress if not line.startswith("none × none: ")]


def _without_room(directory: Path, room: str) -> tuple[int, str]:
    mount = ["mount", "-t", "tmpfs", "-o", f"size={room}", "tmpfs", str(directory)]
    subprocess.run(mount, check=True)
    words = [sys.executable, "-m", "lab", "matrix", "--report", str(directory / "r")]
    process = Prepared().become([*words, "--nat", "none"], None, {})
    assert process.stderr is not None
    with process.stderr as told:
        return process.wait(), told.read().decode()


def test_a_cell_without_room_is_broken_and_says_why(tmp_path: Path) -> None:
    (error,) = sandbox.call(50, _cell_without_room, tmp_path)
    assert error is not None
    assert "No space left on device" in error.splitlines()[0]


def _cell_without_room(directory: Path) -> list[str | None]:
    """The report's own files have no room either, but the cells are told before."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=24k", "tmpfs", str(directory)]
    subprocess.run(mount, check=True)
    errors: list[str | None] = []
    try:
        run_matrix(
            Plan([("none", "none")], 1, directory / "r"), lambda cell: errors.append(cell.error)
        )
    except LabError:
        return errors
    return [*errors, "the report had room"]
