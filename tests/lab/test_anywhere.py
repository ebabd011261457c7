"""`lab topology`, as a user starts it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]


def _run(directory: Path, *options: str) -> tuple[int, list[str], list[str]]:
    done = subprocess.run(
        [sys.executable, "-m", "lab", "topology", *options, "--report", str(directory)],
        cwd=_ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    return done.returncode, done.stdout.splitlines(), done.stderr.splitlines()


def test_a_topology_is_described(tmp_path: Path) -> None:
    status, said, _ = _run(tmp_path, "public_peer,nat_a=symmetric")
    assert status == 0
    assert "host_b: host; host_b-eth0 198.51.100.2/25" in said
    assert "nat_a: nat symmetric; nat_a-lan 10.0.1.1/24, nat_a-wan 203.0.113.2/25" in said
    assert "server: server; server-eth0 192.0.2.2/24 192.0.2.3/24" in said


def test_commands_run_on_any_node_and_faults_happen(tmp_path: Path) -> None:
    wait = "sh -c 'echo up; until ip -br link show | grep -q DOWN; do :; done; exit 4'"
    status, said, errors = _run(
        tmp_path,
        "star,peers=3",
        *("--on", "server=sleep 600"),
        *("--on", "host_2=ping -c1 -W5 192.0.2.2"),
        *("--on", f"host_3={wait}"),
        *("--fault", "on=host_3:up:link-down host_3"),
    )
    assert status == 4
    assert any("1 packets transmitted, 1 received" in line for line in said)
    assert errors == ["lab | link-down host_3"]


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        (["pentagon"], 2, "unknown topology 'pentagon'"),
        (["star", "--on", "host_9=true"], 2, "there is no node 'host_9': choose from host_1"),
        (["star", "--on", "host_1"], 2, "'host_1' names no program on a node: give NODE=CMD"),
        (["star", "--on", "host_1=nonsense-x"], 3, "there is no program nonsense-x here"),
        (["star", "--on", "host_1=sleep 9", "--timeout", "0.2"], 124, "still ran after 0.2 s"),
        (["star", "--fault", "at=0s:link-down host_1"], 2, "--fault is for commands"),
        (
            ["star", "--on", "host_1=true", "--fault", "at=0s:link-down x"],
            2,
            "no node or interface",
        ),
        (["star", "--on", "host_1=true", "--fault", "at=9s:link-up host_1"], 3, "ended before"),
    ],
)
def test_what_cannot_be_is_one_clear_line(
    tmp_path: Path, options: list[str], status: int, words: str
) -> None:
    ended, _, errors = _run(tmp_path, *options)
    (line,) = errors
    assert (ended, line.startswith("error: "), words in line) == (status, True, True), line
