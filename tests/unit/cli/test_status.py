"""The words of `status`, from the answers of clients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nat_traversal.aio.traffic import Traffic
from nat_traversal.cli import status_command
from nat_traversal.cli.console import Console
from nat_traversal.cli.peers.report import Heard, report, server_report, service_state
from nat_traversal.cli.peers.report_words import lines_of
from nat_traversal.client.path_status import PathKind, PathStatus
from nat_traversal.client.server_status import ServerState, ServerStatus
from nat_traversal.machine import notices as note
from nat_traversal.machine.counters import Counters
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.messages import PeerState, Serves

SERVER = Endpoint("192.0.2.2", 6545)
SERVICE = {
    "name": None,
    "side": "connect",
    "kind": "tcp",
    "at": "127.0.0.1:22",
    "flows": 1,
    **service_state("127.0.0.1:22", refuses=True, is_told=True, trouble=None),
}


def of_ben(
    path: PathKind = PathKind.NONE,
    server: ServerStatus | None = None,
    traffic: Traffic | None = None,
    told: str = "",
) -> dict[str, Any]:
    at = server_report("192.0.2.2:6545", server, is_tls=True, own="anna")
    traffic = traffic or Traffic(Counters())
    return report(PathStatus("ben", path, reason="why"), at, traffic, [dict(SERVICE)], told)


WORDS = """there is no path to ben: why
  programs' datagrams: 0 (0 B) sent, 0 (0 B) received; 1 flow
  server 192.0.2.2:6545 over TLS: no connection
  service: connect tcp:127.0.0.1:22, down-here, 1 flow; nothing listens at 127.0.0.1:22: start the program there
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
        return {"name": path.stem, "peers": [of_ben()]}

    monkeypatch.setattr(status_command, "ask", answered)
    monkeypatch.setattr(
        status_command, "sockets", lambda _: [Path(f"{name}.sock") for name in clients]
    )

    assert status_command.run(None, {}, Console(as_json=False), as_json=False) == 0
    assert capsys.readouterr().out == said


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (
            ServerStatus(ServerState.REGISTERED, SERVER, 720.0),
            "server 192.0.2.2:6545 over TLS: registered as anna for 12 min",
        ),
        (
            ServerStatus(ServerState.CONNECTING, SERVER, 3.0, "it ended"),
            "server 192.0.2.2:6545 over TLS: waits for a connection, for 3 s, since it ended",
        ),
        (
            ServerStatus(ServerState.REGISTERING, Endpoint("192.0.2.9", 6545), 0.0),
            "server 192.0.2.2:6545 at 192.0.2.9:6545 over TLS: waits for the answer to the registration, for 0 s",
        ),
        (
            ServerStatus(ServerState.PAUSING, None, 2.0, "it ended", 4.0),
            "server 192.0.2.2:6545 over TLS: away for 2 s; the next try is in 4 s, since it ended",
        ),
        (
            ServerStatus(ServerState.PAUSING, None, 2.0, "refused", 4.0, "start it"),
            "server 192.0.2.2:6545 over TLS: away for 2 s; the next try is in 4 s, since refused: start it",
        ),
    ],
)
def test_the_server_is_told_with_what_it_waits_for(status: ServerStatus, says: str) -> None:
    assert says in list(lines_of(of_ben(server=status)))


def test_what_crossed_is_told_each_way_and_the_relay_s_part_with_its_limit() -> None:
    traffic = Traffic(Counters())
    traffic.direct.out(2, 1_500)
    traffic.relayed.out(3, 999)
    traffic.relayed.came(1, 12_345_678)
    found = of_ben(traffic=traffic, told="at most 10 octets")
    assert (found["sent"], found["sent_octets"], found["received_octets"]) == (5, 2_499, 12_345_678)
    assert list(lines_of(found))[1:3] == [
        "programs' datagrams: 5 (2.5 kB) sent, 1 (12.3 MB) received; 1 flow",
        "of these through the relay: 3 (999 B) sent, 1 (12.3 MB) received; the server says: at most 10 octets",
    ]


AT_BEN = note.ServiceAtPeer("ben", False)


@pytest.mark.parametrize(
    ("notices", "trouble"),
    [
        ([], None),
        ([AT_BEN], AT_BEN),
        ([AT_BEN, note.PeerSeen("ben", PeerState.PRESENT)], AT_BEN),
        ([AT_BEN, note.PeerSeen("ben", PeerState.LEFT)], None),
        ([AT_BEN, note.ServiceAtPeer("ben", True)], None),
        ([note.ServiceAtPeer("ben", False, "dns")], None),
        ([note.SidesAlike("ben", Serves.LISTEN), note.PeerSeen("ben", PeerState.PRESENT)], None),
    ],
)
def test_the_unnamed_service_is_as_the_newest_notice_says(
    notices: list[note.Notice], trouble: note.Notice | None
) -> None:
    heard = Heard()
    for each in notices:
        heard.told(each)
    assert heard.trouble == trouble


@pytest.mark.parametrize(
    ("trouble", "is_told", "state", "reason"),
    [
        (None, True, "ready", None),
        (None, False, "waiting", None),
        (AT_BEN, True, "down-there", "nothing listens on the service that ben connects to"),
        (
            note.ServiceOnlyHere("ben", "dns", "listen"),
            True,
            "only-here",
            "ben has no service dns",
        ),
    ],
)
def test_a_service_says_why_its_datagrams_do_not_cross(
    trouble: note.Notice | None, is_told: bool, state: str, reason: str | None
) -> None:
    told = service_state("127.0.0.1:53", refuses=False, is_told=is_told, trouble=trouble)
    assert (told["state"], told["reason"]) == (state, reason)
    assert (told["remedy"] is None) == (reason is None)
