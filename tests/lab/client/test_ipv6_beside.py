"""IPv6 beside IPv4: hosts whose NATs keep them apart meet through two stateful firewalls."""

# ruff: noqa: PLC0415 - only a sandbox imports Mininet, whose code is full of warnings

from __future__ import annotations

from pathlib import Path

from tests.lab import warm
from tests.lab.pairs import Pair, events, start_server, tunnels

PAIR = Pair("host_a", "host_b")
METHODS = ("--methods", "ordered-hello,ipv6")


def _connected(nats: tuple[str, str], directory: Path) -> list[tuple[str, str]]:
    """Each client's method and the address of its path; datagrams have crossed."""
    from natlab.network.network import standing
    from natlab.programs.programs import Programs
    from natlab.topologies.dual_stack import DualStack

    with standing(DualStack(*nats)) as network, Programs(directory) as programs:
        start_server(network, programs)
        with tunnels(network, programs, PAIR, options=METHODS) as found:
            (tunnel,) = found.values()
            assert tunnel.verdicts() == {"path-established"}
            assert tunnel.carries(b"by IPv6")
            return [
                (str(event["method"]), str(event["remote"]).rpartition(":")[0])
                for client in tunnel.clients.values()
                for event in events(client)
                if event["event"] == "path-established"
            ]


def test_hosts_that_have_ipv6_meet_by_it_where_their_nats_keep_them_apart(tmp_path: Path) -> None:
    nats = ("symmetric", "port-restricted-cone")
    assert warm.call(50.0, _connected, nats, tmp_path) == [
        ("ipv6", "[2001:db8:b:1::2]"),
        ("ipv6", "[2001:db8:a:1::2]"),
    ]
