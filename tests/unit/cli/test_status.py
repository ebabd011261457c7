"""The words of `status`, from the answers of clients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nat_traversal.cli import status_command
from nat_traversal.cli.console import Console

SERVICE = {
    "name": None,
    "side": "connect",
    "kind": "tcp",
    "at": "127.0.0.1:22",
    "flows": 1,
    "refuses": True,
}
PEER = {"text": "there is no path to ben", "sent": 2, "received": 1, "services": [SERVICE]}
WORDS = """there is no path to ben; 2 datagrams sent, 1 received
  service: connect tcp:127.0.0.1:22, where nothing listens now, 1 program
"""


@pytest.mark.parametrize(
    ("clients", "said"),
    [(["home"], WORDS), (["home", "work"], f"home:\n{WORDS}work:\n{WORDS}")],
)
def test_several_clients_are_told_by_name(
    clients: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def answered(path: Path, **asked: Any) -> dict[str, Any]:
        assert asked == {"ask": "status"}
        return {"name": path.stem, "peers": [PEER]}

    monkeypatch.setattr(status_command, "ask", answered)
    monkeypatch.setattr(
        status_command, "sockets", lambda _: [Path(f"{name}.sock") for name in clients]
    )

    assert status_command.run(None, {}, Console(as_json=False), as_json=False) == 0
    assert capsys.readouterr().out == said
