"""Host addresses: two hosts behind one NAT meet directly where it does not hairpin."""

from __future__ import annotations

import pytest

from nat_traversal.machine import notices as note
from nat_traversal.wire import control
from nat_traversal.wire import messages as m
from nat_traversal.wire.datagrams import Frame
from nat_traversal.wire.methods import MethodName
from tests.sim.client import Client
from tests.sim.world import World

METHODS = (MethodName.HOST.value,)
NO_HAIRPIN = "EIM+APDF"
HAIRPIN = "EIM+APDF+hairpin-external-source"


def at_home(nat: str, methods: tuple[str, ...] = METHODS) -> tuple[World, Client, Client]:
    """Both hosts behind one NAT, started at the same moment."""
    world = World(nat_a=nat, nat_b=nat, methods=methods)
    host_a, host_b = world.net.hosts["host_a"], world.net.hosts["host_b"]
    host_b.nat = host_a.nat
    return (world, *world.pair())


def told_hosts(client: Client) -> list[m.HostAddresses]:
    assert client.control is not None
    lines = b"".join(client.control.written).splitlines()
    return [each for each in map(control.decode, lines) if isinstance(each, m.HostAddresses)]


def test_hosts_behind_one_nat_meet_at_their_own_addresses_within_a_second() -> None:
    world, a, b = at_home(NO_HAIRPIN)
    world.run(1.0)
    for client, other in ((a, b), (b, a)):
        assert client.path.method == "host"
        assert client.path.remote.address == other.host.address
        assert not client.told(note.AttemptFailed)
    assert world.carries_data(a, b)
    assert world.carries_data(b, a)


def test_nothing_private_is_told_or_sent_where_the_nat_hairpins() -> None:
    """The contract opens the pair: not a packet more than without host addresses."""
    sent = []
    for methods in ((), METHODS):
        world, a, b = at_home(HAIRPIN, methods)
        world.run(4.0)
        assert [client.path.round for client in (a, b)] == [1, 1]
        assert told_hosts(a) == told_hosts(b) == []
        sent.append(
            [
                (packet.sender, packet.destination, type(packet.datagram))
                for packet in world.between_peers()
                if not isinstance(packet.datagram, Frame)
            ]
        )
    assert sent[0] == sent[1]


@pytest.mark.parametrize("nat", ["symmetric", NO_HAIRPIN])
def test_hosts_at_different_addresses_are_never_asked(nat: str) -> None:
    world = World(nat_a=nat, nat_b="symmetric", methods=METHODS)
    a, b = world.pair()
    world.run(10.0)
    assert a.told(note.AttemptFailed)
    assert told_hosts(a) == told_hosts(b) == []


def test_it_takes_both_hosts() -> None:
    world, a, b = at_home(NO_HAIRPIN, ())
    world.run(6.0)
    assert a.told(note.AttemptFailed)
    assert b.told(note.AttemptFailed)
