"""The peer's address changes and the path goes on; whoever copies its frames gets next to nothing.

All datagrams and their targets are read from the network's own record.
"""

from __future__ import annotations

import pytest

from nat_traversal.machine import notices as note
from nat_traversal.paths.roaming import (
    ADDRESS_DATAGRAMS,
    ADDRESS_EVERY,
    TRIAL_DATAGRAMS,
    TRIAL_OCTETS,
)
from nat_traversal.wire import datagrams
from nat_traversal.wire.datagrams import Kind
from nat_traversal.wire.endpoint import Endpoint
from tests.sim.client import Client
from tests.sim.network import Packet
from tests.sim.test_relay import Stream, assert_all_arrived
from tests.sim.world import World, connected, is_frame

EVERY = 0.05
"""Seconds between two datagrams of a stream."""
HEADERS = 28
"""Octets of IPv4 and UDP."""
OPEN = {"nat_a": "full-cone", "nat_b": "full-cone"}


def both_ways(a: Client, b: Client) -> tuple[Stream, Stream]:
    return Stream(a, b, every=EVERY), Stream(b, a, every=EVERY)


def lost(stream: Stream) -> list[int]:
    """Of all but those that may be on their way."""
    return sorted(set(stream.sent[:-10]) - set(stream.arrived))


def to(world: World, address: Endpoint) -> list[Packet]:
    return [packet for packet in world.net.log if packet.destination == address]


# The peer is elsewhere


@pytest.mark.parametrize("nat_b", ["none", "full-cone"])
def test_a_new_wan_address_costs_no_new_path_and_half_a_second_at_most(nat_b: str) -> None:
    world, a, b = connected(nat_a="full-cone", nat_b=nat_b)
    streams = both_ways(a, b)
    world.run(1.0)
    a.change_address("203.0.113.77")
    world.run(20.0)
    assert [each.remote.address for each in b.told(note.PeerRoamed)] == ["203.0.113.77"]
    for client, stream in zip((b, a), streams, strict=True):
        assert len(client.told(note.PathEstablished)) == 1
        assert not client.told(note.PathLost)
        assert len(lost(stream)) <= 0.5 / EVERY
    assert len(lost(streams[0])) == 0, "nothing holds up what the peer sends"


@pytest.mark.parametrize("nat_b", ["none", "full-cone", "restricted-cone"])
def test_a_new_port_of_the_nat_is_followed_where_the_other_nat_lets_it_in(nat_b: str) -> None:
    world, a, b = connected(nat_a="symmetric", nat_b=nat_b)
    streams = both_ways(a, b)
    world.run(1.0)
    before = b.path.remote
    world.net.hosts["host_a"].nat.forget()
    world.run(20.0)
    (roamed,) = b.told(note.PeerRoamed)
    assert roamed.remote.address == before.address
    assert roamed.remote.port != before.port
    assert len(a.told(note.PathEstablished)) == len(b.told(note.PathEstablished)) == 1
    assert len(lost(streams[0])) == 0
    assert len(lost(streams[1])) <= 0.5 / EVERY


def test_an_idle_path_follows_with_the_next_keepalive() -> None:
    world, a, b = connected(nat_a="symmetric", nat_b="none")
    world.net.hosts["host_a"].nat.forget()
    world.run(15.0)
    assert len(b.told(note.PeerRoamed)) == 1
    streams = both_ways(a, b)
    world.run(1.0)
    assert_all_arrived(*streams)
    assert len(b.told(note.PathEstablished)) == 1


def test_both_hosts_at_new_ports_meet_again_without_the_server() -> None:
    world, a, b = connected(nat_a="full-cone", nat_b="full-cone")
    streams = both_ways(a, b)
    world.server.stop()
    world.run(1.0)
    a.host.nat.change_address("203.0.113.77")
    world.run(5.0)
    b.host.nat.change_address("198.51.100.77")
    world.run(5.0)
    assert a.told(note.PeerRoamed)[-1].remote.address == "198.51.100.77"
    assert b.told(note.PeerRoamed)[-1].remote.address == "203.0.113.77"
    assert max(len(lost(stream)) for stream in streams) <= 0.5 / EVERY


def test_a_new_address_has_to_carry_the_sizes_anew() -> None:
    world, a, b = connected(nat_a="full-cone", nat_b="none")
    world.run(10.0)
    assert b.frame_sizes[-1] > b.frame_sizes[0]
    found = len(b.frame_sizes)
    a.host.nat.change_address("203.0.113.77")
    world.run(20.0)
    assert b.frame_sizes[found] == b.frame_sizes[0]
    assert b.frame_sizes[-1] == b.frame_sizes[found - 1]


# Somebody else is there

ATTACKED = {"one frame": 1, "every frame": 100_000}


class Attacker:
    """On the way to host B, and faster: copies A's frames and sends them from its own address."""

    def __init__(self, world: World, most: int) -> None:
        self._world, self._left = world, most
        self._host = world.net.hosts["host_c"]
        self.socket = self._host.open(self._came)
        self.forwards_to: Endpoint | None = None
        world.net.copied_by = self._copies

    def _copies(self, packet: Packet) -> list[Endpoint]:
        if packet.sender != "host_a" or not is_frame(packet, *Kind) or not self._left:
            return []
        self._left -= 1
        return [self.socket]

    def _came(self, data: bytes, source: Endpoint) -> None:
        del source
        if self.forwards_to is not None:
            self._world.net.send_from_host(self._host, self.socket, self.forwards_to, data)


@pytest.mark.parametrize("forwards", [False, True])
@pytest.mark.parametrize("how_many", ATTACKED)
def test_who_copies_frames_and_is_faster_never_draws_the_stream(
    how_many: str, *, forwards: bool
) -> None:
    """With `forwards` the attacker hands A what B sends it, so that A answers, and copies the answer as well."""
    world, a, b = connected(**OPEN)
    streams = both_ways(a, b)
    world.run(1.0)
    attacker = Attacker(world, ATTACKED[how_many])
    attacker.forwards_to = b.path.remote if forwards else None
    world.run(30.0)
    drawn = to(world, attacker.socket)
    assert drawn, "it was not asked at all"
    assert {
        packet.datagram.kind for packet in drawn if isinstance(packet.datagram, datagrams.Frame)
    } <= {
        Kind.PING,
        Kind.PONG,
    }
    if not forwards:
        assert len(drawn) <= TRIAL_DATAGRAMS
        octets = sum(HEADERS + len(datagrams.encode(packet.datagram)) for packet in drawn)
        assert octets <= TRIAL_OCTETS
    assert not [told for each in (a, b) for told in each.told(note.PeerRoamed)]
    for client in (a, b):
        assert len(client.told(note.PathEstablished)) == 1
        assert client.is_connected
    assert_all_arrived(*streams)


def test_copies_from_ever_new_ports_of_an_address_draw_forty_datagrams_there() -> None:
    world, a, b = connected(**OPEN)
    streams = both_ways(a, b)
    sources = (Endpoint("203.0.113.200", port) for port in range(1024, 65_536))
    world.net.copied_by = lambda p: [next(sources)] if p.sender == "host_a" else []
    began = world.clock.now
    world.run(30.0)
    drawn = [
        p for p in world.net.log if p.sent_at >= began and p.destination.address == "203.0.113.200"
    ]
    assert len(drawn) <= ADDRESS_DATAGRAMS + 30 / ADDRESS_EVERY
    assert [p for p in drawn if not is_frame(p, Kind.PING, Kind.PONG)] == []
    assert_all_arrived(*streams)
    assert not b.told(note.PeerRoamed)


def test_a_frame_that_is_older_than_others_begins_nothing() -> None:
    """It was held back, and comes for the first time: from elsewhere, but not as the newest."""
    world, a, b = connected(**OPEN)
    world.net.drop(lambda p: p.sender == "host_a" and is_frame(p, Kind.DATA), 1)
    a.send_frame(Kind.DATA, b"01234held")
    held = world.net.log[-1]
    world.run(1.0)
    a.send_frame(Kind.DATA, b"01234newer")
    world.run(1.0)
    assert b.delivered[-1] == b"01234newer"
    elsewhere = world.net.hosts["host_c"].open(lambda *_: None)
    world.net.send_from_host(
        world.net.hosts["host_c"],
        elsewhere,
        held.destination,
        datagrams.encode(held.datagram),
    )
    world.run(5.0)
    assert b.delivered[-1] == b"01234held"
    assert to(world, elsewhere) == []


def test_a_frame_that_came_before_draws_nothing_from_anywhere() -> None:
    world, a, b = connected(**OPEN)
    a.send_frame(Kind.DATA, b"01234once")
    sent = world.net.log[-1]
    world.run(1.0)
    elsewhere = world.net.hosts["host_c"].open(lambda *_: None)
    for _ in range(20):
        world.net.send_from_host(
            world.net.hosts["host_c"], elsewhere, sent.destination, datagrams.encode(sent.datagram)
        )
        world.run(0.1)
    assert b.delivered.count(b"01234once") == 1
    assert to(world, elsewhere) == []
