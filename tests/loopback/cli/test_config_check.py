"""`config check`, and a client with a file that has mistakes: all of them told, nothing begun."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nat_traversal.crypto.keyfile import IDENTITY, as_text
from tests import ROOT
from tests.loopback import warm

WRONG = 'server = "192.0.2.2"\n[[peer]]\nid = "anna"\nas = "hub"\n[[peer.service]]\nname = "dns"\n'


def run(*words: str) -> tuple[int, list[str]]:
    done = warm.run(*words)
    assert not done.stdout
    return done.returncode, done.stderr.splitlines()


@pytest.mark.parametrize("command", [("config", "check"), ("client", "--config")])
def test_every_mistake_is_a_line_and_the_status_is_2(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    file = tmp_path / "hub.toml"
    file.write_text(f"tlss = true\n{WRONG}")
    status, told = run(*command, str(file))
    assert (status, told) == (
        2,
        [
            f"error: {file}:1: there is no option 'tlss': did you mean tls?",
            f"error: {file}:6: a service needs one of listen = PORT and connect = HOST:PORT, and not both",
        ],
    )


def test_a_file_that_is_right_is_said_to_be(tmp_path: Path) -> None:
    file = tmp_path / "hub.toml"
    file.write_text(f"{WRONG}listen = 5300\n")
    assert run("config", "check", str(file)) == (0, [f"{file} is right: 1 peer, 1 named service"])


def test_more_peers_than_a_server_usually_takes_are_told(tmp_path: Path) -> None:
    file = tmp_path / "hub.toml"
    peers = "".join(
        f'[[peer]]\nid = "p{number}"\nlisten = {6000 + number}\n' for number in range(65)
    )
    file.write_text(f'server = "192.0.2.2"\nid = "hub"\n{peers}')
    status, told = run("config", "check", str(file))
    assert (status, told[0]) == (0, f"{file} is right: 65 peers, 0 named services")
    assert told[1].startswith("but hub has 65 peers at 192.0.2.2:6545, and a server takes 64")


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "none.toml"
    assert run("config", "check", str(file)) == (2, [f"error: {file}: No such file or directory"])


def test_the_documented_file_is_right(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "client-config.md").read_text(encoding="utf-8")
    examples = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    assert examples
    for text in examples:
        file = tmp_path / "home.toml"
        file.write_text(text)
        identity = tmp_path / "identity"
        identity.write_text(as_text(IDENTITY, bytes(range(32))))
        identity.chmod(0o600)
        status, told = run("config", "check", str(file))
        assert (status, told) == (0, [f"{file} is right: 2 peers, 3 named services"])
