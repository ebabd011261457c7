"""What becomes of a command when its output cannot be shown: files and exit status stay what they were."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest

from natlab.cli.run import RunStatus
from natlab.evidence.result import Report
from natlab.report.files import write_report
from tests import ROOT
from tests.lab import nursery
from tests.unit.natlab.cells import cell

_ASCII = {
    "LC_ALL": "C",
    "PYTHONUTF8": "0",
    "PYTHONCOERCECLOCALE": "0",
    "PYTHONIOENCODING": "ascii:strict",
}
_GONE, _KEPT = "a pipe whose reader has gone", "a file"
_PAIR = "run --nat-a none --nat-b none"
_ALONE = f"{_PAIR} --report {{1}}"
_REDIRECTIONS = {
    "| true": (os.devnull, _GONE, _KEPT),
    "<&- >&- 2>&-": (None, None, None),
    "2>&1 | true": (os.devnull, _GONE, _GONE),
    ">&-": (os.devnull, None, _KEPT),
    "2>&-": (os.devnull, _KEPT, None),
    "2>/dev/full": (os.devnull, _KEPT, "/dev/full"),
    ">/dev/full": (os.devnull, "/dev/full", _KEPT),
}
"""What a shell makes of them; None: closed."""
_COLD = "rules symmetric"
"""Of this all is proven where Python starts anew, by a shell. The others end alike, and start in a tenth of the time."""
_FULL = "error: cannot write the output: No space left on device"


def _lab(arguments: str, redirection: str) -> tuple[int, list[str]]:
    """The exit status of the lab itself and lines of stderr. It starts warm, unless it is `_COLD`."""
    if arguments.startswith(_COLD):
        status, _, words = _cold_lab(arguments, redirection)
        return status, words
    with ExitStack() as stack:
        err = stack.enter_context(tempfile.TemporaryFile())
        files: list[int | None] = []
        for place in _REDIRECTIONS[redirection]:
            if place == _GONE:
                read, write = os.pipe()
                os.close(read)
                files.append(write)
            elif place == _KEPT:
                files.append(os.dup(err.fileno()))
            else:
                files.append(None if place is None else os.open(place, os.O_RDWR))
        with nursery.command(["lab", *shlex.split(arguments)], files) as begun:
            for file in files:
                if file is not None:
                    os.close(file)
            status = int(begun.recv(16))
        err.seek(0)
        return status, err.read().decode().splitlines()


def _cold_lab(
    arguments: str, redirection: str = "", **environment: str
) -> tuple[int, list[str], list[str]]:
    """The exit status of the lab itself, whatever it is piped into; lines of stdout and of stderr."""
    lab = shlex.join([sys.executable, "-m", "lab"])
    done = subprocess.run(
        ["bash", "-c", f"{lab} {arguments} {redirection}; exit ${{PIPESTATUS[0]}}"],
        cwd=ROOT,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=60,
    )
    out, err = (text.decode(errors="replace").splitlines() for text in (done.stdout, done.stderr))
    return done.returncode, out, err


@pytest.fixture
def filled(arguments: str, tmp_path: Path) -> str:
    """The test's arguments with a report for {0} and a new directory for {1}."""
    report = tmp_path / "report.json"
    write_report(Report({"nat_traversal": "of a test"}, (cell(),)), report)
    return arguments.format(report, tmp_path / "run")


def test_a_matrix_whose_reader_goes_away_writes_its_report_and_keeps_its_verdict(
    tmp_path: Path,
) -> None:
    words = ["lab", "matrix", "--nat", "none", "--report", str(tmp_path / "one")]
    read, write = os.pipe()
    empty = os.open(os.devnull, os.O_RDONLY)
    with nursery.command(words, [empty, write, write]) as begun:
        os.close(empty)
        os.close(write)
        with os.fdopen(read, "rb") as reader:
            assert b"none" in reader.readline()
        assert int(begun.recv(16)) == 0
    assert {path.name for path in (tmp_path / "one").iterdir()} >= {
        "index.html",
        "report.json",
        "junit.xml",
        "summary.md",
    }


@pytest.mark.parametrize(
    ("arguments", "verdict"),
    [
        ("compare {0} {0}", 0),
        ("rules symmetric", 0),
        ("rules no-such-nat", 2),
        ("doctor", 0),
        (_ALONE, 0),
        (f"{_PAIR} --report {{1}} --a \"sh -c 'echo one; echo two >&2; exit 7'\"", 7),
        ("topology two_nats", 0),
        ("topology two_nats --report {1} --on \"host_a=sh -c 'echo word; exit 7'\"", 7),
        ("conformance udp-blocked", 0),
        ("shell --lab 1 host_a", 2),
        ("--help", 0),
    ],
)
def test_the_status_is_the_verdict_whoever_reads(arguments: str, verdict: int, filled: str) -> None:
    # One that runs programs has every redirection, and so have a right and a wrong one that need no sandbox.
    has_all = arguments.startswith("rules") or "echo one" in arguments
    for redirection in [*_REDIRECTIONS][: 6 if has_all else 2]:
        assert _lab(filled, redirection)[0] == verdict, redirection


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ("rules symmetric", 3),
        ("compare {0} {0}", 3),
        ("--help", 3),
        (f"{_PAIR} --report {{1}} --a 'echo word'", RunStatus.LAB_FAILED),
        (f"{_PAIR} --report {{1}} --a \"sh -c 'echo word; exit 7'\"", 7),
    ],
)
def test_a_full_disk_is_told_and_is_no_success(arguments: str, status: int, filled: str) -> None:
    found, words = _lab(filled, ">/dev/full")
    assert (found, [line for line in words if line.startswith("error")]) == (status, [_FULL])


def test_octets_are_kept_as_they_came_and_shown_as_the_locale_can(tmp_path: Path) -> None:
    program = r"sh -c 'printf \"caf\\351 \\303\\227\\n\"; echo after; exit 3'"
    command = f'{_PAIR} --report {tmp_path} --a "{program}"'
    status, shown, words = _cold_lab(command, **_ASCII)
    assert (status, shown) == (3, ["host_a | caf? x", "host_a | after"]), words
    assert (tmp_path / "host_a.stdout").read_bytes() == b"caf\xe9 \xc3\x97\nafter\n"


@pytest.mark.parametrize("command", ["doctor", "rules cgnat", "topology two_nats", "--help"])
def test_commands_work_in_a_locale_without_their_characters(command: str) -> None:
    status, shown, words = _cold_lab(command, **_ASCII)
    assert (status, words) == (0, [])
    assert shown
    assert [line for line in shown if not line.isascii()] == []


def test_a_report_has_names_that_are_no_text(tmp_path: Path) -> None:
    directory = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")
    quoted = f"\"$(printf '{tmp_path}/caf\\351')\""
    status, shown, words = _cold_lab(f"matrix --nat none --report {quoted}", **_ASCII)
    assert status == 0, words
    assert "none x none: connected in round 1" in words[0]
    assert "caf" in (Path(directory) / "index.html").read_text(encoding="utf-8")
    assert shown[-1].endswith("/caf?/index.html")
