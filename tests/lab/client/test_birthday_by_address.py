"""Two real NATs that give ports at random, of which one maps and filters by address: the server with two addresses lets
both hosts find that out, sockets wait for probes, and the packets show that they meet, and their bounds."""

# ruff: noqa: PLC0415 - only a sandbox imports Mininet, whose code is full of warnings

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from natlab.evidence.check import Check
from natlab.evidence.journey import CAPTURE_POINTS
from natlab.evidence.methods import birthday
from natlab.evidence.methods.bursts import guesses_at_random, only_the_peer_was_aimed_at
from natlab.evidence.trace import Trace, reconstruct
from natlab.network.addressing import SERVER, SERVER_SECOND
from tests.lab import warm
from tests.lab.pairs import Pair, prepare, start_server, tunnels

if TYPE_CHECKING:
    from natlab.network.network import Network

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.measures_time,  # hundreds of words at a pace, and the checks look at each second of it
]
PAIR = Pair("host_a", "host_b")
OPTIONS = ("--methods", "ordered-hello,birthday,relay")
SOON = ("--relay", "early", "--set", "explain-after=0.1")
"""Each host asks for its NAT while the first attempt goes on, so that this one guesses."""
TRACKED = Path("/proc/sys/net/netfilter/nf_conntrack_count")


@dataclass(frozen=True, slots=True)
class Seen:
    trace: Trace
    entries: dict[str, int]
    """Of each router's kernel, when all was said."""


def _entries(network: Network, nat: str) -> int:
    from natlab.sandbox.netns import in_namespace

    with in_namespace(network.pid(nat)):
        return int(TRACKED.read_text(encoding="ascii"))


def _play(directory: Path, nats: tuple[str, str]) -> Seen:
    from natlab.capture.taps import Capture, Tap
    from natlab.programs.programs import Programs
    from natlab.topologies.two_nats import two_nats_network

    prepare()
    with two_nats_network(*nats) as network, Programs(directory) as programs:
        taps = [Tap(network.pid(node), interface) for interface, node in CAPTURE_POINTS.items()]
        with Capture(taps) as recorded:
            at = ("--host", str(SERVER.ip), "--alternate", f"{SERVER_SECOND.ip}:6546")
            start_server(network, programs, *at)
            with tunnels(network, programs, PAIR, options=(*OPTIONS, *SOON)) as made:
                for client in made[PAIR].clients.values():
                    wanted = '"event": "path-moved".*"method": "birthday"'
                    client.wait_for_line(wanted, timeout=40.0)
                entries = {nat: _entries(network, nat) for nat in ("nat_a", "nat_b")}
                assert made[PAIR].carries(b"direct")
        return Seen(reconstruct(recorded.packets), entries)


def test_a_random_port_is_met_where_the_other_port_is_random_as_well(tmp_path: Path) -> None:
    seen = warm.call(100, _play, tmp_path, ("ADM+ADF+random", "APDM+APDF+random"))
    (round_,) = filter(guesses_at_random, seen.trace.rounds)
    assert seen.trace.connected_round is round_, "by packets, and with data both ways"
    sockets, probes = round_.hellos_of(2), round_.hellos_of(1)
    assert {each.sender for each in sockets} == {"host_a"}, "its NAT lets any port of an address in"
    opened = {each.source: each.sent for each in reversed(sockets)}
    assert len(opened) > 1
    assert max(opened.values()) < min(each.sent for each in probes), "probes follow sockets here"
    assert len({each.source for each in probes}) == 1
    checks: tuple[Check, ...] = (
        birthday.packets_were_few(round_),
        birthday.no_second_had_too_many(round_),
        only_the_peer_was_aimed_at(seen.trace),
    )
    assert [check for check in checks if not check.ok] == []
    assert max(seen.entries.values()) <= birthday.MOST_ENTRIES
