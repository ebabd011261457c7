"""How soon datagrams arrive again after troubles that take long to play: real kernels, real NATs, real clients.

Time is counted in datagrams of the stream, fifty a second. `make test-measured` runs them alone.
"""

# ruff: noqa: PLC0415 - only a sandbox imports Mininet, whose code is full of warnings

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from signal import SIGCONT, SIGSTOP
from typing import TYPE_CHECKING

import pytest

from tests.lab import warm
from tests.lab.pairs import PYTHON, Pair, Tunnel, events, start_server, tunnels
from tests.lab.streams import EVERY

if TYPE_CHECKING:
    from natlab.faults.inject import Faults

pytestmark = [pytest.mark.measures_time, pytest.mark.timeout(170)]
PAIR = Pair("host_a", "host_b")
RELAYED = ("--methods", "ordered-hello,relay", "--consent", "8s")
LONG = 12.0
"""Seconds: longer than consent."""
TIMEOUT = 160.0
MORE = 75
"""Datagrams that have to arrive each way after the trouble."""
THREE_SECONDS = int(3.0 / EVERY)
CLOSED = {"nat_a": "symmetric", "nat_b": "symmetric"}
"""No direct path without guesses."""
CLOSED_LATER = {"nat_b": "symmetric", "nat_c": "symmetric"}
"""The same by the other interface of host_a."""


@dataclass(frozen=True, slots=True)
class Seen:
    missed: tuple[int, int]
    """Datagrams there and back that were sent from the end of the trouble on, until one of them arrived."""
    gaps: tuple[int, int]
    """The most in a row that never arrived."""
    told: dict[str, list[str]]


@contextmanager
def standing_pair(
    directory: Path, topology: str, nats: Mapping[str, str]
) -> Iterator[tuple[Tunnel, Faults]]:
    """A pair with a path, in that topology. Each host has an identity that the other one knows."""
    from natlab.faults.inject import Faults
    from natlab.network.network import standing
    from natlab.programs.programs import Programs

    made = import_module(f"topologies.{topology}").topos[topology](**nats)
    with standing(made) as network, Programs(directory) as programs:
        start_server(network, programs)
        own = identities(directory)
        with tunnels(network, programs, PAIR, options=RELAYED, own=own) as made_tunnels:
            tunnel = made_tunnels[PAIR]
            for client in tunnel.clients.values():
                client.wait_for_line('"event": "path-established"', timeout=30.0)
            yield tunnel, Faults(network, programs)


def identities(directory: Path) -> dict[str, list[str]]:
    """The options of each host."""
    files = {host: directory / f"{host}.key" for host in ("host_a", "host_b")}
    public = {
        host: subprocess.run(
            [*PYTHON, "identity", str(file)], check=True, capture_output=True, text=True
        ).stdout.split()[-1]
        for host, file in files.items()
    }
    return {
        host: ["--identity", str(files[host]), "--peer-key", public[peer]]
        for host, peer in (("host_a", "host_b"), ("host_b", "host_a"))
    }


def _play(directory: Path, topology: str, nats: Mapping[str, str], trouble: str) -> Seen:
    from natlab.faults.grammar import parse_action

    with standing_pair(directory, topology, nats) as (tunnel, faults):
        stream = tunnel.stream()
        client = tunnel.clients["host_a"]
        with stream.running():
            stream.flow_on(MORE // 3)
            match trouble:
                case "hand-over":
                    faults.inject(parse_action("link-down host_a-wifi"))
                case "wakes elsewhere":
                    client.signal(SIGSTOP)
                    faults.inject(parse_action("link-down host_a-wifi"))
                    time.sleep(LONG)
                    client.signal(SIGCONT)
                case "stopped":
                    client.signal(SIGSTOP)
                    time.sleep(LONG)
                    client.signal(SIGCONT)
                case "power lost":
                    # Nothing of its last words comes to the server: the host is back by its other interface.
                    faults.inject(parse_action("link-down host_a-wifi"))
                    faults.inject(parse_action(f"signal {PAIR.clients[0]} KILL"))
                    faults.inject(parse_action(f"restart {PAIR.clients[0]}"))
                    again = faults.program(PAIR.clients[0])
                    again.wait_for_line('"event": "started"', timeout=30.0)
                case "server restarts":
                    faults.inject(parse_action("signal server KILL"))
                    time.sleep(10.0)
                    faults.inject(parse_action("restart server"))
                    server = faults.program("server")
                    server.wait_for_line('"event": "listening"', timeout=30.0)
            over = stream.there.sent, stream.back.sent
            stream.flow_on(MORE)
        told = {
            host: [str(each["event"]) for each in events(each_client)]
            for host, each_client in tunnel.clients.items()
        }
        there, back = stream.there.missed_from(over[0]), stream.back.missed_from(over[1])
        gaps = stream.there.longest_gap, stream.back.longest_gap
        return Seen((there, back), gaps, told)


@pytest.mark.parametrize(
    ("trouble", "topology", "nats"),
    [
        ("hand-over", "multi_homed", {"nat_a": "full-cone", **CLOSED_LATER}),
        ("power lost", "multi_homed", {}),
        ("wakes elsewhere", "multi_homed", {}),
        ("wakes elsewhere", "multi_homed", {"nat_a": "full-cone", **CLOSED_LATER}),
        ("stopped", "two_nats", {}),
        ("stopped", "two_nats", CLOSED),
        ("server restarts", "two_nats", CLOSED),
    ],
)
def test_datagrams_arrive_again_within_three_seconds(
    tmp_path: Path, trouble: str, topology: str, nats: Mapping[str, str]
) -> None:
    seen = warm.call(TIMEOUT, _play, tmp_path, topology, nats, trouble)
    assert max(seen.missed) <= THREE_SECONDS, seen
