"""A stream between two hosts while one of them moves, or its NAT forgets it: real kernels, real NATs, real clients.

Time is counted in datagrams of the stream, fifty a second. The limits are generous: other work may run beside.
"""

# ruff: noqa: PLC0415 - only a sandbox imports Mininet, whose code is full of warnings

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from signal import SIGCONT, SIGSTOP

import pytest

from tests.lab import warm
from tests.lab.pairs import READY_WITHIN, Pair, events, start_server, tunnels

PAIR = Pair("host_a", "host_b")
_TIMEOUT = 120.0
_MORE = 75
"""Datagrams that have to arrive each way after the fault."""
_GAP = 100
"""The most in a row that may be lost: two seconds, where half of one is usual."""
_STOPPED_FOR = 5.0
_LOOKED_BY = 1.5
"""Seconds by which the client has looked at what the kernel said: more than twice what it waits."""
_QUICK = ("--consent", "2s", "--set", "wake-interval=200ms")
_TOLD = ("path-established", "path-lost", "path-moved", "peer-roamed", "network-changed")


@dataclass(frozen=True, slots=True)
class Case:
    topology: str
    nats: Mapping[str, str]
    fault: str


FULL = {"nat_a": "full-cone", "nat_b": "full-cone"}
ROAMING = {
    "hand-over": Case("multi_homed", {"nat_b": "full-cone"}, "link-down host_a-wifi"),
    "new port": Case("two_nats", {**FULL, "nat_a": "symmetric"}, "nat-reboot nat_a"),
    "new wan address": Case("two_nats", FULL, "wan-address nat_a 203.0.113.77"),
}


@dataclass(frozen=True, slots=True)
class Seen:
    gaps: tuple[int, int]
    told: dict[str, list[str]]
    """By host, the events that have to do with the path."""


def _stream_through(directory: Path, case: Case) -> Seen:
    from natlab.faults.grammar import parse_action
    from natlab.faults.inject import Faults
    from natlab.network.network import standing
    from natlab.programs.programs import Programs

    topology = import_module(f"topologies.{case.topology}").topos[case.topology](**case.nats)
    with standing(topology) as network, Programs(directory) as programs:
        start_server(network, programs)
        with tunnels(network, programs, PAIR, options=()) as made:
            tunnel = made[PAIR]
            assert tunnel.verdicts() == {"path-established"}
            stream = tunnel.stream()
            with stream.running():
                stream.flow_on(_MORE // 3)
                Faults(network, programs).inject(parse_action(case.fault))
                stream.flow_on(_MORE)
            told = {
                host: [str(each["event"]) for each in events(client) if each["event"] in _TOLD]
                for host, client in tunnel.clients.items()
            }
        return Seen((stream.there.longest_gap, stream.back.longest_gap), told)


@pytest.mark.parametrize("name", ROAMING)
def test_the_path_goes_on_without_another_attempt(tmp_path: Path, name: str) -> None:
    seen = warm.call(_TIMEOUT, _stream_through, tmp_path, ROAMING[name])
    own = ["network-changed"] if name == "hand-over" else []
    assert seen.told == {
        "host_a": ["path-established", *own],
        "host_b": ["path-established", "peer-roamed"],
    }
    assert max(seen.gaps) <= _GAP, seen


def _interfaces_come(directory: Path) -> list[list[str]]:
    """What the client of host_a has told after one of Docker's interfaces has come, and after one of another network."""
    from natlab.programs.programs import Programs
    from natlab.sandbox.netns import in_namespace
    from natlab.topologies.two_nats import two_nats_network

    with two_nats_network("full-cone", "full-cone") as network, Programs(directory) as programs:
        start_server(network, programs)

        def comes(name: str, peer: str, address: str) -> None:
            with in_namespace(network.pid("host_a")):
                for words in (
                    f"ip link add {name} type veth peer name {peer}",
                    f"ip addr add {address} dev {name}",
                    f"ip link set {peer} up",
                    f"ip link set {name} up",
                ):
                    subprocess.run(words.split(), check=True)

        with tunnels(network, programs, PAIR, options=()) as made:
            tunnel = made[PAIR]
            assert tunnel.verdicts() == {"path-established"}
            client = tunnel.clients["host_a"]
            comes("docker0", "veth0a", "172.17.0.1/16")
            time.sleep(_LOOKED_BY)
            told = [[str(each["event"]) for each in events(client)]]
            comes("eth9", "veth9", "10.99.0.1/24")
            client.wait_for_line('"network-changed"', timeout=READY_WITHIN)
            assert tunnel.carries(b"after that")
            told.append([str(each["event"]) for each in events(client)])
        return told


def test_only_an_interface_that_may_lead_elsewhere_is_a_change_of_the_network(
    tmp_path: Path,
) -> None:
    first, then = warm.call(_TIMEOUT, _interfaces_come, tmp_path)
    assert "network-changed" not in first
    assert then.count("path-established") == 1
    assert not {"path-lost", "server-lost"} & set(then)


def _stopped(directory: Path) -> tuple[list[str], int]:
    """The client of host_a is stopped past consent, here 2 s: what it told, and how many datagrams it then missed."""
    from natlab.programs.programs import Programs
    from natlab.topologies.two_nats import two_nats_network

    with (
        two_nats_network("port-restricted-cone", "port-restricted-cone") as network,
        Programs(directory) as programs,
    ):
        start_server(network, programs)
        with tunnels(network, programs, PAIR, options=_QUICK) as made:
            tunnel = made[PAIR]
            assert tunnel.verdicts() == {"path-established"}
            client, stream = tunnel.clients["host_a"], tunnel.stream()
            with stream.running():
                stream.flow_on(_MORE // 3)
                client.signal(SIGSTOP)
                time.sleep(_STOPPED_FOR)
                client.signal(SIGCONT)
                since = stream.back.sent
                stream.flow_on(_MORE)
            told = [str(each["event"]) for each in events(client)]
        return told, min(number for number in stream.back.arrived if number >= since) - since


def test_a_client_that_was_stopped_carries_again(tmp_path: Path) -> None:
    told, missed = warm.call(_TIMEOUT, _stopped, tmp_path)
    assert "woke" in told
    assert missed <= 3 * _GAP


def test_where_the_peers_nat_filters_a_new_path_takes_over(tmp_path: Path) -> None:
    case = Case("multi_homed", {"nat_b": "port-restricted-cone"}, "link-down host_a-wifi")
    seen = warm.call(_TIMEOUT, _stream_through, tmp_path, case)
    assert seen.told["host_a"][:2] == ["path-established", "network-changed"]
    assert "path-lost" not in seen.told["host_a"]
    assert [told for told in seen.told.values() if told.count("path-established") < 2] == []
    assert max(seen.gaps) <= _GAP, seen
