"""A real coturn relays where the traversal server does not: for either host's TURN server, and for both."""

# ruff: noqa: PLC0415 - only a sandbox imports Mininet, whose code is full of warnings

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from natlab.network.addressing import SERVER_SECOND
from tests.lab import warm
from tests.lab.pairs import READY_WITHIN, Pair, events, start_server, tunnels

PAIR = Pair("host_a", "host_b")
_PORT = 3478
_TURN = ("--turn", f"turn:{SERVER_SECOND.ip}")
_OPTIONS = ("--methods", "ordered-hello,turn", "--set", "hello-interval=0.1")
_COTURN = (
    *("turnserver", "-n", "-L", str(SERVER_SECOND.ip), "-E", str(SERVER_SECOND.ip)),
    *("-p", str(_PORT), "--lt-cred-mech", "--realm", "lab", "--user", "lab:secret"),
    *("--no-tls", "--no-dtls", "--no-cli", "--log-file", "stdout", "--simple-log", "-v"),
)
_PAYLOAD = b"by the TURN server"


@dataclass(frozen=True, slots=True)
class Seen:
    verdicts: set[str]
    carried: bool
    methods: list[object]
    problems: list[object]
    through: int
    """Frames to or from the TURN server's address."""
    in_clear: int
    """Frames with the payload in them."""


def _relayed(own: Mapping[str, tuple[str, ...]], directory: Path) -> Seen:
    from natlab.capture.taps import Capture, Tap
    from natlab.evidence.journey import CAPTURE_POINTS
    from natlab.programs.programs import Programs
    from natlab.topologies.two_nats import two_nats_network

    with (
        two_nats_network("symmetric", "symmetric") as network,
        Programs(directory) as programs,
        Capture([Tap(network.pid(node), name) for name, node in CAPTURE_POINTS.items()]) as taken,
    ):
        coturn = programs.start("turnserver", _COTURN, network.pid("server"))
        coturn.wait_until_bound("udp", _PORT, timeout=READY_WITHIN)
        start_server(network, programs, "--no-relay")
        with tunnels(network, programs, PAIR, options=_OPTIONS, own=own) as found:
            tunnel = found[PAIR]
            verdicts = tunnel.verdicts()
            carried = verdicts == {"path-established"} and tunnel.carries(_PAYLOAD)
            for client in tunnel.clients.values():
                client.terminate()
            said = [event for each in tunnel.clients.values() for event in events(each)]
    frames = [bytes(each) for each in taken.frames]
    turn = SERVER_SECOND.ip.packed
    return Seen(
        verdicts,
        carried,
        [each["method"] for each in said if each["event"] == "path-established"],
        [each["reason"] for each in said if each["event"] == "turn-failed"],
        sum(turn in (each[26:30], each[30:34]) for each in frames),
        sum(_PAYLOAD in each for each in frames),
    )


@pytest.fixture
def credentials(tmp_path: Path) -> tuple[str, ...]:
    return _credentials(tmp_path, "secret")


def _credentials(directory: Path, password: str) -> tuple[str, ...]:
    file = directory / "turn.credentials"
    file.write_text(f"lab\n{password}\n", encoding="ascii")
    file.chmod(0o600)
    return *_TURN, "--turn-credentials", str(file)


@pytest.mark.parametrize("hosts", [("host_a",), ("host_b",), ("host_a", "host_b")])
def test_two_symmetric_nats_are_relayed_by_a_turn_server_of_either_host(
    hosts: tuple[str, ...], credentials: tuple[str, ...], tmp_path: Path
) -> None:
    seen = warm.call(60.0, _relayed, dict.fromkeys(hosts, credentials), tmp_path)
    assert (seen.verdicts, seen.carried) == ({"path-established"}, True), seen
    assert (seen.methods, seen.problems) == (["turn", "turn"], [])
    assert (seen.through > 0, seen.in_clear) == (True, 0)
