"""Every datagram of a pair, recorded and sent again: off the path, on it, and changed. Nothing is accepted."""

from __future__ import annotations

from collections import Counter

import pytest

from nat_traversal.machine import notices as note
from nat_traversal.wire import datagrams
from nat_traversal.wire.datagrams import Datagram, Frame
from tests.mutations import main
from tests.sim.client import Client
from tests.sim.network import Packet
from tests.sim.world import World


def name_of(datagram: Datagram) -> str:
    return datagram.kind.name if isinstance(datagram, Frame) else type(datagram).__name__


def state_of(world: World, clients: tuple[Client, ...]) -> list[object]:
    """All that a replay could change, as far as anybody outside can tell."""
    return [
        *((client.state, client.is_connected, len(client.notices)) for client in clients),
        *(list(client.delivered) for client in clients),
        *(client.path.remote for client in clients),
        sorted(world.server.rendezvous.registered),
    ]


def recorded_and_connected() -> tuple[World, Client, Client, list[Packet]]:
    world = World(nat_a="full-cone", nat_b="full-cone")
    a, b = world.pair()
    world.connect(a, b)
    for sender, receiver in ((a, b), (b, a)):
        assert world.carries_data(sender, receiver)
    world.run(7.0)
    return world, a, b, list(world.net.log)


@pytest.mark.parametrize("place", ["off the path", "on the path"])
def test_nothing_that_was_recorded_is_accepted_again(place: str) -> None:
    """On the path the replay bears the very source of the original. Only a host's answer to a doubled HELLO or
    CONFIRM goes out: to the peer itself, which may have lost the first one."""
    world, a, b, recorded = recorded_and_connected()
    attacker = world.net.hosts["host_c"]
    socket = attacker.open(lambda data, source: drawn.append(data))
    drawn: list[bytes] = []
    kinds = Counter(name_of(packet.datagram) for packet in recorded)
    assert {"Hello", "Confirm", "Announce", "Announced", "PING", "PONG", "DATA"} <= set(kinds)
    for packet in recorded:
        before = state_of(world, (a, b))
        octets = datagrams.encode(packet.datagram)
        if place == "off the path":
            world.net.send_from_host(attacker, socket, packet.destination, octets)
        else:
            deliver_again(world, packet, octets)
        world.run(2 * world.r)
        assert [each for each in state_of(world, (a, b)) if each not in before] == [], packet
    assert drawn == [], "nobody answers the attacker"
    assert world.carries_data(a, b)
    assert world.carries_data(b, a)


def deliver_again(world: World, packet: Packet, octets: bytes) -> None:
    """With the source that the receiver saw, to wherever it arrived."""
    for _, inside in packet.receivers:
        for host in world.net.hosts.values():
            if inside in host.sockets:
                host.sockets[inside](octets, packet.source)
    if packet.destination in world.net.server_sockets:
        world.net.server_sockets[packet.destination](octets, packet.source)


def test_a_recorded_bye_ends_no_later_path() -> None:
    world, a, b, _ = recorded_and_connected()
    a.stop()
    world.run(1.0)
    bye = next(
        packet
        for packet in world.net.log
        if isinstance(packet.datagram, Frame) and packet.datagram.kind is datagrams.Kind.BYE
    )
    again = world.client("host_a", "host_b").start()
    world.connect(again, b)
    lost = len(b.told(note.PathLost))
    (socket,) = b.sockets.values()
    b.host.sockets[socket](datagrams.encode(bye.datagram), b.path.remote)
    world.run(1.0)
    assert b.is_connected
    assert len(b.told(note.PathLost)) == lost


def test_thousands_of_changed_datagrams_are_dropped_wherever_they_come() -> None:
    """`python -m tests.mutations` goes on for longer."""
    dropped = main(3000, seed=7)
    assert sum(dropped.values()) == 3000
    assert len(dropped) >= 10
