"""Behind a NAT64 alone every server may be named by its IPv4 address: for the client, for a check, and for TURN by a real coturn."""

# ruff: noqa: PLC0415 - only a sandbox imports Mininet, whose code is full of warnings

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from natlab.network.addressing import SERVER, SERVER_SECOND
from tests.lab import warm
from tests.lab.pairs import PYTHON, READY_WITHIN, Pair, prepare, start, start_server, tunnels, ways
from tests.nats import seen_from_inside

if TYPE_CHECKING:
    from natlab.network.network import Network
    from natlab.programs.programs import Programs

PAIR = Pair("host_a", "host_b")
_COTURN = (
    *("turnserver", "-n", "-L", str(SERVER_SECOND.ip), "-E", str(SERVER_SECOND.ip)),
    *("-p", "3478", "--lt-cred-mech", "--realm", "lab", "--user", "lab:secret"),
    *("--no-tls", "--no-dtls", "--no-cli", "--log-file", "stdout", "--simple-log"),
)


@contextmanager
def _standing(nat: str, directory: Path, *options: str) -> Iterator[tuple[Network, Programs]]:
    """host_a behind a NAT64 with the behaviour of `nat`, host_b behind such a NAT, and the server."""
    from natlab.network.loading import load
    from natlab.network.network import standing
    from natlab.programs.programs import Programs

    prepare()
    topology = load(f"nat64,nat_a={nat},nat_b={nat}")
    with standing(topology) as network, Programs(directory) as programs:
        start_server(network, programs, *options)
        yield network, programs


def _direct(directory: Path) -> list[list[str]]:
    """The ways of both clients; host_a has the server's IPv4 address, as host_b does."""
    with (
        _standing("port-restricted-cone", directory) as (network, programs),
        tunnels(network, programs, PAIR, options=("--server", str(SERVER.ip))) as made,
    ):
        assert made[PAIR].verdicts() == {"path-established"}
        assert made[PAIR].carries(b"by the prefix")
        return [ways(each) for each in made[PAIR].clients.values()]


def test_a_client_reaches_a_server_by_its_ipv4_address(tmp_path: Path) -> None:
    assert warm.call(60, _direct, tmp_path) == [["ordered-hello"]] * 2


def _by_turn(transport: Literal["udp", "tcp"], directory: Path) -> list[list[str]]:
    credentials = directory / "credentials"
    credentials.touch(mode=0o600)
    credentials.write_text("lab\nsecret\n", encoding="ascii")
    uri = f"turn:{SERVER_SECOND.ip}?transport={transport}"
    own = {"host_a": ("--turn", uri, "--turn-credentials", str(credentials))}
    methods = ("--methods", "ordered-hello,turn", "--set", "hello-interval=0.1")
    with _standing("symmetric", directory, "--no-relay") as (network, programs):
        coturn = programs.start("turnserver", _COTURN, network.pid("server"))
        coturn.wait_until_bound(transport, 3478, timeout=READY_WITHIN)
        with tunnels(network, programs, PAIR, options=methods, own=own) as made:
            assert made[PAIR].verdicts() == {"path-established"}
            assert made[PAIR].carries(b"by the TURN server")
            return [ways(each) for each in made[PAIR].clients.values()]


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_so_does_it_a_turn_server(transport: Literal["udp", "tcp"], tmp_path: Path) -> None:
    assert warm.call(60, _by_turn, transport, tmp_path) == [["turn"]] * 2


def _checked(nat: str, directory: Path) -> dict[str, tuple[object, object]]:
    """The server as the check calls it, and the NAT's id, by the word for the server."""
    other = f"{SERVER_SECOND.ip}:6546"
    with _standing(nat, directory, "--host", str(SERVER.ip), "--alternate", other) as (net, run):
        found = {}
        for name in ("server.lab", str(SERVER.ip)):
            check = start(run, name, [*PYTHON, "check", name, "--json"], net.pid("host_a"))
            assert check.wait(timeout=40) == 0
            verdict = json.loads(check.lines("stdout")[-1].text)
            found[name] = verdict["server"], verdict["id"]
        return found


def test_a_check_tells_the_nat64_s_behaviour_by_name_and_by_address(tmp_path: Path) -> None:
    nat = "EIM+ADF+random"
    server = f"{SERVER.ip}:6545"
    assert warm.call(90, _checked, nat, tmp_path) == dict.fromkeys(
        ["server.lab", str(SERVER.ip)], (server, seen_from_inside(nat))
    )
