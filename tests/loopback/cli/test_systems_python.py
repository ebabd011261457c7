"""The commands by the system's own Python, with the `cryptography` of the distribution and no package of PyPI.

A user's Debian 12 has Python 3.11.2 and `cryptography` 38; the other tests run on the newest that is pinned.
"""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from tests import ROOT
from tests.loopback.cli.words import CLIENT
from tests.loopback.command import Command
from tests.loopback.programs import Program, Service
from tests.loopback.support import unused

PYTHON = "/usr/bin/python3"
COMMAND = (PYTHON, "-m", "nat_traversal")
PACKAGES = "/usr/lib/python3/dist-packages/"


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that this environment adds; the package is the distribution's own."""
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.setenv("PYTHONNOUSERSITE", "1")
    script = "import cryptography; print(cryptography.__file__)"
    found = subprocess.run([PYTHON, "-c", script], capture_output=True, text=True, check=False)
    assert found.stdout.startswith(PACKAGES), "make setup installs it"


def made_identity(path: Path) -> str:
    """A new file with a private key; returns the public one."""
    words = [*COMMAND, "identity", str(path)]
    made = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    return made.stdout.strip()


@pytest.mark.long
async def test_a_server_and_a_client_serve_one_with_the_newest_packages(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    our_key, their_key = made_identity(ours), made_identity(theirs)
    listening = ("--host", "127.0.0.1", "--port", "0", "--tls", "--state", str(tmp_path / "state"))
    local = unused()
    with Service() as service, Program() as program:
        async with Command.run(*COMMAND, "server", *listening) as server:
            port = (await server.line("listening on")).split(":")[-1].split(",")[0]
            known = (await server.line("clients know this server by")).split()[-1]
            to = ("--server", f"127.0.0.1:{port}", "--server-fingerprint", known)
            a = ("--id", "host_a", "-r", "host_b", "--listen", str(local))
            b = ("--id", "host_b", "-r", "host_a", "--connect", str(service.endpoint))
            theirs_knows = ("--identity", str(theirs), "--peer-key", our_key)
            ours_knows = ("--identity", str(ours), "--peer-key", their_key)
            async with (
                Command.run(*COMMAND, "client", *to, *a, *theirs_knows) as host_a,
                Command.run(*CLIENT, *to, *b, *ours_knows) as host_b,
            ):
                assert "sealed; host_b has the key that this side knows" in await host_a.line(
                    "connected to"
                )
                assert "sealed; host_a has the key that this side knows" in await host_b.line(
                    "connected to"
                )
                for size in (1, 1200, 9000):
                    assert await program.ask(b"x" * size, local) == b"x" * size
                assert await host_a.end(signal.SIGTERM) == 0
            assert await server.end(signal.SIGTERM) == 0
