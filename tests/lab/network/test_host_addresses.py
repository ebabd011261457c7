"""Host addresses behind one real NAT that does not hairpin."""

# ruff: noqa: PLC0415 - only a sandbox imports Mininet, whose code is full of warnings

from __future__ import annotations

from pathlib import Path

from tests.lab import warm
from tests.lab.pairs import Pair, events, prepare, start_server, tunnels

INSIDE, OUTSIDE = Pair("host_a1", "host_a2"), Pair("host_a1", "host_b")
METHODS = ("--methods", "ordered-hello,host")


def _connected(directory: Path) -> dict[Pair, list[tuple[str, str]]]:
    """By pair, each client's method and the address of its path; datagrams have crossed."""
    from natlab.network.network import standing
    from natlab.programs.programs import Programs
    from natlab.topologies.shared_nat import SharedNat

    prepare(2)
    with standing(SharedNat()) as network, Programs(directory) as programs:
        start_server(network, programs)
        with tunnels(network, programs, INSIDE, OUTSIDE, options=METHODS) as found:
            for pair, tunnel in found.items():
                assert tunnel.verdicts() == {"path-established"}, pair
                assert tunnel.carries(b"at home"), pair
            return {
                pair: [
                    (str(event["method"]), str(event["remote"]).rpartition(":")[0])
                    for client in tunnel.clients.values()
                    for event in events(client)
                    if event["event"] == "path-established"
                ]
                for pair, tunnel in found.items()
            }


def test_hosts_behind_one_nat_meet_at_their_own_addresses(tmp_path: Path) -> None:
    assert warm.call(50.0, _connected, tmp_path) == {
        INSIDE: [("host", "10.0.1.3"), ("host", "10.0.1.2")],
        OUTSIDE: [("ordered-hello", "198.51.100.2"), ("ordered-hello", "203.0.113.2")],
    }
