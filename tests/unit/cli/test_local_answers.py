"""The program that answers at a client's local socket may be another program, or a client of another version: one line tells so."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nat_traversal.cli import local, main
from nat_traversal.errors import UsageError

Said = Callable[[bytes], None]
UNKNOWN = "error: the client hub answers in a form that this version does not know: start it again"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Where the only client of this user listens."""
    folder = tmp_path / "nat-traversal"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(local, "_SYSTEM", folder)
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(folder / "hub.sock"))
        listening.listen()
        yield listening


def answer(listening: socket.socket, *parts: bytes, pause: float = 0.0) -> None:
    """To each request, until the socket is closed."""

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                if connection.recv(1000):  # else it is a look whether anybody is there
                    _say(connection)

    def _say(connection: socket.socket) -> None:
        try:
            for part in parts:
                connection.sendall(part)
                time.sleep(pause)
        except OSError:
            pass

    threading.Thread(target=serve, daemon=True).start()


@pytest.mark.parametrize(
    "command", ["status", "status hub", "status --json", "ping ben hub", "reload", "reload hub"]
)
@pytest.mark.parametrize(
    "said", [b"{}", b'{"peers": 5, "seconds": "x", "mistakes": 7}', b'{"seconds": []}']
)
def test_an_answer_in_another_form_is_one_line(
    hub: socket.socket, capsys: pytest.CaptureFixture[str], command: str, said: bytes
) -> None:
    answer(hub, said)
    assert main.main(command.split()) == 2
    assert capsys.readouterr() == ("", f"{UNKNOWN}\n")


def test_a_peer_without_what_is_told_of_it_is_one_line(
    hub: socket.socket, capsys: pytest.CaptureFixture[str]
) -> None:
    answer(hub, b'{"name": "hub", "peers": [{"peer": "ben"}]}')
    assert main.main(["status"]) == 2
    assert capsys.readouterr() == ("", f"{UNKNOWN}\n")


def test_the_time_is_for_the_whole_answer(hub: socket.socket) -> None:
    answer(hub, *[b" "] * 100, pause=0.1)
    began_at = time.monotonic()
    with pytest.raises(UsageError, match="no answer in time"):
        local.ask(Path(hub.getsockname()), within=0.3, ask="status")
    assert time.monotonic() - began_at < 5.0, "of 10 s of octets"
