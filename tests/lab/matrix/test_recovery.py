"""The reference client after each fault: it notices, connects again by itself, and carries datagrams.

A dead path ends when consent does, here after 3 s; that it is 30 s without the option, and that nothing
is claimed for longer, is proven on the virtual clock (`tests/sim/test_consent.py`).
"""

# ruff: noqa: PLC0415 - only a sandbox imports Mininet, whose code is full of warnings

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from natlab.faults.grammar import parse_action
from tests.lab import warm
from tests.lab.pairs import Pair, Tunnel, events, start_server, tunnels

if TYPE_CHECKING:
    from natlab.faults.inject import Faults
    from natlab.network.network import Network
    from natlab.programs.program import Program

pytestmark = pytest.mark.timeout(200)
_TIMEOUT = 180.0
_NOTICED_WITHIN = 60.0
_CONNECTED_WITHIN = 60.0
_OPTIONS = ("--consent", "3s")
_LEFT = ("path-lost", "path-moved")
"""The events of a path that is left: with none to take its place, or for a newer one that stands."""
PAIR = Pair("host_a", "host_b")
A, B = PAIR.clients


@dataclass(frozen=True, slots=True)
class Case:
    """`lost`: the hosts whose client has to say that the path is lost, before `repair`. `roams`: the path goes on at
    host_a's new port."""

    break_it: Sequence[str]
    repair: Sequence[str] = ()
    lost: Sequence[str] = ("host_a", "host_b")
    topology: str = "two_nats"
    nats: Mapping[str, object] = field(default_factory=dict)
    roams: bool = False


SYMMETRIC = {"nat_a": "symmetric", "nat_b": "full-cone"}
CASES = {
    "link-down-and-up": Case(["link-down host_a"], ["link-up host_a"]),
    "nat-reboot": Case(["nat-reboot nat_a"], lost=(), nats=SYMMETRIC, roams=True),
    "wan-address": Case(["wan-address nat_a 203.0.113.77"]),
    "expired-mapping": Case(["expire nat_a host_a"], lost=(), nats=SYMMETRIC, roams=True),
    "nat-swap": Case(
        ["nat-swap nat_a symmetric"],
        lost=(),
        nats={"nat_a": "full-cone", "nat_b": "full-cone"},
        roams=True,
    ),
    "one-way": Case(["block nat_a nat_b"], ["unblock nat_a nat_b"]),
    "peer-killed": Case([f"signal {B} KILL"], [f"restart {B}"], lost=["host_a"]),
    "peer-terminated": Case([f"signal {B} TERM"], [f"restart {B}"], lost=["host_a"]),
    "peer-stopped": Case([f"signal {B} STOP"], [f"signal {B} CONT"], lost=["host_a"]),
    "hand-over": Case(["link-down host_a-wifi"], topology="multi_homed"),
}


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen, from the first path to the clients' ends."""

    remotes: list[str]
    """Where host_b had its peer, path after path."""
    sources: int
    """How many sources the service has seen of one program."""
    statuses: dict[str, int]
    sockets_left: int


def _recover(directory: Path, case: Case) -> Seen:
    from natlab.faults.inject import Faults
    from natlab.network.network import standing
    from natlab.programs.programs import Programs

    topology = import_module(f"topologies.{case.topology}").topos[case.topology](**case.nats)
    with standing(topology) as network, Programs(directory) as programs:
        start_server(network, programs)
        faults = Faults(network, programs)
        with tunnels(network, programs, PAIR, options=_OPTIONS) as made:
            tunnel = made[PAIR]
            assert tunnel.verdicts() == {"path-established"}
            assert tunnel.carries(b"before")

            _inject(faults, case.break_it)
            for host in case.lost:
                _wait_for(lambda: _client(faults, host), _LEFT, 1)  # noqa: B023

            _inject(faults, case.repair)
            if case.roams:
                # An idle path shows itself no more than once a minute.
                tunnel.carries(b"meanwhile", tries=5, timeout=1)
                _wait_for(lambda: _client(faults, "host_b"), "peer-roamed", 1)
            for host in () if case.roams else tunnel.clients:
                paths = 1 if _client(faults, host) is not tunnel.clients[host] else 2
                _wait_for(lambda: _client(faults, host), "path-established", paths)  # noqa: B023
            assert tunnel.carries(b"after", tries=5, timeout=4)
        clients = {host: _client(faults, host) for host in tunnel.clients}
        remotes = _remotes(tunnel.clients["host_b"])
        if clients["host_b"] is not tunnel.clients["host_b"]:
            remotes += _remotes(clients["host_b"])
        statuses = {host: client.terminate() for host, client in clients.items()}
        sources = len(set(tunnel.askers))
        return Seen(remotes, sources, statuses, _sockets(network))


def _inject(faults: Faults, actions: Sequence[str]) -> None:
    for action in actions:
        faults.inject(parse_action(action))


def _client(faults: Faults, host: str) -> Program:
    return faults.program(A if host == "host_a" else B)


def _wait_for(client: Callable[[], Program], event: str | tuple[str, ...], count: int) -> None:
    running = client()
    wanted = (event,) if isinstance(event, str) else event
    running.wait_until(
        lambda: sum(each["event"] in wanted for each in events(running)) >= count,
        f"{count} times {event}",
        timeout=_NOTICED_WITHIN if event == _LEFT else _CONNECTED_WITHIN,
    )


def _remotes(client: Program) -> list[str]:
    return [
        str(each["remote"]).partition(":")[0]
        for each in events(client)
        if each["event"] == "path-established"
    ]


def _sockets(network: Network) -> int:
    """UDP sockets on the hosts."""
    tables = (
        Path(f"/proc/{network.pid(host)}/net/udp").read_text(encoding="ascii").splitlines()[1:]
        for host in ("host_a", "host_b")
    )
    return sum(map(len, tables))


@pytest.mark.parametrize("name", CASES)
def test_the_pair_connects_again_by_itself(tmp_path: Path, name: str) -> None:
    seen = warm.call(_TIMEOUT, _recover, tmp_path, CASES[name])
    one_path = ["203.0.113.2"]
    expected = {
        "wan-address": ["203.0.113.2", "203.0.113.77"],
        "hand-over": ["203.0.113.2", "198.18.3.2"],
        "nat-reboot": one_path,
        "nat-swap": one_path,
        "expired-mapping": one_path,
    }.get(name, ["203.0.113.2", "203.0.113.2"])
    assert seen.remotes == expected
    # A program's session ends with the process that speaks for it, and with nothing else.
    assert seen.sources == (2 if name in {"peer-killed", "peer-terminated"} else 1)
    assert seen.statuses == {"host_a": 0, "host_b": 0}
    assert seen.sockets_left == 0


def _server_restarts(directory: Path) -> tuple[list[str], dict[str, list[str]]]:
    """The datagrams that crossed, one while the server is away and one after; the clients' words of it and the path."""
    from natlab.faults.inject import Faults
    from natlab.programs.programs import Programs
    from natlab.topologies.two_nats import two_nats_network

    with (
        two_nats_network("port-restricted-cone", "port-restricted-cone") as network,
        Programs(directory) as programs,
    ):
        start_server(network, programs)
        faults = Faults(network, programs)
        with tunnels(network, programs, PAIR, options=_OPTIONS) as made:
            tunnel: Tunnel = made[PAIR]
            assert tunnel.verdicts() == {"path-established"}
            _inject(faults, ["signal server KILL"])
            for client in tunnel.clients.values():
                client.wait_for_line('"event": "server-lost"', timeout=_NOTICED_WITHIN)
            carried = [text for text in ["without a server"] if tunnel.carries(text.encode())]
            _inject(faults, ["restart server"])
            for host in tunnel.clients:
                _wait_for(lambda: _client(faults, host), "registered-at-server", 2)  # noqa: B023
            carried += [text for text in ["with a new one"] if tunnel.carries(text.encode())]
            wanted = {"registered-at-server", "path-established", "path-lost"}
            said = {
                host: [str(e["event"]) for e in events(client) if e["event"] in wanted]
                for host, client in tunnel.clients.items()
            }
            return carried, said


def test_a_server_that_is_killed_and_restarted_takes_no_path_with_it(tmp_path: Path) -> None:
    carried, said = warm.call(_TIMEOUT, _server_restarts, tmp_path)
    assert carried == ["without a server", "with a new one"]
    story = ["registered-at-server", "path-established", "registered-at-server"]
    assert said == {"host_a": story, "host_b": story}
