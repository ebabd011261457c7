"""`lab topology`, as a user starts it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import ROOT
from tests.lab import commands
from tests.lab.cli.refusals import refused
from tests.lab.network.test_topology_file import OWN

_TOPOLOGY = (sys.executable, "-m", "lab", "topology")
KEPT = "lab | capture.pcapng, ladder.txt, rules and output are in"


def _run(directory: Path, *options: str, typed: str = "") -> tuple[int, list[str], list[str]]:
    done = commands.lab("topology", *options, "--report", directory, typed=typed)
    return done.returncode, done.stdout.splitlines(), done.stderr.splitlines()


def test_a_topology_is_described(tmp_path: Path) -> None:
    status, said, _ = _run(tmp_path / "none", "public_peer,nat_a=symmetric")
    assert status == 0
    assert "host_b: host; host_b-eth0 198.51.100.2/25" in said
    assert "nat_a: nat symmetric; nat_a-lan 10.0.1.1/24, nat_a-wan 203.0.113.2/25" in said
    assert "server: server; server-eth0 192.0.2.2/24 192.0.2.3/24" in said
    assert not (tmp_path / "none").exists()


def test_commands_run_on_any_node_and_faults_happen(tmp_path: Path) -> None:
    wait = "sh -c 'echo up; until ip -br link show | grep -q DOWN; do :; done; exit 4'"
    status, said, errors = _run(
        tmp_path,
        "star,peers=3",
        *("--on", "server=sleep 600"),
        *("--on", "nat_1=sleep 600"),
        *("--on", "host_2=ping -c1 -W5 192.0.2.2"),
        *("--on", f"host_3={wait}"),
        *("--fault", "on=host_3:up:link-down host_3"),
    )
    assert status == 4
    assert any("1 packets transmitted, 1 received" in line for line in said)
    assert re.fullmatch(r"lab \| [0-9:.]+ link-down host_3", errors[0])
    assert errors[1:] == ["lab | links: delay 5 ms (the default)", f"{KEPT} {tmp_path}"]


def test_what_is_kept_and_told_is_the_same_as_of_a_pair(tmp_path: Path) -> None:
    dns = "dnsmasq --no-daemon --conf-file=/dev/null --no-resolv --no-hosts --pid-file="
    status, said, errors = _run(
        tmp_path,
        "double_nat,cgn_a=symmetric,nat_b=full-cone",
        *("--on", "host_a=dig @$LAB_SERVER +short where.lab TXT"),
        *("--on", "host_b=sh -c 'echo $LAB_NODE $LAB_SELF ${LAB_PUBLIC} $LAB_PEER $LAB_NAT'"),
        *("--on", "host_b=sh -c 'echo second'"),
        *("--on", f"server={dns} --txt-record=where.lab,'the server'", "--ready", "udp:53"),
        *("--mtu", "1400"),
    )
    assert status == 0, errors
    assert sorted(said) == [
        'host_a | "the server"',
        "host_b | host_b 10.0.2.2 198.51.100.2 203.0.113.2 full-cone",
        "host_b-2 | second",
    ]
    assert (tmp_path / "host_b-2.stdout").read_text() == "second\n"
    head, *rows = (tmp_path / "ladder.txt").read_text().splitlines()
    assert head.split() == ["host_a", "nat_a", "cgn_a", "server", "cgn_b", "nat_b", "host_b"]
    question = [row for row in rows if "> 192.0.2.2:53" in row]
    by_host, by_nat, by_carrier = question
    sources = {"10.0.1.2:": by_host, "203.0.113.2:": by_carrier}
    assert {source: row for row in question for source in sources if source in row} == sources
    assert not any(source in by_nat for source in sources)
    assert (tmp_path / "capture.pcapng").stat().st_size > 1000
    assert "nat_a: EIM+APDF" in (tmp_path / "probes.txt").read_text()
    assert "203.0.113.2" in (tmp_path / "cgn_a.rules").read_text()
    links = (tmp_path / "links.txt").read_text()
    for nat, outside in (("nat_a", "cgn_a"), ("cgn_a", "internet"), ("cgn_b", "internet")):
        assert f"{nat}-{outside}: delay 5 ms, MTU 1400 (delay: the default)" in links


def test_links_outside_the_nats_are_slow_where_that_is_asked_for(tmp_path: Path) -> None:
    ping = "host_1=ping -c3 $LAB_SERVER"
    _, said, errors = _run(tmp_path, "star,peers=1", "--on", ping, "--delay", "30ms")
    times = [float(found) for found in re.findall(r"time=([0-9.]+) ms", "\n".join(said))]
    assert len(times) == 3, errors
    assert min(times) >= 60


def test_a_restarted_program_is_the_one_that_is_waited_for(tmp_path: Path) -> None:
    twice = (
        "sh -c 'if [ -e $LAB_DIR/seen ]; then exit 5; fi; touch $LAB_DIR/seen; echo up; sleep 600'"
    )
    status, _, _ = _run(
        tmp_path,
        "star,peers=1",
        *("--on", f"host_1={twice}", "--on", "host_1=true"),
        *("--fault", "on=host_1:up+0.7s:restart host_1"),
    )
    assert status == 5
    assert (tmp_path / "host_1-3.stdout").exists()


def test_until_ends_what_others_would_go_on_with(tmp_path: Path) -> None:
    options = ["--on", "host_1=sleep 600", "--on", "nat_2=sh -c 'exit 6'", "--until", "nat_2"]
    assert _run(tmp_path, "star,peers=2", *options)[0] == 6


def test_mininet_s_prompt_stands_on_a_topology_without_commands(tmp_path: Path) -> None:
    typed = "host_2 ping -c1 -W9 192.0.2.2\n"
    status, said, errors = _run(tmp_path, "star,peers=2", "--keep-open", typed=typed)
    assert status == 0
    assert any("1 packets transmitted, 1 received" in line for line in said + errors)
    assert errors[-1] == f"{KEPT} {tmp_path}"


def test_ctrl_c_keeps_what_was_captured(tmp_path: Path) -> None:
    path = tmp_path / "own.py"
    path.write_text(OWN, encoding="utf-8")
    command = "host_x=sh -c 'ping -c1 -W9 $LAB_SERVER >&2; echo here; exec sleep 1000'"
    process = subprocess.Popen(
        [*_TOPOLOGY, str(path), "--report", str(tmp_path / "kept"), "--on", command],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "host_x | here\n"
        process.send_signal(signal.SIGINT)
        _, words = process.communicate(timeout=40)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "error: interrupted: ending what still runs" in words.splitlines()
    assert "Traceback" not in words
    assert (tmp_path / "kept/capture.pcapng").stat().st_size > 500


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["pentagon"], "unknown topology 'pentagon'"),
        (["pentagon", "--on", "host_1=true"], "unknown topology 'pentagon'"),
        (["star", "--on", "host_9=true"], "there is no node 'host_9': choose from host_1"),
        (["star", "--on", "host_1"], "'host_1' names no program on a node: give NODE=CMD"),
        (["star", "--on", "host_1=echo 'x"], "cannot read the command"),
        (["star", "--on", "host_1=echo $LAB_PEER"], "there is no $LAB_PEER here: there are"),
        (["star", "--fault", "at=0s:link-down host_1"], "--fault is for commands: add --on"),
        (["star", "--delay", "1ms"], "links have conditions for commands: add --on"),
        (["star", "--on", "host_1=true", "--until", "host_2"], "--until host_2: choose from"),
        (["star", "--on", "host_1=true", "--ready", "x"], "--ready is about the server's comma"),
        (
            ["star", "--on", "host_1=true", "--fault", "at=0s:link-down x"],
            "no node or interface",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_one_clear_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, options: list[str], words: str
) -> None:
    line = refused(capsys, "topology", *options, "--report", str(tmp_path))
    assert line.startswith("error: ")
    assert words in line


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        (["star", "--on", "host_1"], 2, "'host_1' names no program on a node: give NODE=CMD"),
        (
            ["star", "--on", "host_1=nonsense-x"],
            127,
            "--on host_1: there is no program nonsense-x here",
        ),
        (["star", "--on", "host_1=sleep 9", "--timeout", "0.2"], 124, "still ran after 0.2 s"),
        (
            ["star", "--on", "server=false", "--ready", "up"],
            125,
            "server: ended with exit status 1 before a line like 'up'",
        ),
        (["star", "--on", "host_1=true", "--fault", "at=9s:link-up host_1"], 125, "ended before"),
        (["own.py"], 125, "the sandbox ended"),
    ],
)
def test_what_goes_wrong_is_one_clear_line(
    tmp_path: Path, options: list[str], status: int, words: str
) -> None:
    own = tmp_path / "own.py"
    own.write_text("import os; os._exit(4)", encoding="utf-8")
    options = [str(own) if each == own.name else each for each in options]
    ended, _, errors = _run(tmp_path / "report", *options)
    (line,) = [line for line in errors if not line.startswith("lab | ")]
    assert (ended, line.startswith("error: "), words in line) == (status, True, True), line
