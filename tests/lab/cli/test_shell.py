"""`lab shell` from a terminal and from scripts, on standing labs and on new ones."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nat_traversal.errors import UsageError
from natlab.cli.shell import FoundLab, found_labs, holder_of
from natlab.sandbox import sandbox
from natlab.testbed.files import PROBES_FILE
from tests import ROOT
from tests.lab import commands

_LAB = (sys.executable, "-m", "lab")
# Runs what follows on a pseudo-terminal of its own, between our pipes.
_ON_A_TERMINAL = "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)"


def _nodes_of(pid: int) -> set[str]:
    return {name for lab in found_labs() if lab.pid == pid for name in lab.nodes}


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """`lab run --keep-open`, in what is another terminal for the test."""
    pair = ("--nat-a", "full-cone", "--nat-b", "symmetric")
    process = subprocess.Popen(
        [*_LAB, "run", *pair, "--a", "true", "--keep-open", "--report", str(tmp_path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        deadline = time.monotonic() + 30
        # Its nodes are there before their addresses; the probes come after both.
        while not (tmp_path / PROBES_FILE).exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        yield process
        process.communicate("exit\n", timeout=30)
        assert process.returncode == 0
        assert _nodes_of(process.pid) == set()
    finally:
        process.kill()
        process.wait()


def test_a_terminal_gets_a_prompt_with_job_control_on_a_lab_of_another_terminal(
    lab: subprocess.Popen[str],
) -> None:
    with subprocess.Popen(
        [
            *(sys.executable, "-c", _ON_A_TERMINAL),
            *(*_LAB, "shell", "--lab", str(lab.pid), "host_b"),
        ],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as terminal:
        assert terminal.stdin is not None
        assert terminal.stdout is not None
        seen = b""

        def read_until(wanted: bytes) -> None:
            nonlocal seen
            assert terminal.stdout is not None
            while wanted not in seen:
                more = os.read(terminal.stdout.fileno(), 4096)
                assert more, seen
                seen += more

        def type_in(text: bytes) -> None:
            assert terminal.stdin is not None
            terminal.stdin.write(text)
            terminal.stdin.flush()

        try:
            read_until(b"host_b:")
            type_in(b"ip -4 -br address show host_b-eth0; tty; echo $LAB_NODE $((6*7))\n")
            read_until(b"host_b 42")
            assert b"10.0.2.2/24" in seen
            assert b"/dev/pts/" in seen
            assert b"job control" not in seen
            # The job itself tells that it runs: bash has handed the terminal over.
            type_in(b"sh -c 'echo go$((1+1)); exec sleep 1000'\n")
            read_until(b"go2")
            seen = b""
            type_in(b"\x03")
            read_until(b"host_b:")  # what is typed before may be thrown away with the interrupt
            type_in(b"echo status $?.\n")
            read_until(b"status 130.")
            type_in(b"exit 7\n")
            assert terminal.wait(timeout=30) == 7
        finally:
            terminal.kill()


def _shell(*words: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    return commands.lab("shell", *words, typed=typed)


def test_one_command_runs_on_a_node_and_its_exit_status_comes_back(
    lab: subprocess.Popen[str],
) -> None:
    chosen = ("--lab", str(lab.pid))
    done = _shell(*chosen, "nat_a", "sh", "-c", "ip -br address; pwd; exit 3")
    assert done.returncode == 3, done.stderr
    assert "203.0.113.2/25" in done.stdout
    assert done.stdout.splitlines()[-1] == str(ROOT)
    assert _shell(*chosen, "server", typed="exit 4\n").returncode == 4
    assert f"{lab.pid} (" in _shell().stdout
    wrong = _shell(*chosen, "host_c")
    assert wrong.returncode == 2
    assert wrong.stderr.startswith(f"error: there is no node 'host_c' in lab {lab.pid}: ")


def test_a_new_lab_stands_as_long_as_its_shell() -> None:
    done = _shell(
        *("--nat-a", "none", "--nat-b", "symmetric", "host_a", "--"),
        *("sh", "-c", "ip -br address; ping -c 1 -W 10 192.0.2.2; exit 5"),
    )
    assert done.returncode == 5, done.stderr
    assert "203.0.113.130/25" in done.stdout
    assert "1 received" in done.stdout


def test_without_a_node_a_new_lab_gets_mininets_prompt() -> None:
    pair = ("--nat-a", "none", "--nat-b", "none")
    done = _shell(*pair, typed="host_b ping -c 1 -W 10 server\nexit\n")
    assert done.returncode == 0, done.stderr
    assert "1 received" in done.stdout + done.stderr


def _without_a_lab() -> tuple[int, str]:
    done = subprocess.run(
        [*_LAB, "shell", "host_a"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    return done.returncode, done.stderr


def test_where_no_lab_stands_it_says_how_to_start_one() -> None:
    status, words = sandbox.call(40, _without_a_lab)
    assert status == 2
    assert words.startswith(
        "error: no lab stands: start one in another terminal (python -m lab run"
    )
    assert words.count("\n") == 1


def test_one_nat_is_not_enough_for_a_new_lab() -> None:
    done = _shell("--nat-a", "none", "host_a")
    assert (done.returncode, done.stderr) == (
        2,
        "error: a new lab needs both --nat-a and --nat-b\n",
    )


def test_of_several_labs_one_has_to_be_chosen() -> None:
    labs = [FoundLab(10, "first", {"host_a": 11}), FoundLab(20, "second", {"host_a": 21})]
    assert holder_of(labs, 20, "host_a") == 21
    assert holder_of(labs[:1], None, "host_a") == 11
    with pytest.raises(
        UsageError, match=r"several labs stand, choose one with --lab PID:\n  10 \("
    ):
        holder_of(labs, None, "host_a")
    with pytest.raises(UsageError, match="there is no lab 30; there are:"):
        holder_of(labs, 30, "host_a")
