"""`lab run` with commands, as a user starts it: output, exit statuses, and every way to fail."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from natlab.cli.run import RunStatus
from natlab.sandbox import sandbox
from tests import ROOT
from tests.lab import commands
from tests.lab.cli.refusals import refused

_PAIR = ("run", "--nat-a", "full-cone", "--nat-b", "symmetric")
_RUN = (sys.executable, "-m", "lab", *_PAIR)


def _run(directory: Path, *options: str) -> subprocess.CompletedProcess[str]:
    report = () if "--report" in options else ("--report", str(directory))
    return commands.lab(*_PAIR, *report, *options)


def _errors(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [line for line in done.stderr.splitlines() if line.startswith("error: ")]


@pytest.mark.parametrize(
    ("a", "b", "status"),
    [
        ("true", "true", 0),
        ("sh -c 'exit 7'", "sh -c 'exit 8'", 7),
        ("true", "sh -c 'exit 8'", 8),
        ("sh -c 'kill -9 $$'", "true", 137),
    ],
)
def test_the_exit_status_is_host_a_s_and_if_that_is_0_host_b_s(
    a: str, b: str, status: int, tmp_path: Path
) -> None:
    done = _run(tmp_path, "--a", a, "--b", b)
    assert (done.returncode, _errors(done)) == (status, [])


def test_commands_meet_on_the_network_and_every_line_tells_its_host(tmp_path: Path) -> None:
    dns = "dnsmasq --no-daemon --conf-file=/dev/null --no-resolv --no-hosts --pid-file="
    done = _run(
        tmp_path,
        *("--server", f"{dns} --txt-record=where.lab,'the server'", "--ready", "udp:53"),
        *("--a", "dig @$LAB_SERVER +short where.lab TXT"),
        *("--b", "sh -c 'echo $LAB_NODE ${LAB_SELF} $LAB_PEER; echo problem >&2'"),
    )
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == [
        'host_a | "the server"',
        "host_b | host_b 10.0.2.2 203.0.113.2",
    ]
    assert "host_b | problem" in done.stderr.splitlines()
    assert any(line.startswith("server | dnsmasq: started") for line in done.stderr.splitlines())
    assert (tmp_path / "host_a.stdout").read_text() == '"the server"\n'
    ladder = (tmp_path / "ladder.txt").read_text()
    assert "o---------->|" in ladder
    assert "192.0.2.2:53" in ladder
    assert (tmp_path / "capture.pcapng").stat().st_size > 1000
    assert "203.0.113.2" in (tmp_path / "nat_a.rules").read_text()


def test_a_server_alone_gives_the_exit_status(tmp_path: Path) -> None:
    assert _run(tmp_path, "--server", "sh -c 'exit 5'").returncode == 5


def test_further_commands_go_to_any_node(tmp_path: Path) -> None:
    more = ("--on", "nat_a=sh -c 'echo $LAB_SELF; sleep 600'", "--on", "host_a=sh -c 'exit 9'")
    done = _run(tmp_path, *more, "--a", "sleep 0.5")
    assert done.returncode == 9, done.stderr
    assert "nat_a | 10.0.1.1" in done.stdout.splitlines()
    assert (tmp_path / "host_a-2.stdout").exists()


def test_until_says_whose_end_is_the_end(tmp_path: Path) -> None:
    done = _run(tmp_path, "--a", "sh -c 'exit 4'", "--b", "sleep 1000", "--until", "a")
    assert (done.returncode, _errors(done)) == (4, [])


def test_a_server_that_ends_early_is_mentioned(tmp_path: Path) -> None:
    wait = "sh -c 'until [ -s $LAB_DIR/server.stdout ]; do sleep 0.05; done; sleep 0.3'"
    done = _run(tmp_path, "--server", "sh -c 'echo bye; exit 3'", "--a", wait)
    assert done.returncode == 0
    assert "lab | the server ended early, with exit status 3" in done.stderr.splitlines()


@pytest.mark.parametrize(
    ("options", "status", "error"),
    [
        (("--a", "no-such-thing"), 127, "--a: there is no program no-such-thing here; install it"),
        (
            ("--server", "sh -c 'echo no >&2; exit 3'", "--ready", "listening", "--a", "true"),
            125,
            "server: ended with exit status 3 before a line like 'listening'",
        ),
        (
            ("--server", "sleep 1000", "--ready", "udp:53", "--a", "true", "--timeout", "1"),
            125,
            "server: waited 1 s in vain for udp port 53 in use",
        ),
        (("--a", "sleep 1000", "--timeout", "1"), 124, "host_a still ran after 1 s"),
        (("--a", ""), 2, "an empty command: name a program"),
        (
            ("--a", "true", "--report", "/proc/1/nowhere"),
            125,
            "cannot write the report to /proc/1/nowhere: No such file or directory",
        ),
    ],
)
def test_what_goes_wrong_is_one_clear_line(
    options: tuple[str, ...], status: int, error: str, tmp_path: Path
) -> None:
    done = _run(tmp_path, *options)
    assert (done.returncode, _errors(done)) == (status, [f"error: {error}"])
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (("--a", "echo 'x"), 'cannot read the command "echo \'x": No closing quotation'),
        (("--b", "true", "--ready", "x"), "--ready is about the server's command: add --server"),
        (("--b", "true", "--until", "a"), "--until a needs --a"),
        (("--timeout", "9"), "--timeout is for commands: add --server, --a or --b"),
        (
            ("--fault", "at=1s:nat-reboot nat_a"),
            "--fault is for commands: add --server, --a or --b",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_one_clear_line(
    options: tuple[str, ...], error: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused(capsys, *_PAIR, "--report", str(tmp_path), *options) == f"error: {error}"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--server", "echo $LAB_PEER"), "there is no $LAB_PEER here: there are LAB_A, LAB_B,"),
        (
            ("--a", "true", "--fault", "at=1s:explode"),
            "argument --fault: fault 'at=1s:explode': unknown action 'explode'",
        ),
        (
            ("--a", "true", "--fault", "at=1s:nat-reboot host_a"),
            "host_a is no NAT: choose from nat_a, nat_b",
        ),
    ],
)
def test_a_name_that_is_none_is_answered_with_those_there_are(
    options: tuple[str, ...], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert words in refused(capsys, *_PAIR, "--report", str(tmp_path), *options)


def _interrupt(directory: Path, to_group: bool) -> tuple[int, str]:
    """Ctrl-C reaches a terminal's whole process group; `kill -INT` only the lab."""
    process = subprocess.Popen(
        [*_RUN, "--report", str(directory), "--a", "sh -c 'echo here; exec sleep 1000'"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "host_a | here\n"
        (os.killpg if to_group else os.kill)(process.pid, signal.SIGINT)
        _, words = process.communicate(timeout=40)
    finally:
        process.kill()
    return process.returncode, words


def _are_running(name: bytes) -> bool:
    """Is there a process with `name` in its command line?"""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if name in path.read_bytes():
                return True
        except (FileNotFoundError, ProcessLookupError):
            continue
    return False


@pytest.mark.parametrize("to_group", [True, False], ids=["ctrl-c", "kill -INT"])
def test_an_interrupted_run_keeps_its_packets_and_leaves_nothing_running(
    to_group: bool, tmp_path: Path
) -> None:
    directory = tmp_path / "interrupted"
    status, words = _interrupt(directory, to_group)
    assert (status, words.splitlines()[0]) == (130, "error: interrupted: ending what still runs")
    assert "Traceback" not in words
    assert (directory / "capture.pcapng").exists()
    deadline = time.monotonic() + 20
    while _are_running(str(directory).encode()) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not _are_running(str(directory).encode())


def _run_without_room(directory: Path, room: str) -> tuple[int, str]:
    mount = ["mount", "-t", "tmpfs", "-o", f"size={room}", "tmpfs", str(directory)]
    subprocess.run(mount, check=True)
    endless = ("--report", str(directory), "--a", "sh -c 'while :; do echo more; done'")
    done = subprocess.run(
        [*_RUN, *endless], cwd=ROOT, capture_output=True, text=True, check=False, timeout=40
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("room", "error"),
    [
        ("8k", "error: cannot write .*/nat_[ab].rules: No space left on device"),
        ("64k", "error: host_a: cannot keep its stdout: No space left on device; it was killed.*"),
    ],
)
def test_a_full_disk_is_one_clear_line(room: str, error: str, tmp_path: Path) -> None:
    status, words = sandbox.call(50, _run_without_room, tmp_path, room)
    assert status == 125
    assert re.fullmatch(error, words.splitlines()[0])
    assert "Traceback" not in words


_PATIENT = "sh -c 'echo began; until ip -br link show | grep -q DOWN; do :; done; echo down'"


def test_faults_happen_at_their_moments_and_are_told(tmp_path: Path) -> None:
    faults = (
        "--fault",
        "on=host_a:began:link-down host_a",
        "--fault",
        "on=host_a:down:signal host_b KILL",
    )
    done = _run(tmp_path, "--a", _PATIENT, "--b", "sleep 600", *faults)
    assert done.returncode == 128 + signal.SIGKILL
    told = re.findall(r"^lab \| [0-9:.]+ (.*)$", done.stderr, re.MULTILINE)
    assert told == ["link-down host_a", "signal host_b KILL"]


@pytest.mark.parametrize(
    ("fault", "status", "words"),
    [
        ("at=600s:nat-reboot nat_a", 125, "ended before these faults: at=600s:nat-reboot nat_a"),
        ("at=0s:expire nat_a host_a", 125, "nat_a has no mapping of host_a that could expire"),
    ],
)
def test_a_fault_that_cannot_be_is_one_clear_line(
    fault: str, status: int, words: str, tmp_path: Path
) -> None:
    command = "sleep 0.5" if "expire" in fault else "true"
    done = _run(tmp_path, "--a", command, "--fault", fault)
    (error,) = _errors(done)
    assert (done.returncode, words in error) == (status, True), error


def test_the_documentation_lists_every_variable_and_every_status(tmp_path: Path) -> None:
    document = (ROOT / "docs/lab/guide.md").read_text(encoding="utf-8")
    section = document.partition("## Run anything")[2].partition("\n## ")[0]
    done = _run(tmp_path, "--a", "env", "--server", "env")
    found = set(re.findall(r"^\w+ \| (LAB_\w+)=", done.stdout, re.MULTILINE))
    documented = set(re.findall(r"`(LAB_\w+)`", section))
    assert found == {name for name in documented if not name.endswith("6")}
    statuses = {int(found) for found in re.findall(r"^\| (\d+) \|", section, re.MULTILINE)}
    assert statuses == set(RunStatus)


def test_any_program_can_say_when_it_is_ready_and_the_others_wait(tmp_path: Path) -> None:
    slow = "sh -c 'sleep 0.5; echo bound; exec socat -u UDP4-RECV:5000 -'"
    done = _run(
        tmp_path,
        *("--a", "echo first?", "--b", slow, "--on", "nat_b=sh -c 'sleep 0.5; echo up; sleep 9'"),
        *("--ready-for", "b=udp:5000", "--ready-for", "nat_b=^up$", "--until", "a"),
    )
    assert (done.returncode, _errors(done)) == (0, [])
    assert done.stdout.splitlines() == ["host_b | bound", "nat_b | up", "host_a | first?"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--ready-for", "b=udp:5000"], "--ready-for b: choose from host_a"),
        (["--ready-for", "a"], "'a' says of no program when it is ready: give PROGRAM=PATTERN"),
        (["--ready-for", "a=["], "'[' is no regular expression"),
        (["--ready-for", "a=udp:0"], "'udp:0' is no port: give one from 1 to 65535"),
        (["--server", "true", "--ready", "["], "'[' is no regular expression"),
        (["--server", "true", "--ready", "tcp:99999"], "'tcp:99999' is no port"),
        (["--server", "true", "--ready", ""], "an empty regular expression fits every line"),
        (["--fault", "on=b:up:link-down nat_a"], "no program 'b': choose from host_a"),
        (["--fault", "at=1s:signal host_b TERM"], "no program 'host_b': choose from host_a"),
        (
            ["--ready-for", "a=x", "--ready-for", "host_a=y"],
            "--ready-for host_a: it was said before",
        ),
    ],
)
def test_readiness_or_a_fault_that_cannot_be_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, options: list[str], words: str
) -> None:
    assert words in refused(capsys, *_PAIR, "--report", str(tmp_path), "--a", "true", *options)


def test_each_node_has_a_run_and_a_tmp_of_its_own_and_shares_what_is_there(tmp_path: Path) -> None:
    places = ("/run", "/tmp", "/dev/shm")
    write = "; ".join(f"echo $LAB_NODE >{place}/daemon.pid" for place in places)
    read = "; ".join(f"cat {place}/daemon.pid" for place in places)
    done = _run(
        tmp_path,
        *("--a", f"sh -c '{write}; echo written; sleep 1; {read}; echo here >{tmp_path}/from_a'"),
        *("--b", f"sh -c '{write}; echo written; {read}'", "--ready-for", "b=written"),
    )
    assert (done.returncode, _errors(done)) == (0, [])
    said = done.stdout.splitlines()
    for host in ("host_a", "host_b"):
        told = [line for line in said if line.startswith(host)]
        assert told == [f"{host} | written", *[f"{host} | {host}"] * 3]
    assert (tmp_path / "from_a").read_text() == "here\n"
