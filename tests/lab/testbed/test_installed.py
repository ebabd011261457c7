"""The installed wheel beside a project that has a `lab` and `topologies` of its own."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.installing import build_wheel, install

_OF_ITS_OWN = {
    "folders": ("lab/__init__.py", "topologies/__init__.py"),
    "modules": ("lab.py", "topologies.py"),
}
_TESTS = """
import socket
from pathlib import Path

import lab
import natlab
import topologies

HERE = Path(__file__).parent


def say(text):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        opened.sendto(text, ("192.0.2.2", 5000))


def test_its_own_modules_are_its_own():
    assert HERE in Path(lab.__file__).parents
    assert HERE in Path(topologies.__file__).parents
    assert lab.MINE and topologies.MINE
    assert HERE not in Path(natlab.__file__).parents


def test_the_fixture_carries_a_datagram_through_a_nat(nat_lab):
    assert lab.MINE
    sink = nat_lab.start("server", "socat -u UDP4-RECV:5000 -", ready="udp:5000")
    nat_lab.call("host_a", say, b"from the project\\n")
    sink.wait_for_line("from the project", timeout=20)
    sent = [packet for packet in nat_lab.packets() if packet.payload == b"from the project\\n"]
    points = [packet.point for packet in sent]
    assert points == ["host_a-eth0", "nat_a-lan", "nat_a-wan", "server-eth0"]
    assert str(sent[0].source).startswith("10.0.1.2:")
    assert str(sent[-1].source).startswith("203.0.113.2:")
"""


@pytest.mark.timeout(170)
def test_a_project_with_a_lab_of_its_own_runs_its_tests_with_the_fixture(tmp_path: Path) -> None:
    python = install(build_wheel(tmp_path), tmp_path / "clean")
    for kind, files in _OF_ITS_OWN.items():
        project = tmp_path / kind
        for name in files:
            (project / name).parent.mkdir(parents=True, exist_ok=True)
            (project / name).write_text("MINE = True\n")
        (project / "test_project.py").write_text(_TESTS)
        pytest_of_theirs = (python, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:asyncio")
        done = subprocess.run(
            [*pytest_of_theirs, "-W", "error", "--strict-markers", "-q"],
            cwd=project,
            env={"PATH": f"{python.parent}:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert re.search(r"^2 passed", done.stdout, re.MULTILINE), done.stdout + done.stderr
