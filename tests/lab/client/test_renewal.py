"""A real NAT that ends each mapping at an absolute age, and then gives another port: a stream loses nothing."""

# ruff: noqa: PLC0415 - only a sandbox imports Mininet, whose code is full of warnings

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from tests.lab import warm
from tests.lab.pairs import Pair, events, start_server, tunnels

PAIR = Pair("host_a", "host_b")
AGE = 9
"""Seconds. A minute is usual; the next path opens three seconds before it."""
_PATHS = 3
_RATE = 50


def _stream_through(directory: Path, age: int, seconds: int) -> tuple[int, int, int]:
    """How many datagrams in a row were lost there and back, and how many paths there were."""
    from natlab.network.network import standing
    from natlab.programs.programs import Programs

    nats = {"nat_a": f"EIM+APDF+random+absolute+{age}s", "nat_b": "port-restricted-cone"}
    topology = import_module("topologies.two_nats").topos["two_nats"](**nats)
    with standing(topology) as network, Programs(directory) as programs:
        start_server(network, programs)
        options = ("--set", f"mapping-age={age}")
        with tunnels(network, programs, PAIR, options=options) as made:
            tunnel = made[PAIR]
            assert tunnel.verdicts() == {"path-established"}
            stream = tunnel.stream()
            with stream.running():
                for _ in range(seconds):
                    stream.flow_on(_RATE)
            told = [str(each["event"]) for each in events(tunnel.clients["host_a"])]
        return stream.there.longest_gap, stream.back.longest_gap, told.count("path-established")


def test_each_path_gives_its_place_to_the_next_before_its_mapping_ends(tmp_path: Path) -> None:
    *gaps, paths = warm.call(120.0, _stream_through, tmp_path, AGE, 2 * AGE)
    assert gaps == [0, 0]
    assert paths >= _PATHS
